"""Which layers are quantized, and that each is switched by itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.errors import InputError
from edgecnn.fakequant import FakeQuantizedModel
from edgecnn.fakequant import network as network_module
from edgecnn.tensors import QuantParams

from .conftest import pixels, unsettled, zoo


def sketch(model: keras.Model) -> list[tuple[str, str, bool]]:
    return [(layer.name, layer.op, layer.weights) for layer in FakeQuantizedModel(model).layers]


def test_layers_of_a_residual_network() -> None:
    found = sketch(zoo("resnet8"))
    assert found[:4] == [
        ("conv1", "Conv2D", True),
        ("stack1_unit1_conv1", "Conv2D", True),
        ("stack1_unit1_conv2", "Conv2D", True),
        ("stack1_unit1_add", "Add", False),
    ]
    assert found[-3:] == [
        ("pool", "GlobalAveragePooling2D", False),
        ("probabilities", "Dense", True),
        ("probabilities/2", "softmax", False),
    ]
    assert not any("relu" in name or "bn" in name for name, _, _ in found)


def test_activations_that_no_engine_fuses_are_layers_of_their_own() -> None:
    picture = keras.Input((8, 8, 3))
    tensor = layers.Conv2D(4, 3, activation="tanh", name="a")(picture)
    tensor = layers.MaxPooling2D(name="max")(layers.Dropout(0.5)(tensor))
    tensor = layers.LeakyReLU(name="leaky")(layers.DepthwiseConv2D(3, name="b")(tensor))
    two = layers.Conv2D(4, 1, name="c")(tensor)  # read by two: its own range, before the ReLU
    tensor = layers.Concatenate(name="both")([two, layers.ReLU(name="relu")(two)])
    tensor = layers.Conv2D(4, 1, activation="relu6", name="d")(tensor)
    shared = layers.Conv2D(4, 1, name="twice")
    tensor = layers.Activation("relu", name="act")(shared(shared(tensor)))
    tensor = keras.ops.mean(tensor, axis=(1, 2))
    model = keras.Model(picture, layers.Activation("sigmoid", name="out")(layers.Dense(1, name="e")(tensor)))
    found = sketch(model)
    ops_mean = found.pop(-3)
    assert (ops_mean[1], ops_mean[2]) == ("Mean", False)
    assert found == [
        ("a", "Conv2D", True), ("a/2", "tanh", False), ("b", "DepthwiseConv2D", True), ("leaky", "LeakyReLU", False),
        ("c", "Conv2D", True), ("relu", "ReLU", False), ("both", "Concatenate", False), ("d", "Conv2D", True),
        ("twice", "Conv2D", True), ("twice/2", "Conv2D", True), ("e", "Dense", True), ("out", "sigmoid", False),
    ]  # fmt: skip


def test_layers_of_nested_models_are_called_by_their_path() -> None:
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv"), layers.ReLU()], name="inner")
    picture = keras.Input((8, 8, 3))
    tensor = layers.Flatten()(inner(layers.Conv2D(4, 1, name="conv")(picture)))
    model = keras.Model(picture, layers.Dense(2, name="dense")(tensor))
    quantized = FakeQuantizedModel(model)
    assert [layer.name for layer in quantized.layers] == ["conv", "inner/conv", "dense"]
    # A file of the folded model has no models inside it.
    flat = FakeQuantizedModel(quantized.float_model())
    assert [layer.name for layer in flat.layers] == ["conv", "inner_conv", "dense"]
    x = pixels(3, 8, 8, 3)
    np.testing.assert_allclose(flat.predict(x), keras.ops.convert_to_numpy(model(x)), atol=1e-6)


def test_what_converters_split_is_said_so() -> None:
    picture = keras.Input((8, 8, 3))
    tensor = layers.ReLU()(layers.BatchNormalization(name="stays")(picture))
    tensor = layers.SeparableConv2D(4, 3, activation="swish", name="two")(tensor)
    tensor = layers.Conv2D(4, 1, activation="sigmoid", name="one")(tensor)
    model = keras.Model(picture, layers.Dense(2, name="dense")(layers.Flatten()(tensor)))
    split = {layer.name for layer in FakeQuantizedModel(model).layers if not layer.is_one_operator}
    assert split == {"stays", "two", "two/2"}


def test_nothing_enabled_is_the_float_model() -> None:
    model, x = zoo("mobilenet"), pixels(9, 16, 16, 3)
    quantized = FakeQuantizedModel(model, (0.0, 1.0))
    quantized.set_ranges(quantized.calibrate(x))
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(quantized.predict(x, batch=4), expected, atol=1e-6)
    quantized.enable_all()
    assert not np.allclose(quantized.predict(x, batch=4), expected, atol=1e-6)


def test_taps_are_the_values_after_the_fused_activation() -> None:
    model, x = zoo("resnet8"), pixels(5, 16, 16, 3)
    quantized = FakeQuantizedModel(model)
    outputs = quantized.outputs(x, batch=2)
    for name, layer in (("conv1", "relu1"), ("stack2_unit1_add", "stack2_unit1_relu2"), ("pool", "pool")):
        inner = keras.Model(model.input, model.get_layer(layer).output)
        expected = keras.ops.convert_to_numpy(inner(x, training=False))
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5)
    ranges = quantized.calibrate(x, batch=2)
    for name, values in outputs.items():
        if name != "probabilities/2":
            assert ranges[name] == pytest.approx((values.min(), values.max()), abs=1e-5)
    assert ranges["probabilities/2"] == (0.0, 255 / 256)


def test_one_layer_alone_is_quantized_as_quant_params_would() -> None:
    """By hand: weights per channel, output per tensor, all else untouched."""
    keras.utils.set_random_seed(0)
    model = unsettled(
        keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(4, 3, use_bias=False, name="conv"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(3, name="dense"),
            ]
        )
    )
    x = pixels(7, 6, 6, 3)
    quantized = FakeQuantizedModel(model, (0.0, 1.0))
    quantized.set_ranges({"conv": (0.0, 1.5), "dense": (-2.0, 2.0)})
    quantized.enable(["conv"])
    by_hand = quantized.float_model()
    kernel, bias = by_hand.get_layer("conv").get_weights()
    for channel in range(4):
        weights = QuantParams(float(np.abs(kernel[..., channel]).max()) / 127, 0, "int8")
        kernel[..., channel] = weights.dequantize(weights.quantize(kernel[..., channel]))
    by_hand.get_layer("conv").set_weights([kernel, bias])
    fed, params = QuantParams.covering(0, 1, "int8"), QuantParams.covering(0, 1.5, "int8")
    until = keras.Model(by_hand.input, by_hand.layers[2].output)
    tensor = keras.ops.convert_to_numpy(until(fed.dequantize(fed.quantize(x))))
    tensor = params.dequantize(params.quantize(np.asarray(tensor)))
    found = quantized.outputs(x)
    assert (np.abs(found["conv"] - tensor) > 1e-6).mean() < 0.01  # a sum in another order can cross a tie
    np.testing.assert_allclose(found["conv"], tensor, atol=1.01 * params.scale)
    kernel, bias = by_hand.get_layer("dense").get_weights()
    np.testing.assert_allclose(found["dense"], found["conv"].reshape(7, -1) @ kernel + bias, atol=1e-5)


def test_switching_compiles_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []
    compute = network_module.SharedState.compute
    monkeypatch.setattr(
        network_module.SharedState,
        "compute",
        lambda self, *args: traced.append(args[1]) or compute(self, *args),  # type: ignore[func-returns-value]
    )
    x = pixels(10, 16, 16, 3)
    quantized = FakeQuantizedModel(zoo("resnet8"))
    quantized.set_ranges(quantized.calibrate(x))
    answers = [quantized.predict(x, batch=4)]
    before = len(traced)
    for layer in quantized.layers:
        quantized.enable([layer.name])
        assert quantized.enabled == (layer.name,)
        answers.append(quantized.predict(x, batch=4))
    if keras.backend.backend() != "torch":  # which runs eagerly: every call is traced
        assert len(traced) == before
    assert all(np.abs(answer - answers[0]).max() > 0 for answer in answers[1:])
    quantized.enable([])
    np.testing.assert_array_equal(quantized.predict(x, batch=4), answers[0])


def test_a_scope_gives_back_what_was_enabled() -> None:
    quantized = FakeQuantizedModel(zoo("resnet8"))
    quantized.enable(["pool"])
    with quantized.only("conv1", "probabilities"):
        assert quantized.enabled == ("conv1", "probabilities")
    assert quantized.enabled == ("pool",)


def test_ranges_come_back_and_fixed_ones_stay() -> None:
    quantized = FakeQuantizedModel(zoo("resnet8"))
    quantized.set_ranges({"conv1": (0.0, 3.0), "probabilities/2": (0.0, 0.5)})
    assert quantized.ranges["conv1"] == (0.0, 3.0)
    assert quantized.ranges["probabilities/2"] == (0.0, 255 / 256)
    assert quantized.params("probabilities/2") == QuantParams(1 / 256, -128, "int8")
    assert quantized.params("conv1") == QuantParams.covering(0.0, 3.0, "int8")


def test_bad_input() -> None:
    quantized = FakeQuantizedModel(zoo("resnet8"))
    with pytest.raises(InputError, match="did you mean 'conv1'"):
        quantized.enable(["conv_1"])
    with pytest.raises(InputError, match="did you mean"):
        quantized.set_ranges({"conv_1": (0.0, 1.0)})
    for ends in ((1.0, 0.0), (0.0, float("nan")), (float("-inf"), 0.0)):
        with pytest.raises(InputError, match="range of 'conv1'"):
            quantized.set_ranges({"conv1": ends})
    with pytest.raises(InputError, match="no samples"):
        quantized.predict(np.zeros((0, 16, 16, 3), np.float32))
