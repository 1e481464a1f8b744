"""One model file and everything that is known about it without running it.

This module must not know engines; it opens any file that :mod:`edgecnn.formats` reads. The float
Keras file is an artifact like the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecnn import formats
from edgecnn.errors import InputError
from edgecnn.files import sha256_of
from edgecnn.recipe import Recipe
from edgecnn.spec import ModelFacts, ModelSpec
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
    """

    path: Path
    format: str
    spec: ModelSpec | None
    recipe: Recipe | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    provenance: Mapping[str, str]

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
        _, *sides = self.inputs[0].shape
        layout = "nchw" if sides[0] in (1, 3) and sides[2] not in (1, 3) else "nhwc"
        height, width, channels = sides if layout == "nhwc" else (sides[1], sides[2], sides[0])
        last = self.outputs[0].shape
        return ModelFacts(
            height=height if height > 0 else None,
            width=width if width > 0 else None,
            channels=channels if channels > 0 else None,
            layout=layout,
            classes=last[-1] if len(last) == 2 and last[-1] > 1 else None,
        )

    def contract(self) -> dict[str, Any]:
        """Return what :func:`edgecnn.formats.embed` writes, as plain data."""
        return contract_document(self.require_spec(), self.recipe, self.provenance)


def contract_document(
    spec: ModelSpec,
    recipe: Recipe | None,
    provenance: Mapping[str, str],
    tensors: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the contract as it is embedded; ``tensors`` maps names to quantization, for ONNX."""
    document: dict[str, Any] = {"spec": spec.to_dict(), "provenance": dict(provenance)}
    if recipe is not None:
        document["recipe"] = recipe.to_dict()
    if tensors:
        document["tensors"] = {name: dict(quant) for name, quant in tensors.items()}
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
    return Artifact(
        path=location,
        format=format_name,
        spec=ModelSpec.from_dict(contract["spec"]) if "spec" in contract else None,
        recipe=Recipe.from_dict(contract["recipe"]) if "recipe" in contract else None,
        inputs=contents.inputs,
        outputs=contents.outputs,
        provenance={str(k): str(v) for k, v in (contract.get("provenance") or {}).items()},
    )
