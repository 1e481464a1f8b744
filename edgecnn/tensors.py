"""What a tensor at the edge of a model looks like, and the one place that quantizes an array.

This module must not know formats, engines or pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.errors import InputError

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
INTEGER_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


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
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"quantization scale must be finite and positive, not {self.scale!r}",
                "the model file is damaged or was exported wrongly: export it again",
            )
        low, high = INTEGER_RANGES[self.dtype]
        if not low <= self.zero_point <= high:
            raise InputError(
                f"zero point {self.zero_point} is outside {self.dtype} ({low} to {high})",
                "the model file is damaged or was exported wrongly: export it again",
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

    def with_quant(self, document: Mapping[str, Any] | None) -> TensorInfo:
        """Return this tensor with the quantization of ``{"scale", "zero_point"}``, if any."""
        if document is None:
            return self
        quant = QuantParams(float(document["scale"]), int(document["zero_point"]), self.dtype)
        return TensorInfo(self.name, self.shape, self.dtype, quant)
