"""QuantParams: the one place that quantizes an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.errors import InputError
from edgecnn.tensors import QuantParams, TensorInfo


def test_rounds_to_nearest_and_saturates() -> None:
    params = QuantParams(0.5, 10, "int8")
    real = np.array([0.0, 0.24, 0.26, -0.26, 1000.0, -1000.0], np.float32)
    assert params.quantize(real).tolist() == [10, 10, 11, 9, 127, -128]
    # A cast without rounding and saturation, as often seen, gives other numbers: the test can fail.
    assert (real / 0.5 + 10).astype(np.int64).astype(np.int8).tolist() != params.quantize(real).tolist()


def test_quantized_dtype_is_kept() -> None:
    for dtype in ("int8", "uint8", "int16"):
        assert QuantParams(1.0, 0, dtype).quantize(np.zeros(3)).dtype == dtype


@given(st.floats(-1e3, -1e-6), st.floats(1e-6, 1e3), st.sampled_from(["int8", "uint8", "int16"]))
def test_covering_holds_its_range_within_half_a_step(low: float, high: float, dtype: str) -> None:
    params = QuantParams.covering(low, high, dtype)
    ends = np.array([low, 0.0, high])
    restored = params.dequantize(params.quantize(ends))
    # Rounding moves a value by half a step, rounding the zero point moves the grid by another half.
    assert np.abs(restored - ends).max() <= params.scale * 1.01


@pytest.mark.parametrize(
    ("low", "high", "dtype", "zero_point"), [(0, 255, "uint8", 0), (0, 255, "int8", -128), (0, 1, "int8", -128)]
)
def test_camera_bytes_need_no_arithmetic(low: float, high: float, dtype: str, zero_point: int) -> None:
    params = QuantParams.covering(low, high, dtype)
    assert params.zero_point == zero_point
    assert params.scale == pytest.approx((high - low) / 255, rel=1e-12)


def test_nan_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        QuantParams(1.0, 0, "int8").quantize(np.array([np.nan]))


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype"),
    [
        (0, 0, "int8"),
        (-1, 0, "int8"),
        (float("inf"), 0, "int8"),
        (1, 128, "int8"),
        (1, -1, "uint8"),
        (1, 0, "int32"),
        (10**400, 0, "int8"),
        ("x", 0, "int8"),
        (True, 0, "int8"),
        (None, 0, "int8"),
        (1, 0.5, "int8"),
        (1, True, "int8"),
    ],
)
def test_impossible_params_are_refused(scale: Any, zero_point: Any, dtype: str) -> None:
    with pytest.raises(InputError) as caught:
        QuantParams(scale, zero_point, dtype)
    assert caught.value.remedy


def test_quantization_of_a_contract_is_checked() -> None:
    tensor = TensorInfo("x", (1, 2), "int8")
    assert tensor.with_quant({}) == tensor
    assert tensor.with_quant({"scale": 0.5, "zero_point": 3}).quant == QuantParams(0.5, 3, "int8")
    for document in ({"scale": 0.5}, {"zero_point": 1}, {"scale": "x", "zero_point": 1}):
        with pytest.raises(InputError):
            tensor.with_quant(document)


def test_impossible_tensors_are_refused() -> None:
    with pytest.raises(InputError, match="dtype"):
        TensorInfo("x", (1, 2), "complex64")
    with pytest.raises(InputError, match="shape"):
        TensorInfo("x", (1, 0), "float32")
    with pytest.raises(InputError, match="cannot be shown"):
        TensorInfo("\x1b[31m", (1, 2), "float32")
