"""What a tensor at the edge of a model looks like, and the one place that quantizes an array.

This module must not know formats, engines or pictures.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.errors import InputError

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
INTEGER_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_DAMAGED = "the model file is damaged or was exported wrongly: export it again"


def _is_positive(value: object) -> bool:
    """Whether ``value`` is a real number above 0 that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:  # an int of hundreds of digits
        return False


@dataclass(frozen=True)
class QuantParams:
    """Affine quantization of one tensor: ``real = scale * (quantized - zero_point)``.

    Per-tensor, as TFLite's and ONNX's specifications define it for activations (Jacob et al.,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2018, equation 1). All quantizing and dequantizing of arrays in edgecnn happens
    here: round to nearest (ties to even), then saturate.
    """

    scale: float
    zero_point: int
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in INTEGER_RANGES:
            raise InputError(f"cannot quantize to {self.dtype!r}", f"one of {', '.join(INTEGER_RANGES)}")
        if not _is_positive(self.scale):
            raise InputError(
                f"quantization scale must be finite and positive, not {reprlib.repr(self.scale)}", _DAMAGED
            )
        low, high = INTEGER_RANGES[self.dtype]
        whole = isinstance(self.zero_point, Integral) and not isinstance(self.zero_point, bool)
        if not whole or not low <= self.zero_point <= high:
            raise InputError(
                f"zero point {reprlib.repr(self.zero_point)} is no integer of {self.dtype} ({low} to {high})", _DAMAGED
            )

    @classmethod
    def covering(cls, low: float, high: float, dtype: str) -> QuantParams:
        """Return the parameters that spread ``[low, high]``, widened to hold 0, over ``dtype``."""
        low, high = min(low, 0.0), max(high, 0.0)
        smallest, largest = INTEGER_RANGES[dtype]
        scale = (high - low) / (largest - smallest) or 1.0
        zero_point = min(max(round(smallest - low / scale), smallest), largest)
        return cls(scale, zero_point, dtype)

    def quantize(self, real: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.integer[Any]]:
        """Return ``real`` as ``dtype``: round to nearest, then saturate. NaN is not accepted.

        Raises:
            InputError: ``real`` holds NaN.
        """
        scaled = np.asarray(real, np.float64) / self.scale
        if np.isnan(scaled).any():
            raise InputError("cannot quantize NaN", "check the data and the scale, mean and std of the input")
        low, high = INTEGER_RANGES[self.dtype]
        saturated: npt.NDArray[np.integer[Any]] = np.clip(np.rint(scaled) + self.zero_point, low, high).astype(
            self.dtype
        )
        return saturated

    def dequantize(self, quantized: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Return ``quantized`` as float32."""
        centred = quantized.astype(np.int32) - np.int32(self.zero_point)
        real: npt.NDArray[np.float32] = centred.astype(np.float32) * np.float32(self.scale)
        return real

    def to_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "zero_point": self.zero_point}


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (``-1`` where free), dtype and, for integers, quantization of one tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: QuantParams | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(
                f"tensor {self.name!r} has the dtype {self.dtype!r}, which edgecnn does not feed",
                f"export the model with an input and output of {', '.join(DTYPES)}",
            )
        if not self.name.isprintable():
            # Names are shown: a file must not send control sequences to the terminal.
            raise InputError(
                f"tensor name {self.name!r} holds characters that cannot be shown", "export the model again"
            )
        if any(side == 0 or side < -1 for side in self.shape):
            raise InputError(f"tensor {self.name!r} has the impossible shape {self.shape}", "export the model again")

    @property
    def is_quantized(self) -> bool:
        return self.quant is not None

    def to_dict(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}
        if self.quant is not None:
            document["quant"] = self.quant.to_dict()
        return document

    def with_quant(self, document: Mapping[str, Any]) -> TensorInfo:
        """Return this tensor with the quantization of ``{"scale", "zero_point"}``; without any if that is empty.

        Raises:
            InputError: a value is missing or impossible.
        """
        if not document:
            return self
        missing = [key for key in ("scale", "zero_point") if key not in document]
        if missing:
            raise InputError(f"the quantization of tensor {self.name!r} has no {' and no '.join(missing)}", _DAMAGED)
        return replace(self, quant=QuantParams(document["scale"], document["zero_point"], self.dtype))
