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
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:

        def said() -> str:
            held.seek(0)
            return held.read().decode(errors="replace")

        saved = os.dup(1), os.dup(2)
        try:
            os.dup2(held.fileno(), 1)
            os.dup2(held.fileno(), 2)
            yield said
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)
