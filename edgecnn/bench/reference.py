"""A float model's answers and figures, kept in one JSON file: what others are compared with where it cannot run.

``reference.json`` is made beside a GPU and used on a board that has neither a GPU nor Keras. This
module must not know how anything is measured.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgecnn.bench.host import Host
from edgecnn.bench.results import BenchmarkResult
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.data import Dataset

KIND = "edgecnn reference"
SCHEMA_VERSION = 1
#: Answers of more than so many numbers are refused: a file of others must not take the memory.
LARGEST_ANSWERS = 1_000_000_000
_MAKE_ANEW = "make it again with edgecnn reference"


@dataclass(frozen=True)
class Reference:
    """What one float model answered, and what it cost.

    Args:
        row: its figures, as a row of a report; ``accuracy`` is in it.
        host: where they were measured.
        labels: class names in the model's order.
        probabilities: float32 (N, C), one row per picture.
        data, data_sha256, limit: the pictures, in order; ``limit`` as it was asked for.
        source_sha256: of the model file.
        edgecnn_version, created, command: of the run.

    Raises:
        InputError: the answers do not fit the labels, or are no probabilities.
    """

    row: BenchmarkResult
    host: Host
    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    data: str
    data_sha256: str
    limit: int | None
    source_sha256: str
    edgecnn_version: str
    created: str
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        if len(shape) != 2 or shape[0] < 1 or shape[1] != len(self.labels):
            raise InputError(f"answers of shape {shape} do not fit {len(self.labels)} labels", _MAKE_ANEW)
        if not np.isfinite(self.probabilities).all():
            raise InputError("the reference's answers hold NaN or infinity", _MAKE_ANEW)

    def require_data(self, dataset: Dataset) -> None:
        """Check that pictures are those that the reference answered, in the same order.

        Raises:
            InputError: they are not.
        """
        if len(dataset) != len(self.probabilities) or dataset.sha256() != self.data_sha256:
            limit = "" if self.limit is None else f" --limit {self.limit}"
            raise InputError(
                f"the reference was made on {len(self.probabilities):,} pictures of {self.data}, "
                f"these {len(dataset):,} of {dataset.name} are others",
                f"give the same data{limit}, or make the reference on this",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``reference.json``; answers are deflated float32, little-endian, in base64."""
        answers = np.ascontiguousarray(self.probabilities, "<f4").tobytes()
        return {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "reference": self.row.to_dict(raw=True),
            "host": self.host.to_dict(),
            "labels": list(self.labels),
            "data": {"name": self.data, "sha256": self.data_sha256, "limit": self.limit},
            "source_sha256": self.source_sha256,
            "edgecnn_version": self.edgecnn_version,
            "created": self.created,
            "command": list(self.command),
            "probabilities": {
                "shape": list(self.probabilities.shape),
                "deflated_float32": base64.b64encode(zlib.compress(answers, 9)).decode(),
            },
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Reference:
        """Return the reference of :meth:`to_dict`.

        Raises:
            InputError: it is no such document, of another version, or damaged.
        """
        if document.get("kind") != KIND:
            raise InputError("it is no reference", "make one with edgecnn reference MODEL --data DATA")
        if document.get("schema_version") != SCHEMA_VERSION:
            version = document.get("schema_version")
            raise InputError(f"it has schema version {version!r}, this edgecnn reads {SCHEMA_VERSION}", _MAKE_ANEW)
        try:
            data = document["data"]
            return cls(
                row=BenchmarkResult.from_dict(document["reference"]),
                host=Host.from_dict(document["host"]),
                labels=tuple(map(str, document["labels"])),
                probabilities=_inflated(document["probabilities"]),
                data=str(data["name"]),
                data_sha256=str(data["sha256"]),
                limit=None if data["limit"] is None else int(data["limit"]),
                source_sha256=str(document["source_sha256"]),
                edgecnn_version=str(document["edgecnn_version"]),
                created=str(document["created"]),
                command=tuple(map(str, document["command"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"it is damaged: {type(error).__name__}: {error}", _MAKE_ANEW) from error


def _inflated(document: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return the answers; never more memory than their shape says.

    Raises:
        ValueError: they are damaged, or do not have that shape.
    """
    pictures, classes = (int(side) for side in document["shape"])
    if min(pictures, classes) < 1 or pictures * classes > LARGEST_ANSWERS:
        raise ValueError(f"answers of {pictures} x {classes}")
    size = pictures * classes * 4
    try:
        content = zlib.decompressobj().decompress(
            base64.b64decode(document["deflated_float32"], validate=True), size + 1
        )
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"the answers cannot be inflated: {error}") from error
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes of answers, {size} expected")
    return np.frombuffer(content, "<f4").reshape(pictures, classes).astype(np.float32)


def read_reference(path: str | Path) -> Reference:
    """Return the reference in a JSON file.

    Raises:
        InputError: there is no such file, or it is no reference.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is no JSON: {error}", _MAKE_ANEW) from error
    try:
        return Reference.from_dict(document if isinstance(document, dict) else {})
    except InputError as error:
        raise InputError(f"{str(path)!r} cannot be the reference: {error.message}", error.remedy) from error
