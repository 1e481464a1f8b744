"""The program at the other end of ``bench --host``: it takes files in, runs the benchmark, removes everything.

Its source is sent through ssh and run by the board's Python, so it needs nothing but the standard
library and must not import anything of edgecnn. It lives as long as its standard input: when that
ends, because the asker was interrupted or the connection died, it ends what it started and removes
its folder. Each thing that it says is one line on standard output, a token and a JSON mapping, so that
a greeting of the login shell is not taken for one.
"""

from __future__ import annotations

import compileall
import contextlib
import ctypes
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PREFIX = "edgecnn-bench-"
#: A benchmark that is told to end writes what it has; then it is killed.
GRACE_S = 10.0
#: Room for what the benchmark itself writes: compiled modules, its report, the workers' answers.
SPARE_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 20
_SAID_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_TRY_IMPORTS = """
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print("import: " + json.dumps([name, type(error).__name__ + ": " + str(error)]), flush=True)
    else:
        print("import: " + json.dumps([name, ""]), flush=True)
"""


def main() -> None:
    """Serve one asker; ``sys.argv[1]`` is the token."""
    for number in _ENDING:
        signal.signal(number, _leave)
    # Whoever is told something may have left: nobody is left to complain to, and everything is removed.
    with contextlib.suppress(BrokenPipeError):
        Board(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer).serve()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in a buffer must not fail at exit


def _leave(number: int, frame: object) -> None:
    _be_deaf()  # what is under way now is the removal
    sys.exit(128 + number)


def _be_deaf() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


class Board:
    """One visit of one asker.

    Args:
        token: begins every line that is said.
        heard, told: the two ends of the connection.
    """

    def __init__(self, token: str, heard: BinaryIO, told: BinaryIO) -> None:
        self._token = token
        self._heard = heard
        self._told = told

    def say(self, document: dict[str, Any], payload: bytes = b"") -> None:
        """Tell one mapping, and after it ``payload``, whose length is its ``bytes``."""
        line = {**document, "bytes": len(payload)} if payload else document
        self._told.write(f"{self._token} {json.dumps(line)}\n".encode() + payload)
        self._told.flush()

    def hear(self) -> dict[str, Any] | None:
        """Return the next mapping that is asked; ``None`` if the asker left."""
        line = self._heard.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def serve(self) -> None:
        """Say what is there, take the order, carry it out in a private folder, and remove that."""
        asked = self.hear()
        if asked is None:
            return
        if "forgotten" in asked:
            self._clear(asked["forgotten"], asked["pid"])
            return
        modules, engines = import_failures(asked["modules"]), [name for name in asked["engines"] if is_there(name)]
        python = list(sys.version_info[:3])
        self.say({"hello": python, "pid": os.getpid(), "failures": modules, "engines": engines})
        order = self.hear()
        if order is None:
            return
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        except OSError as error:
            self.say({"failed": f"cannot make a folder: {error.strerror}", "full": error.errno == errno.ENOSPC})
            return
        try:
            self.say({"folder": str(folder)})
            self._carry_out(order, folder)
        finally:
            self._remove(folder)

    def _carry_out(self, order: dict[str, Any], folder: Path) -> None:
        needed = sum(size for _, size in order["files"]) + SPARE_BYTES
        free = shutil.disk_usage(folder).free
        if needed > free:
            text = f"{needed / 1e6:.0f} MB are needed in {str(folder.parent)!r}, {free / 1e6:.0f} MB are free"
            self.say({"failed": text, "full": True})
            return
        self.say({"send": True})
        try:
            complete = self._receive(order["files"], folder)
        except OSError as error:
            self.say({"failed": f"cannot write: {error.strerror}", "full": error.errno == errno.ENOSPC})
            return
        if complete:
            self._run(order["words"], order["variables"], folder)

    def _receive(self, files: list[tuple[str, int]], folder: Path) -> bool:
        """Write what comes; a name that ends with ``/`` is a folder. Return whether all of it came."""
        for name, size in files:
            target = folder / name
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as stream:
                left = size
                while left:
                    block = self._heard.read(min(left, _BLOCK_BYTES))
                    if not block:
                        return False
                    stream.write(block)
                    left -= len(block)
        return True

    def _run(self, words: list[str], variables: dict[str, str], folder: Path) -> None:
        scratch = folder / "tmp"  # whatever a killed benchmark leaves goes with the folder
        scratch.mkdir()
        # Before anything is timed: the first worker must not be the one that compiles.
        compileall.compile_dir(folder / "edgecnn", quiet=2)
        search = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, **variables, "TMPDIR": str(scratch), "PYTHONPATH": search}
        with (folder / "said").open("w+b") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", "edgecnn", *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (no thread runs yet)
            )
            try:
                threading.Thread(target=self._end_when_left, args=(child,), daemon=True).start()
                code = child.wait()
            finally:
                end(child)
            said.seek(0)
            text = said.read(_SAID_BYTES).decode(errors="replace")
        results = folder / "out" / "results.json"
        payload = results.read_bytes() if results.is_file() else b""
        self.say({"ended": code, "said": "" if payload else text}, payload)

    def _end_when_left(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for the end of what is heard, then let the benchmark write what it has and end."""
        while os.read(self._heard.fileno(), 1):  # a thread inside a buffered read would hinder the exit
            pass
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            end(child)

    def _remove(self, folder: Path) -> None:
        _be_deaf()
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            self.say({"left": f"{error.filename}: {error.strerror}"})
        else:
            self.say({"removed": True})

    def _clear(self, folder: str, pid: int) -> None:
        """Remove what an earlier visit left, after its program, if it still runs, was told to do so itself."""
        deadline = time.monotonic() + GRACE_S + 5
        if self._is_ours(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while self._is_ours(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        if Path(folder).name.startswith(PREFIX):
            self._remove(Path(folder))

    def _is_ours(self, pid: int) -> bool:
        """Return whether that process is the program of that visit: only its command line has the token."""
        try:
            return pid != os.getpid() and self._token.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False


def import_failures(modules: list[str]) -> dict[str, str]:
    """Return those modules that cannot be imported, each with the reason; they are tried in another process."""
    done = subprocess.run(
        [sys.executable, "-c", _TRY_IMPORTS, *modules],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    lines = [line.partition("import: ") for line in done.stdout.decode(errors="replace").splitlines()]
    found = dict(json.loads(answer) for before, mark, answer in lines if mark and not before)
    for name in modules:
        if name not in found:
            found[name] = f"importing it ended Python with exit code {done.returncode}"
            break
    return {name: text for name, text in found.items() if text}


def is_there(module: str) -> bool:
    """Return whether a top-level module is installed, without importing it."""
    return importlib.util.find_spec(module) is not None


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group has ended by itself
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _die_with_parent() -> None:
    """Let the benchmark end if this program is killed, where the system offers that; its workers do the same."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
