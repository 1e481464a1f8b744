"""One model file and everything that is known about it without running it.

This module must not know engines; it opens any file that :mod:`edgecnn.formats` reads. The float
Keras file is an artifact like the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecnn import formats
from edgecnn.errors import InputError
from edgecnn.files import sha256_of
from edgecnn.recipe import Recipe
from edgecnn.spec import ModelFacts, ModelSpec, picture_facts, require_mapping, shown
from edgecnn.tensors import TensorInfo


@dataclass(frozen=True)
class Artifact:
    """One model file.

    Args:
        path: of the file.
        format: ``tflite``, ``onnx``, ``keras`` or ``h5``, from the bytes, not from the name.
        spec: the contract inside the file; ``None`` for a file of others.
        recipe: how it was quantized, if the file says.
        inputs, outputs: its tensors; empty for Keras files, which only Keras can read.
        provenance: ``source_sha256`` and versions, as the exporter wrote them.
        trained_ranges: layer -> smallest and largest value of its output, where quantization-aware
            training has found them; a quantizer takes exactly these.
    """

    path: Path
    format: str
    spec: ModelSpec | None
    recipe: Recipe | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    provenance: Mapping[str, str]
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def size_bytes(self) -> int:
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.path)

    @property
    def is_keras(self) -> bool:
        return self.format in ("keras", "h5")

    @property
    def recipe_name(self) -> str:
        if self.recipe is not None:
            return self.recipe.name
        return "float32" if self.is_keras else "unknown"

    def require_spec(self) -> ModelSpec:
        """Return the contract.

        Raises:
            InputError: the file carries none.
        """
        if self.spec is None:
            raise InputError(
                f"{str(self.path)!r} carries no contract, so how to feed it is unknown",
                "give --spec FILE, or --scale, --color and --head",
            )
        return self.spec

    def facts(self) -> ModelFacts:
        """What the tensors of a TFLite or ONNX file tell about its input and output.

        Raises:
            InputError: the file has several inputs, or one that is no picture.
        """
        if len(self.inputs) != 1 or len(self.inputs[0].shape) != 4:
            shapes = ", ".join(str(tensor.shape) for tensor in self.inputs)
            raise InputError(
                f"{str(self.path)!r} does not take one picture: its inputs are {shapes}",
                "only single-picture models are fed",
            )
        last = self.outputs[0].shape if self.outputs else ()
        if len(self.outputs) != 1 or len(last) != 2:
            shapes = ", ".join(str(tensor.shape) for tensor in self.outputs)
            raise InputError(
                f"{str(self.path)!r} is no classifier: its outputs are {shapes}, not one of (1, classes)",
                "only classifiers are read so far",
            )
        return picture_facts(self.inputs[0].shape, classes=last[-1] if len(last) == 2 and last[-1] > 0 else None)


def contract_document(
    spec: ModelSpec,
    recipe: Recipe | None,
    provenance: Mapping[str, str],
    tensors: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    trained_ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """Return the contract as it is embedded.

    Args:
        tensors: maps names to quantization, for ONNX.
        trained_ranges: maps layers to the ranges of their outputs, for a model trained for quantization.
    """
    document: dict[str, Any] = {"spec": spec.to_dict(), "provenance": dict(provenance)}
    if recipe is not None:
        document["recipe"] = recipe.to_dict()
    if tensors:
        document["tensors"] = {name: dict(quant) for name, quant in tensors.items()}
    if trained_ranges:
        document["trained_ranges"] = {name: list(ends) for name, ends in trained_ranges.items()}
    return document


def open_artifact(path: str | Path) -> Artifact:
    """Read a model file of any format, without running it.

    Raises:
        InputError: no such file, no model, a damaged model or contract.
    """
    location = Path(path)
    format_name = formats.sniff(location)
    contents = formats.read(location, format_name)
    contract = contents.contract or {}
    where = f"the contract inside {str(path)!r}"
    return Artifact(
        path=location,
        format=format_name,
        spec=ModelSpec.from_dict(contract["spec"]) if "spec" in contract else None,
        recipe=Recipe.from_dict(require_mapping(contract, "recipe", where)) if "recipe" in contract else None,
        inputs=contents.inputs,
        outputs=contents.outputs,
        provenance=_provenance(require_mapping(contract, "provenance", where)),
        trained_ranges=_trained_ranges(require_mapping(contract, "trained_ranges", where)),
    )


def _trained_ranges(document: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the ranges that a file carries.

    Raises:
        InputError: a name cannot be shown, or a range is no pair of finite numbers in order.
    """
    ranges = {}
    for name, ends in document.items():
        pair = ends if isinstance(ends, list) and len(ends) == 2 else [math.nan, math.nan]
        numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in pair)
        if not (name and name.isprintable() and numbers and _are_ordered(*pair)):
            raise InputError(
                f"the file says that layer {shown(name)} has the range {shown(ends)}",
                "train the model again: edgecnn train MODEL --quantize-aware",
            )
        ranges[name] = (float(pair[0]), float(pair[1]))
    return ranges


def _are_ordered(low: float, high: float) -> bool:
    try:
        return math.isfinite(low) and math.isfinite(high) and float(low) <= float(high)
    except OverflowError:  # an int of hundreds of digits
        return False


def _provenance(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the provenance of a file as lines that can be shown.

    Raises:
        InputError: a value is no text or number, or holds control characters.
    """
    lines = {key: str(value) for key, value in document.items() if isinstance(value, (str, int, float))}
    for key, value in document.items():
        if key not in lines or not (key + lines[key]).isprintable():
            raise InputError(
                f"the provenance inside the file has {shown(key)}: {shown(value)}", "export the model again"
            )
    return lines
