"""Conversions between file formats, one module each, all with the signature of :data:`Converter`.

The only home of TensorFlow, tf2onnx, onnx and the quantizers. Nothing here may know a runtime, a
benchmark or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgecnn.recipe import TRAINED, Recipe
from edgecnn.spec import ModelSpec
from edgecnn.tensors import QuantParams

if TYPE_CHECKING:
    from converters.calibration import CalibrationRun


@dataclass(frozen=True)
class ConversionJob:
    """One source file to be made into one file per recipe.

    Args:
        source: the file to convert; untouched.
        targets: recipe -> the file to write (a scratch file: the exporter places it atomically).
        spec: the contract; shapes and value ranges come from it.
        calibration: float32 (N, ...) input tensors of the *float* model; required by static recipes.
        trained_ranges: layer -> smallest and largest value of its output, where quantization-aware
            training has found them; they win over calibration.
        trust: whether a Keras file may run code of its own.
    """

    source: Path
    targets: Mapping[Recipe, Path]
    spec: ModelSpec
    calibration: npt.NDArray[np.float32] | None = None
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    trust: bool = False


@dataclass(frozen=True)
class Converted:
    """A file that was written, and what it cannot say itself.

    Args:
        recipe: as carried out: a format may store other integers than the recipe's name suggests.
        path: of the file.
        tensors: the quantization of tensors, where the format has no place for it.
    """

    recipe: Recipe
    path: Path
    tensors: Mapping[str, QuantParams] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """One layer of a float file that a quantizer can quantize or leave alone.

    Args:
        name: as the Keras model names it; a Keras layer that became several operators gives
            ``name``, ``name/2``, ``name/3``. The tensor that it makes has the same name.
        op: the format's name of the operator.
        reads: names of the layers whose outputs it reads.
    """

    name: str
    op: str
    reads: tuple[str, ...]


#: The name of the input tensor in every float file that the converters make.
INPUT_NAME = "input"

Converter = Callable[[ConversionJob], Iterator[Converted]]


def input_params(job: ConversionJob, dtype: str) -> QuantParams:
    """Return the input's quantization: all that any picture can give, not what calibration saw.

    With 0..255 or 0..1 fed this makes the quantized value equal to a camera's byte (uint8), or to
    the byte with its sign bit flipped (int8).
    """
    return QuantParams.covering(*job.spec.input.value_range, dtype)


def ranges_for(
    job: ConversionJob, recipe: Recipe, calibrate: Callable[[], CalibrationRun]
) -> dict[str, tuple[float, float]]:
    """Return the range of each layer's output for a static recipe: by its method, or as training found it."""
    method = recipe.calibration.method if recipe.calibration else "minmax"
    # What training did not see (it fakes only some layers) is calibrated by the extremes.
    return calibrate().ranges("minmax" if method == TRAINED else method) | dict(job.trained_ranges)


def fixed_range(op: str) -> tuple[float, float] | None:
    """Return all that an operator can give, where that is known: what no calibration sample shows is not cut off.

    TFLite's int8 kernels demand these ranges.
    """
    return {"softmax": (0.0, 1.0), "logistic": (0.0, 1.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}.get(op.lower())
