"""Reading and writing the contract inside model files, one module per format.

Nothing here may import an inference engine, TensorFlow or onnx: the bytes are parsed as data, with
every offset checked, so that a file from anywhere can fail but do no harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError
from edgecnn.files import atomic_path
from edgecnn.spec import shown
from edgecnn.tensors import TensorInfo

#: The key under which the contract is stored, in every format.
CONTRACT_KEY = "edgecnn"
CONTRACT_SCHEMA_VERSION = 1
#: Bytes. A contract of a thousand labels has some twenty kilobytes: what is larger was made to do harm.
LARGEST_CONTRACT = 16 << 20


@dataclass(frozen=True)
class FileContents:
    """What the bytes of a model file tell: its tensors and, if it carries one, its contract."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    contract: Mapping[str, Any] | None


def damaged(path: Path, what: str, why: object) -> InputError:
    """Return the error for a file whose bytes do not hold together."""
    return InputError(
        f"{str(path)!r} is no readable {what} file: {why}", "it may be truncated: copy or export it again"
    )


def sniff(path: Path) -> str:
    """Return ``tflite``, ``onnx``, ``keras`` or ``h5`` from the first bytes of a file.

    Raises:
        InputError: the file cannot be read or is none of these.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}", "check the path") from error
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[:4] == b"PK\x03\x04":
        return "keras"
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return "h5"
    if path.suffix.lower() == ".onnx" and head:
        return "onnx"
    raise InputError(
        f"{str(path)!r} is no model file that edgecnn knows ({'empty' if not head else 'unknown first bytes'})",
        "give a .tflite, .onnx, .keras or .h5 file",
    )


def read(path: Path, format_name: str) -> FileContents:
    """Return the tensors and the contract of a model file.

    Raises:
        InputError: the file is damaged.
    """
    reader: Callable[[Path], FileContents] = import_module(f"edgecnn.formats.{format_name}").read
    return reader(path)


def embed(path: Path, format_name: str, contract: Mapping[str, Any], *, into: Path | None = None) -> None:
    """Write the model at ``path`` with ``contract`` inside to ``into`` (``path`` itself by default), atomically.

    An earlier contract is replaced.

    Raises:
        InputError: the model cannot be read, or its format carries no contract.
        OutputError: the file cannot be written.
    """
    writer: Callable[[bytes, bytes], bytes] = import_module(f"edgecnn.formats.{format_name}").with_contract
    document = {"schema_version": CONTRACT_SCHEMA_VERSION, **contract}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}", "check the path") from error
    content = writer(content, text)
    with atomic_path(into or path) as temporary:
        temporary.write_bytes(content)


def parse_contract(text: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON contract found in a file.

    Raises:
        InputError: it is too large or no JSON object, or was written by a later edgecnn.
    """
    if len(text) > LARGEST_CONTRACT:
        raise InputError(
            f"the contract inside {str(path)!r} has {len(text)} bytes, more than {LARGEST_CONTRACT}",
            "export the model again",
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the contract inside {str(path)!r} is no JSON: {error}", "export the model again") from error
    if not isinstance(document, dict):
        raise InputError(f"the contract inside {str(path)!r} is no mapping", "export the model again")
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version > CONTRACT_SCHEMA_VERSION:
        raise InputError(
            f"the contract inside {str(path)!r} is of schema {shown(version)}, later than {CONTRACT_SCHEMA_VERSION}",
            "pip install --upgrade edgecnn",
        )
    return document
