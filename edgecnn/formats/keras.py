"""The contract inside ``.keras`` files: one more member of the zip archive that they are."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from edgecnn.formats import CONTRACT_KEY, FileContents, damaged, parse_contract

_MEMBER = f"{CONTRACT_KEY}.json"
_REQUIRED = ("config.json", "model.weights.h5")


def read(path: Path) -> FileContents:
    """Return the contract of a ``.keras`` file; its tensors are known only to Keras.

    Raises:
        InputError: the archive is damaged or holds no model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in _REQUIRED if name not in archive.namelist()]
            if missing:
                raise damaged(path, "Keras", f"it lacks {', '.join(missing)}")
            bad = archive.testzip()
            if bad is not None:
                raise damaged(path, "Keras", f"its member {bad} is corrupt")
            contract = parse_contract(archive.read(_MEMBER), path) if _MEMBER in archive.namelist() else None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise damaged(path, "Keras", error) from error
    return FileContents((), (), contract)


def config_of(path: Path) -> object:
    """Return the architecture inside a ``.keras`` file as plain data.

    Raises:
        InputError: it is no JSON.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise damaged(path, "Keras", error) from error


def with_contract(content: bytes, contract: bytes) -> bytes:
    """Return a ``.keras`` file's bytes with the contract as a member of the archive."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        for member in old.infolist():
            if member.filename != _MEMBER:
                new.writestr(member, old.read(member))
        # A fixed date: the same training gives the same file twice.
        new.writestr(zipfile.ZipInfo(_MEMBER), contract)
    return result.getvalue()
