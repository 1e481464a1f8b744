"""The contract inside ``.keras`` files: one more member of the zip archive that they are."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

from edgecnn.formats import CONTRACT_KEY, LARGEST_CONTRACT, FileContents, damaged, parse_contract

_MEMBER = f"{CONTRACT_KEY}.json"
_CONFIG = "config.json"
_REQUIRED = (_CONFIG, "model.weights.h5")
_LARGEST_MEMBER = LARGEST_CONTRACT
#: What the zip reader raises on archives that are damaged, or made to confuse it.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, KeyError, ValueError, RuntimeError)


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return one small member, never unpacking more than the limit, whatever the archive claims."""
    info = archive.getinfo(name)
    if info.flag_bits & 1:
        raise zipfile.BadZipFile(f"its member {name} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"its member {name} is packed by method {info.compress_type}")
    if info.file_size > _LARGEST_MEMBER:
        raise zipfile.BadZipFile(f"its member {name} has {info.file_size} bytes, more than {_LARGEST_MEMBER}")
    with archive.open(info) as member:
        return member.read(_LARGEST_MEMBER + 1)


def _checked(archive: zipfile.ZipFile) -> None:
    missing = [name for name in _REQUIRED if name not in archive.namelist()]
    if missing:
        raise zipfile.BadZipFile(f"it lacks {', '.join(missing)}")
    if min(info.header_offset for info in archive.infolist()) != 0:
        raise zipfile.BadZipFile("it does not begin with the archive")


def read(path: Path) -> FileContents:
    """Return the contract of a ``.keras`` file; its tensors are known only to Keras.

    The weights are not unpacked: Keras checks their sum when it reads them.

    Raises:
        InputError: the archive is damaged or holds no model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _checked(archive)
            text = _read_member(archive, _MEMBER) if _MEMBER in archive.namelist() else None
    except _ZIP_ERRORS as error:
        raise damaged(path, "Keras", error) from error
    return FileContents((), (), None if text is None else parse_contract(text, path))


def config_of(path: Path) -> object:
    """Return the architecture inside a ``.keras`` file as plain data.

    Raises:
        InputError: the archive is damaged, or this is no JSON.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _checked(archive)
            return json.loads(_read_member(archive, _CONFIG))
    except _ZIP_ERRORS as error:
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
