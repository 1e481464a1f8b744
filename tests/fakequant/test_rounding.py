"""Fake quantization is QuantParams' quantization, with gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgecnn.fakequant.rounding import fake_quantized, fake_quantized_weights, params_of_ranges
from edgecnn.tensors import QuantParams

RANGES = [(0.0, 6.0), (-1.0, 1.0), (-0.3, 7.77), (0.5, 2.0), (-5.0, -1.0), (0.0, 0.0), (-1e-6, 1e-6), (-128.0, 127.0)]


def faked(values: np.ndarray, params: QuantParams) -> np.ndarray:
    scale, zero_point = np.float32(params.scale), np.float32(params.zero_point)
    return np.asarray(
        keras.ops.convert_to_numpy(fake_quantized(keras.ops.convert_to_tensor(values), scale, zero_point))
    )


def stored(params: QuantParams) -> QuantParams:
    """The parameters as a file holds them: the scale in float32."""
    return QuantParams(float(np.float32(params.scale)), params.zero_point, params.dtype)


@pytest.mark.parametrize("ends", RANGES, ids=str)
def test_values_are_those_of_quant_params(ends: tuple[float, float]) -> None:
    params = stored(QuantParams.covering(*ends, "int8"))
    spread = 200 * params.scale  # well beyond both ends
    values = np.random.default_rng(0).uniform(-spread, spread, 20_000).astype(np.float32)
    steps = values.astype(np.float64) / params.scale
    values = values[
        np.abs(np.abs(steps - np.floor(steps)) - 0.5) > 1e-4
    ]  # float32 may see a tie where float64 sees none
    np.testing.assert_array_equal(faked(values, params), params.dequantize(params.quantize(values)))


@pytest.mark.parametrize("zero_point", [-128, -7, 0, 5, 127])
@pytest.mark.parametrize("scale", [1.0, 0.25, 2.0**-9])
def test_ties_and_saturation(zero_point: int, scale: float) -> None:
    params = QuantParams(scale, zero_point, "int8")
    values = (np.arange(-700, 700, dtype=np.float32) / 2) * np.float32(scale)  # every second one is a tie
    expected = params.dequantize(params.quantize(values))
    np.testing.assert_array_equal(faked(values, params), expected)
    assert expected.min() == scale * (-128 - zero_point)
    assert expected.max() == scale * (127 - zero_point)


def test_ranges_in_the_graph_give_the_same_parameters() -> None:
    scales, zero_points = params_of_ranges(keras.ops.convert_to_tensor(np.array(RANGES, np.float32)))
    for number, ends in enumerate(RANGES):
        low, high = (float(end) for end in np.array(ends, np.float32))
        params = QuantParams.covering(low, high, "int8")
        assert float(scales[number]) == pytest.approx(params.scale, rel=1e-6)
        is_tie = ends == (-1.0, 1.0)  # -0.5 in float64; float32 may fall on either side
        assert abs(int(zero_points[number]) - params.zero_point) <= is_tie


@pytest.mark.parametrize(("shape", "axes"), [((3, 3, 4, 5), (0, 1, 2)), ((3, 3, 4, 2), (0, 1)), ((7, 5), (0,))])
def test_weights_are_symmetric_per_output_channel(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    kernel = generator.normal(0, 1, shape).astype(np.float32) * generator.uniform(0.01, 100, shape[-1]).astype(
        np.float32
    )
    kernel[..., 0] = 0
    found = np.asarray(keras.ops.convert_to_numpy(fake_quantized_weights(keras.ops.convert_to_tensor(kernel), axes)))
    channels = [axis for axis in range(len(shape)) if axis not in axes]
    for index in np.ndindex(*(shape[axis] for axis in channels)):
        place: list[object] = [slice(None)] * len(shape)
        for axis, number in zip(channels, index, strict=True):
            place[axis] = number
        own = kernel[tuple(place)]  # type: ignore[index]
        largest = float(np.abs(own).max())
        params = stored(QuantParams(largest / 127, 0, "int8")) if largest else QuantParams(1.0, 0, "int8")
        np.testing.assert_allclose(found[tuple(place)], params.dequantize(params.quantize(own)), rtol=1e-6)  # type: ignore[index]


def gradient_of(values: list[float], params: QuantParams) -> np.ndarray:
    """The gradient of the sum of fake-quantized values, by one step of plain descent."""

    class Quantized(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.w = self.add_weight(shape=(len(values),), initializer="zeros")
            self.w.assign(np.array(values, np.float32))

        def call(self, x):  # type: ignore[no-untyped-def]
            faked = fake_quantized(
                keras.ops.convert_to_tensor(self.w), np.float32(params.scale), np.float32(params.zero_point)
            )
            return x * keras.ops.sum(faked)

    layer = Quantized()
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda y, out: keras.ops.sum(out))
    model.train_on_batch(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))
    return np.array(values, np.float32) - np.asarray(keras.ops.convert_to_numpy(layer.w))


def test_the_gradient_passes_inside_and_stops_outside() -> None:
    gradient = gradient_of([-3.0, -0.9, 0.004, 0.5, 0.98, 3.0], QuantParams.covering(-1, 1, "int8"))
    np.testing.assert_allclose(gradient, [0, 1, 1, 1, 1, 0], atol=1e-6)
