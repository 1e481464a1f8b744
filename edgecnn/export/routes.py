"""The way from a Keras file to one format: one float conversion, then as many recipes as are asked for.

This module must not know how good a file is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgecnn import __version__, formats
from edgecnn.artifact import Artifact, contract_document, open_artifact
from edgecnn.errors import InputError, MissingDependency, closest
from edgecnn.recipe import FORMATS, RECIPES, CalibrationRecord, Recipe
from edgecnn.spec import ModelSpec

if TYPE_CHECKING:
    from converters import Layer

FLOAT = RECIPES["float32"]


@dataclass(frozen=True)
class _Route:
    """How one format is made: from Keras to float, from float to quantized, with which distributions."""

    to_float: str
    quantize: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]


_ROUTES = {
    "tflite": _Route(
        "converters.keras_to_tflite",
        "converters.quantize_tflite",
        ("tensorflow", "ai-edge-quantizer"),
        ("tensorflow", "ai_edge_quantizer", "ai_edge_litert"),
    ),
    "onnx": _Route(
        "converters.keras_to_onnx",
        "converters.quantize_onnx",
        ("tf2onnx", "onnx", "onnxruntime"),
        ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "sympy"),
    ),
}


def require_converters(formats_wanted: Sequence[str]) -> None:
    """Check, without importing them, that the packages that make these formats are installed.

    Raises:
        MissingDependency: one is not.
    """
    for format_name in formats_wanted:
        for module in _ROUTES[format_name].modules:
            if find_spec(module) is None:
                raise MissingDependency(module, "export", f"making .{format_name} files")


@dataclass(frozen=True)
class Source:
    """What every file of an export is made from.

    Args:
        artifact: the Keras file.
        spec: the contract to write into every file.
        calibration: float32 (N, ...) inputs of the float model, where a recipe needs them.
        record: where these came from.
        trust: whether the Keras file may run code of its own.
    """

    artifact: Artifact
    spec: ModelSpec
    calibration: npt.NDArray[np.float32] | None = None
    record: CalibrationRecord | None = None
    trust: bool = False


class Maker:
    """Makes the files of one format, in a scratch folder of its own; the float conversion runs once."""

    def __init__(self, source: Source, format_name: str, scratch: Path) -> None:
        self.format = format_name
        self._source = source
        self._route = _ROUTES[format_name]
        self._scratch = scratch / format_name
        self._scratch.mkdir()
        self._made = 0

    @cached_property
    def float_path(self) -> Path:
        """The float32 file, without a contract.

        Raises:
            EngineError: the conversion failed.
        """
        from converters import ConversionJob

        path = self._scratch / f"float32{FORMATS[self.format]}"
        job = ConversionJob(self._source.artifact.path, {FLOAT: path}, self._source.spec, trust=self._source.trust)
        (converted,) = import_module(self._route.to_float).convert(job)
        made: Path = converted.path
        return made

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the float file that a quantizer can leave alone, in execution order."""
        found: tuple[Layer, ...] = import_module(self._route.quantize).layers(self.float_path)
        return found

    def layers_matching(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the layers that any of the regular expressions matches as a whole.

        Raises:
            InputError: one is no regular expression, or matches no layer.
        """
        if not patterns:
            return ()  # without converting anything yet
        names = [layer.name for layer in self.layers]
        found: list[str] = []
        for pattern in patterns:
            try:
                matches = [name for name in names if re.fullmatch(pattern, name)]
            except re.error as error:
                raise InputError(
                    f"--exclude {pattern!r} is no regular expression: {error}", "quote it for the shell"
                ) from error
            if not matches:
                shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                raise InputError(f"--exclude {pattern!r} matches no layer{closest(pattern, names)}", f"layers: {shown}")
            found += matches
        return tuple(dict.fromkeys(found))

    def make(self, recipe: Recipe) -> Artifact:
        """Return a new file of ``recipe``, its contract inside.

        Raises:
            EngineError: the converter refuses.
        """
        from converters import ConversionJob, Converted

        source = self._source
        self._made += 1
        path = self._scratch / f"made{self._made}{FORMATS[self.format]}"
        if recipe.needs_calibration and recipe.calibration is None and source.record is not None:
            recipe = recipe.calibrated(source.record)
        converted = Converted(recipe, self.float_path)
        if recipe.name != FLOAT.name:
            job = ConversionJob(
                self.float_path,
                {recipe: path},
                source.spec,
                source.calibration,
                source.artifact.trained_ranges,
                source.trust,
            )
            (converted,) = import_module(self._route.quantize).convert(job)
        tensors = {name: params.to_dict() for name, params in converted.tensors.items()}
        made_by = provenance(source.artifact, self._route.distributions)
        # What a format stores instead of what the recipe's name suggests is the converter's to say.
        carried_out = replace(converted.recipe, calibration=recipe.calibration, excluded_layers=recipe.excluded_layers)
        contract = contract_document(source.spec, carried_out, made_by, tensors)
        # The quantizers still start from the bare float file: the contract goes into a copy.
        finished = self._scratch / f"finished{self._made}{FORMATS[self.format]}"
        formats.embed(converted.path, self.format, contract, into=finished)
        if converted.path != self.float_path:
            converted.path.unlink()
        return open_artifact(finished)


def provenance(source: Artifact, libraries: Sequence[str]) -> dict[str, str]:
    """Return where a file came from: the source's hash and the versions that made it."""
    made_by = {name: _version(name) for name in ("keras", *libraries)}
    return {"source": source.path.name, "source_sha256": source.sha256, "edgecnn": __version__, **made_by}


def _version(distribution: str) -> str:
    """Return an installed version; TensorFlow comes under more than one name."""
    names = (distribution, f"{distribution}-cpu", f"{distribution}-gpu")
    return next((found.version for name in names for found in distributions(name=name)), "unknown")
