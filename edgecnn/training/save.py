"""A trained model becomes one file with its contract inside, the same bytes for the same weights.

This module must not know how the model was trained.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecnn import formats
from edgecnn.artifact import contract_document
from edgecnn.files import atomic_path
from edgecnn.spec import ModelSpec

_SHARED_ID = "shared_object_id"


def _renumbered(node: Any, numbers: dict[int, int]) -> Any:
    """Return an architecture with its shared objects counted from 1 instead of by memory address."""
    if isinstance(node, list):
        return [_renumbered(child, numbers) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: numbers.setdefault(value, len(numbers) + 1) if key == _SHARED_ID else _renumbered(value, numbers)
        for key, value in node.items()
    }


def _reproducible(content: bytes) -> bytes:
    """Return a ``.keras`` archive without what differs between equal models: dates and memory addresses."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == "metadata.json":
                data = json.dumps({k: v for k, v in json.loads(data).items() if k != "date_saved"}).encode()
            elif member.filename == "config.json":
                data = json.dumps(_renumbered(json.loads(data), {})).encode()
            new.writestr(zipfile.ZipInfo(member.filename), data)  # dated 1980, the earliest that zip knows
    return result.getvalue()


def save_model(
    model: Any,
    path: Path,
    spec: ModelSpec,
    provenance: Mapping[str, str],
    trained_ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Write ``model.keras`` with its contract, atomically: the file appears whole or not at all.

    Args:
        model: a Keras model, best not compiled: an optimizer's state doubles or triples the file.
        path: with the suffix ``.keras``.
        spec: the contract.
        provenance: what the reader of a figure needs to repeat the training.
        trained_ranges: of the layers' outputs, where quantization-aware training has found them.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)
        temporary.write_bytes(_reproducible(temporary.read_bytes()))
        formats.embed(temporary, "keras", contract_document(spec, None, provenance, trained_ranges=trained_ranges))
