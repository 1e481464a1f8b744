"""Libraries that write pages of text from C++ are kept off the terminal. Knows no library."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[Callable[[], str]]:
    """Hold back both output streams of the process, at the file-descriptor level.

    Yields a function that returns what has been held back so far, for an error message.
    """
    _flush()
    with tempfile.TemporaryFile() as held:

        def said() -> str:
            held.seek(0)
            return held.read().decode(errors="replace")

        saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2) if _is_open(descriptor)}
        try:
            for descriptor in saved:
                os.dup2(held.fileno(), descriptor)
            yield said
        finally:
            _flush()
            for descriptor, original in saved.items():
                os.dup2(original, descriptor)
                os.close(original)


def _is_open(descriptor: int) -> bool:
    """A service may be started with its output closed."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
