"""Keras' older ``.h5`` files. They carry no contract; only Keras' own reader sees inside."""

from __future__ import annotations

from pathlib import Path

from edgecnn.errors import InputError
from edgecnn.formats import FileContents


def read(path: Path) -> FileContents:
    """Return nothing known: an ``.h5`` file tells its tensors to Keras alone."""
    return FileContents((), (), None)


def with_contract(content: bytes, contract: bytes) -> bytes:
    """Refuse: edgecnn writes ``.keras``.

    Raises:
        InputError: always.
    """
    raise InputError("an .h5 file cannot carry a contract", "save the model as .keras")
