"""One worker process: started, watched, ended, and its end put into one sentence.

Whatever a model file does to its worker (segmentation fault, endless loop, a page of garbage, an
exit), this module gives back an :class:`Outcome`. It must not know what the worker is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

#: The worker gets the module search path of this process, so that no file of the current folder
#: (which ``-m`` and ``-c`` would search first) is ever taken for a module.
BOOT = "import sys; sys.path[:] = sys.argv[1:]; from edgecnn.bench.worker import main; main()"
_TAIL_BYTES = 4096
_SIGNAL_WORDS = {"SIGSEGV": "segmentation fault", "SIGKILL": "killed, perhaps for lack of memory", "SIGABRT": "aborted"}


@dataclass(frozen=True)
class Outcome:
    """How a worker ended.

    ``status`` as of a result, ``reason`` unless ok; ``response`` is the last one that it wrote, if
    any, whatever became of the worker afterwards.
    """

    status: str
    reason: str | None = None
    response: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.status == "ok"


def run_worker(request: Mapping[str, Any], folder: Path, timeout_s: float) -> Outcome:
    """Run one worker on a request and return how it ended; no process of it is left behind.

    Args:
        request: plain data; ``response_path`` and ``parent`` are added.
        folder: empty, private to this worker; its response and its output are written there.
        timeout_s: after it the worker and its children are killed.
    """
    response_path = folder / "response.json"
    document = {**request, "response_path": str(response_path), "parent": os.getpid()}
    with (folder / "stdout").open("w+b") as stdout, (folder / "stderr").open("w+b") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", BOOT, *sys.path],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(document).encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)  # before its response is read, so that it cannot change any more
            reason = f"no answer within {timeout_s:g} s (raise --timeout if it only needs longer)"
            return replace(_outcome(0, response_path, (stderr, stdout)), status="timeout", reason=reason)
        finally:
            # Also on Ctrl-C, SIGTERM, or a bug here: the whole group ends with this call.
            _end(process)
        return _outcome(process.returncode, response_path, (stderr, stdout))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(returncode: int, response_path: Path, outputs: tuple[IO[bytes], ...]) -> Outcome:
    response = None
    with contextlib.suppress(FileNotFoundError):
        try:
            response = json.loads(response_path.read_bytes())
        except ValueError as error:
            return Outcome("failed", f"the worker's result is no JSON: {error}")
        if not isinstance(response, dict):
            return Outcome("failed", f"the worker's result is a {type(response).__name__}, not a mapping")
    if returncode < 0:
        return Outcome("crashed", f"the worker died of {_signal_name(-returncode)}", response)
    if returncode or response is None:
        said = next(filter(None, map(_last_line, outputs)), "it said nothing")
        without = " and no result" if response is None else ""
        return Outcome("failed", f"the worker ended with exit code {returncode}{without}: {said}", response)
    if "error" in response:
        return Outcome("failed", str(response["error"]), response)
    return Outcome("ok", response=response)


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} ({_SIGNAL_WORDS.get(name, signal.strsignal(number) or 'a signal')})"


def _last_line(stream: IO[bytes]) -> str:
    """Return the last line with something on it, printable, at most 200 characters."""
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - _TAIL_BYTES))
    lines = stream.read().decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(character if character.isprintable() else "?" for character in last)[:200]
