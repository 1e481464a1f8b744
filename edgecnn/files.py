"""The one atomic writer of the project, and file hashes.

Every file that edgecnn writes goes through :func:`atomic_path`: it is written beside its
destination and renamed, so a killed run leaves the previous file whole. This module must not know
what is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecnn.errors import OutputError

_REMEDY = "free some space or choose another folder with --out"
#: What a writer that is handed the temporary path meets on a full disk, over its quota or its size limit.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_STEM = 40  # of a temporary file's name: with its random part it must fit where a long name just fits

#: A list of numbers as ``json`` indents it. No string holds a line break, so none is taken for one.
_NUMBERS = re.compile(r"\[\n\s+((?:-?[\d.eE+-]+,\n\s+)*-?[\d.eE+-]+)\n\s+\]")

# The kernel tells the umask only while setting it; once, at import, before there are threads to disturb.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


def ensure_folder(folder: Path) -> Path:
    """Create ``folder`` (and parents) and check that it can be written to.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to folder {str(folder)!r}: {error.strerror}", _REMEDY) from error
    return folder


@contextmanager
def atomic_path(destination: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``destination``; rename it over ``destination`` on success.

    The temporary file keeps the suffix of ``destination`` (Keras and OpenCV choose by it) and is
    removed on any exception, interruption included.

    Raises:
        OutputError: the file system refused (full disk, no permission, a name too long). Other errors of
            the body pass: what it reads is not the destination's fault.
    """
    ensure_folder(destination.parent)
    try:
        handle, name = tempfile.mkstemp(
            dir=destination.parent,
            prefix=f".{destination.stem[:_LONGEST_STEM]}.",
            suffix=f".part{destination.suffix}",
        )
        os.close(handle)
    except OSError as error:
        raise _refused(destination, error) from error
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in _FULL:
                raise _refused(destination, error) from error
            raise
        try:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o666 & ~_UMASK)  # mkstemp makes 0600; users expect their umask
            temporary.replace(destination)
        except OSError as error:
            raise _refused(destination, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _refused(destination: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {str(destination)!r}: {error.strerror}", _REMEDY)


def move(source: Path, destination: Path) -> None:
    """Rename a finished file to its place on the same file system, over an earlier one.

    Raises:
        OutputError: the file system refused.
    """
    ensure_folder(destination.parent)
    try:
        source.replace(destination)
    except OSError as error:
        raise _refused(destination, error) from error


def write_bytes(destination: Path, content: bytes) -> None:
    """Write ``content`` to ``destination`` atomically."""
    with atomic_path(destination) as temporary:
        temporary.write_bytes(content)


def write_text(destination: Path, content: str) -> None:
    """Write ``content`` to ``destination`` atomically, as UTF-8."""
    write_bytes(destination, content.encode())


def write_json(destination: Path, document: object) -> None:
    """Write ``document`` to ``destination`` atomically, as indented JSON; a list of numbers is one line."""
    text = json.dumps(document, indent=2, allow_nan=False)
    write_text(destination, _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
