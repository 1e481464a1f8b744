"""Conversions between file formats, one module each, all with the signature of :data:`Converter`.

The only home of TensorFlow, tf2onnx, onnx and the quantizers. Nothing here may know a runtime, a
benchmark or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.recipe import Recipe
from edgecnn.spec import ModelSpec
from edgecnn.tensors import QuantParams


@dataclass(frozen=True)
class ConversionJob:
    """One source file to be made into one file per recipe.

    Args:
        source: the file to convert; untouched.
        targets: recipe -> the file to write (a scratch file: the exporter places it atomically).
        spec: the contract; shapes and value ranges come from it.
        calibration: float32 (N, ...) input tensors of the *float* model; required by static recipes.
        trust: whether a Keras file may run code of its own.
    """

    source: Path
    targets: Mapping[Recipe, Path]
    spec: ModelSpec
    calibration: npt.NDArray[np.float32] | None = None
    trust: bool = False


@dataclass(frozen=True)
class Converted:
    """A file that was written, and the quantization of tensors whose format cannot hold it."""

    recipe: Recipe
    path: Path
    tensors: Mapping[str, QuantParams] = field(default_factory=dict)


Converter = Callable[[ConversionJob], Iterator[Converted]]


def input_params(job: ConversionJob, dtype: str) -> QuantParams:
    """Return the input's quantization: all that any picture can give, not what calibration saw.

    With 0..255 or 0..1 fed this makes the quantized value equal to a camera's byte (uint8), or to
    the byte with its sign bit flipped (int8).
    """
    return QuantParams.covering(*job.spec.input.value_range, dtype)


def library_version(*distributions: str) -> dict[str, Any]:
    """Return {distribution: version} of what made a file, for its provenance."""
    from importlib.metadata import version

    return {name: version(name) for name in distributions}
