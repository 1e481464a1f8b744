"""A model file from anywhere may crash its engine: let a child process be the first to run it.

LiteRT checks a file's structure, not that every number in it is possible; a damaged file can end
the process by a signal that no handler turns into an error. This module must not know engines.
"""

from __future__ import annotations

import gc
import os
import signal
from contextlib import suppress

import numpy as np

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError
from edgecnn.quiet import quiet
from edgecnn.runtimes import open_runtime


def require_survivable(artifact: Artifact, engine: str | None = None) -> None:
    """Open the file and run it once on zeros in a forked child; return if the child lives.

    A plain refusal by the engine is no matter here: opening the file tells it better. Where there
    is no fork, and for Keras files (whose backend cannot be forked), nothing is checked.

    Raises:
        EngineError: the child was ended by a signal.
    """
    if not hasattr(os, "fork") or artifact.is_keras:
        return
    child = os.fork()
    if child == 0:
        _run_once(artifact, engine)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        raise EngineError(
            f"{str(artifact.path)!r} crashes its engine ({name})", "the file is damaged: copy or export it again"
        )


def _run_once(artifact: Artifact, engine: str | None) -> None:
    """Run the file and leave, whatever happens: the child must never return into the caller's code."""
    try:
        with quiet():
            _open_and_invoke(artifact, engine)
            gc.collect()  # closing a file that damaged the heap may be what ends the process
    finally:
        os._exit(0)


def _open_and_invoke(artifact: Artifact, engine: str | None) -> None:
    runtime = open_runtime(artifact, engine)
    shapes = [[max(side, 1) for side in tensor.shape] for tensor in runtime.inputs]
    # The parent opens the file too, and tells a refusal as it should be told.
    with suppress(Exception):
        runtime.invoke([np.zeros(shape, info.dtype) for shape, info in zip(shapes, runtime.inputs, strict=True)])
