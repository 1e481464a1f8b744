"""An engine whose behaviour is the name of the file that it opens: what a worker must survive."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError

PLANTED_BYTES = 64 * 1024 * 1024
#: What a worker runs in place of its own first line: the same, with this engine for .tflite files.
BOOT = (
    "import sys; sys.path[:] = sys.argv[1:]; from edgecnn import runtimes; "
    "runtimes.ENGINES['litert'] = runtimes.Engine('tests.bench.misbehaving', ('tflite',)); "
    "from edgecnn.bench.worker import main; main()"
)


class Misbehaving:
    name = "litert"
    version = "misbehaving 1"
    device = "CPU"
    batch: int | None = 1

    def __init__(self, artifact: Artifact) -> None:
        self.inputs, self.outputs = artifact.inputs, artifact.outputs
        self._path = artifact.path
        self._does, _, when = artifact.path.stem.partition("_")
        self._in_evaluation = when == "evaluated"
        self._timed: bytes | None = None
        self._kept: list[bytearray] = []
        if not artifact.path.exists():
            raise EngineError("no such file", "none")
        if self._does == "big":
            self._planted = np.ones(PLANTED_BYTES, np.uint8)

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        # All timed calls get one picture, the evaluation others.
        first, self._timed = self._timed is None, self._timed or tensors[0].tobytes()
        if not self._in_evaluation or (not first and tensors[0].tobytes() != self._timed):
            getattr(self, f"_{self._does}", lambda: None)()
        return [np.array([[0.7, 0.2, 0.1]], np.float32)]

    def _crash(self) -> None:
        ctypes.string_at(0)

    def _hang(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self._path.with_suffix(".pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)

    def _killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _exits(self) -> None:
        print("out of \x1b[31mluck\n", file=sys.stderr, flush=True)
        os._exit(7)

    def _leaks(self) -> None:
        self._kept.append(bytearray(1024))

    def _raises(self) -> None:
        raise ZeroDivisionError("a bug in the engine")

    def _refuses(self) -> None:
        raise EngineError("it does not like\nthis file", "give another")

    def _garbage(self) -> None:
        sys.stdout.write('{"labels": []}\n\x00\xff' * 100)
        sys.stdout.flush()


def import_engine() -> None:
    """Nothing to import."""


def open_model(artifact: Artifact, *, threads: int, trust: bool) -> Misbehaving:
    return Misbehaving(artifact)
