"""The frame around every conversion: quiet while it works, one clear error when it fails."""

from __future__ import annotations

import errno
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from edgecnn.errors import EdgecnnError, EngineError, OutputError
from edgecnn.quiet import quiet

_TAIL_CHARACTERS = 600
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Do ``what`` (a sentence's subject: ``"the conversion to TFLite"``) without its libraries' noise.

    Raises:
        OutputError: the file system refused.
        EngineError: the work raised anything else but an :class:`EdgecnnError`.
    """
    with quiet() as said, _long_lived_left_alone():
        try:
            yield
        except (EdgecnnError, ModuleNotFoundError):
            raise
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise EngineError(f"{what} failed: {error}", "run it again; report it if it persists") from error
            raise OutputError(f"{what} could not write: {error.strerror}", "free some space") from error
        except Exception as error:  # the libraries raise whatever they like
            detail = (str(error) or said()).strip()[-_TAIL_CHARACTERS:]
            raise EngineError(
                f"{what} failed: {type(error).__name__}: {detail}",
                "the model may use a layer that the format does not have: try the other format",
            ) from error


@contextmanager
def _long_lived_left_alone() -> Iterator[None]:
    """Spare the garbage collector what lives already: beside TensorFlow each look at it takes 0.2 s."""
    frozen_before = gc.get_freeze_count() > 0  # a server's own doing: left as it is
    if not frozen_before:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()
