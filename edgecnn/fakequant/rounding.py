"""Quantize and dequantize in one differentiable step, as :class:`~edgecnn.tensors.QuantParams` does to arrays.

Forward: round to nearest (ties to even), saturate, scale back. Backward: 1 inside the range and 0
outside (the straight-through estimator: Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018, section 3; Bengio et al., 2013).
Everything is int8. This module must not know layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

_SMALLEST, _LARGEST = -128.0, 127.0


def _straight_through(real: Any, quantized: Any, low: Any, high: Any) -> Any:
    """Return ``quantized`` forward, with the gradient of ``real`` clipped to ``[low, high]``."""
    inside = ops.clip(real, low, high)
    # The bracket is exactly 0: the value is what was quantized, to the last bit.
    return ops.stop_gradient(quantized) + (inside - ops.stop_gradient(inside))


def fake_quantized(real: Any, scale: Any, zero_point: Any) -> Any:
    """Return float32 values that int8 with these parameters can hold, nearest to ``real``.

    Args:
        real: float32 tensor.
        scale, zero_point: float32 scalars, the zero point a whole number of -128 to 127.
    """
    steps = ops.clip(ops.round(real / scale) + zero_point, _SMALLEST, _LARGEST) - zero_point
    return _straight_through(real, steps * scale, (_SMALLEST - zero_point) * scale, (_LARGEST - zero_point) * scale)


def fake_quantized_weights(kernel: Any, axes: Sequence[int]) -> Any:
    """Return a kernel as symmetric int8 holds it, with one scale ``max|w| / 127`` over ``axes``.

    Source: TFLite's 8-bit quantization specification (weights in -127..127, zero point 0).
    """
    largest = ops.stop_gradient(ops.max(ops.abs(kernel), axis=tuple(axes), keepdims=True))
    scale = ops.where(largest > 0, largest / _LARGEST, 1.0)
    steps = ops.clip(ops.round(kernel / scale), -_LARGEST, _LARGEST)
    return _straight_through(kernel, steps * scale, -largest, largest)


def params_of_ranges(ranges: Any) -> tuple[Any, Any]:
    """Return scales and zero points (L,) of ranges (L, 2): :meth:`QuantParams.covering` for int8, as tensors."""
    low, high = ops.minimum(ranges[:, 0], 0.0), ops.maximum(ranges[:, 1], 0.0)
    spread = (high - low) / (_LARGEST - _SMALLEST)
    scale = ops.where(spread > 0, spread, 1.0)
    return scale, ops.clip(ops.round(_SMALLEST - low / scale), _SMALLEST, _LARGEST)
