"""A connection to a board by the system's ``ssh``, and its failures in words.

The user's own configuration, keys and agent are used; the options here only forbid what must not
happen: a password asked for, a host key taken on trust, something forwarded. This module must not
know what is benchmarked: it starts :mod:`edgecnn.bench.board` at the other end and carries lines.
"""

from __future__ import annotations

import json
import os
import queue
import re
import secrets
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from edgecnn.errors import EdgecnnError, InputError
from edgecnn.reporter import told_progress

#: Names a configuration file for ``ssh -F``, in place of ``~/.ssh/config``.
CONFIG_VARIABLE = "EDGECNN_SSH_CONFIG"
CONNECT_TIMEOUT_S = 15
#: What the board may say at once: raw samples of a thousand rows are far less.
LARGEST_PAYLOAD_BYTES = 256 << 20
_LONGEST_LINE_BYTES = 1 << 20
_OPTIONS = (
    "BatchMode=yes",
    "PreferredAuthentications=publickey",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    f"ConnectTimeout={CONNECT_TIMEOUT_S}",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    # An open connection of the user's would be used with the options that it was opened with.
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "LogLevel=INFO",
)
#: A user's configuration may hand the host's name to a shell (ProxyCommand): it must mean nothing there.
_MEANS_SOMETHING_TO_A_SHELL = set("'`\"$\\;&<>|(){}*?!#")
_OLDEST_PYTHON = (3, 10)


class HostError(EdgecnnError):
    """The board cannot be reached, or what runs there failed."""


class MissingOnBoard(EdgecnnError):
    """Something is not installed on the board; the remedy is the line that cures it."""

    exit_code = 3


@dataclass(frozen=True)
class Board:
    """Where to run.

    Args:
        host: as ``ssh`` takes it: ``user@board``, an alias of its configuration, ``ssh://user@board:port``.
        python: the board's interpreter: a command, or a path, relative to the home folder or absolute.

    Raises:
        InputError: ``ssh`` or a shell would take one of them for something else.
    """

    host: str
    python: str = "python3"

    def __post_init__(self) -> None:
        odd = not self.host.isprintable() or any(char.isspace() for char in self.host)
        if not self.host or odd or _MEANS_SOMETHING_TO_A_SHELL & set(self.host):
            raise InputError(f"{self.host!r} is no name of a host", "give --host user@board")
        if any(part.startswith("-") for part in re.split("@|//", self.host)):
            raise InputError(f"host {self.host!r} begins with '-': ssh would take it for an option", "correct the name")
        if not self.python.strip() or not self.python.isprintable() or self.python.startswith("-"):
            raise InputError(f"{self.python!r} is no name of an interpreter", "give --host-python PATH")

    @property
    def python_word(self) -> str:
        """The interpreter, quoted for the board's shell; ``~/`` stays what it means."""
        home = "~/" if self.python.startswith("~/") else ""
        return home + shlex.quote(self.python.removeprefix(home))

    def ssh_words(self, command: str) -> list[str]:
        """Return the words that run a command there."""
        config = os.environ.get(CONFIG_VARIABLE)
        options = [word for option in _OPTIONS for word in ("-o", option)]
        return ["ssh", *(["-F", config] if config else []), *options, "--", self.host, command]


class Connection:
    """The program of :mod:`edgecnn.bench.board`, started on a board through ssh.

    Args:
        board: where.
        token: begins every line that the program says; of an earlier connection, or a new one.
        on_progress: is called, in another thread, with label, done and total, as the benchmark goes on.

    Raises:
        MissingOnBoard: this machine has no ``ssh``.
    """

    def __init__(
        self, board: Board, *, token: str = "", on_progress: Callable[[str, int, int], object] | None = None
    ) -> None:
        self.board = board
        self.token = token or f"edgecnn-{secrets.token_hex(16)}"
        self.greeted = False
        self._on_progress = on_progress
        self._said: deque[str] = deque(maxlen=200)
        self._frames: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        program = (Path(__file__).parent / "board.py").read_bytes()
        # One line without quotes or variables: the login shell may be any.
        start = f"import sys;exec(sys.stdin.buffer.read({len(program)}))"
        command = f"{board.python_word} -c {shlex.quote(start)} {self.token}"
        try:
            # A session of its own: Ctrl-C at the terminal is for this program, which then ends ssh in order.
            self._process = subprocess.Popen(
                board.ssh_words(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingOnBoard("ssh is not installed on this machine", "install OpenSSH's client") from error
        self._input = cast("IO[bytes]", self._process.stdin)
        self._threads = [
            threading.Thread(target=work, args=(stream,), daemon=True)
            for work, stream in ((self._read_frames, self._process.stdout), (self._read_said, self._process.stderr))
        ]
        for thread in self._threads:
            thread.start()
        self.send(program)

    def send(self, content: bytes) -> bool:
        """Send bytes; return whether there was still somebody to take them."""
        left = memoryview(content)
        try:
            while left:  # past the stream's buffer, which could not be closed while nobody takes what is in it
                left = left[os.write(self._input.fileno(), left) :]
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ask(self, document: dict[str, Any]) -> bool:
        """Send one mapping as a line."""
        return self.send(json.dumps(document).encode() + b"\n")

    def leave(self) -> None:
        """End what the board hears: it ends what it started, removes its folder and leaves too."""
        self._input.close()

    def frame(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Return the next mapping that the board says; ``None`` at the end of the connection.

        Raises:
            HostError: what it says is damaged.
            queue.Empty: nothing was said in time.
        """
        found = self._frames.get(timeout=timeout_s)
        if found is None:
            self._frames.put(None)  # the end stays the end
        elif "damaged" in found:
            raise HostError(f"{self.board.host} said something that makes no sense: {found['damaged']}", "run it again")
        return found

    def close(self) -> None:
        """Leave, and end ssh if it does not do so by itself."""
        self.leave()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def failure(self) -> EdgecnnError:
        """Return why the connection ended, in words; for when it did."""
        self.leave()
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for thread in self._threads:
            thread.join(5)
        return refusal(self.board, code, self.said, greeted=self.greeted)

    @property
    def said(self) -> list[str]:
        """The last lines on standard error, of ssh and of what ran."""
        return list(self._said)

    def _read_said(self, stream: IO[bytes]) -> None:
        while line := stream.readline(_LONGEST_LINE_BYTES):
            text = line.decode(errors="replace").strip()
            progress = told_progress(text) if self.greeted else None
            if progress is None:
                self._said.append(text[:500])
            elif self._on_progress is not None:
                self._on_progress(*progress)

    def _read_frames(self, stream: IO[bytes]) -> None:
        try:
            while line := stream.readline(_LONGEST_LINE_BYTES):
                if line.startswith(self.token.encode() + b" "):
                    found = _frame(line[len(self.token) + 1 :], stream)
                    if found is None:
                        break
                    self.greeted = True
                    self._frames.put(found)
        except (ValueError, RecursionError) as error:
            self._frames.put({"damaged": str(error)})
        self._frames.put(None)


def _frame(line: bytes, stream: IO[bytes]) -> dict[str, Any] | None:
    """Return one mapping with its ``payload``; ``None`` if the connection ended in the middle of that.

    Raises:
        ValueError: it is damaged.
    """
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__} instead of a mapping")  # noqa: TRY004  (one kind of damage)
    size = found.pop("bytes", 0)
    if not isinstance(size, int) or not 0 <= size <= LARGEST_PAYLOAD_BYTES:
        raise ValueError(f"{size!r} bytes of results")
    payload = stream.read(size)
    return {**found, "payload": payload} if len(payload) == size else None


def refusal(board: Board, code: int, said: list[str], *, greeted: bool) -> EdgecnnError:
    """Return the error for a connection that ended with an exit code of ssh and lines on its standard error."""
    host, text, last = board.host, "\n".join(said), next((line for line in reversed(said) if line), "it said nothing")
    if greeted:
        return HostError(f"the connection to {host} was lost: {last}", "see to the network and the board, run it again")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text or "host key has changed" in text:
        return HostError(
            f"the key of {host} is not the one that is known: nothing was sent",
            f"if the board was set up anew, ssh-keygen -R forgets the old key; then run ssh {host} once and compare "
            "the new key's fingerprint with the board's own. If not, somebody may be in between",
        )
    if "Host key verification failed" in text or "host key is known for" in text:
        return HostError(
            f"the key of {host} is not known: nothing was sent",
            f"run ssh {host} once, compare the fingerprint with what ssh-keygen -lf "
            "/etc/ssh/ssh_host_ed25519_key.pub says on the board and accept it, or add the line of ssh-keyscan to "
            "~/.ssh/known_hosts",
        )
    if "Could not resolve hostname" in text:
        return HostError(f"no host called {host} is found: {last}", "check its name, or give its address")
    if "Permission denied" in text and code == 255:
        return HostError(
            f"{host} did not let us in: {last}",
            f"only keys are tried: ssh-copy-id {host} installs yours, ssh-add gives one with a passphrase to the agent",
        )
    if code == 255:
        return HostError(f"cannot connect to {host}: {last}", f"see to it that ssh {host} works")
    if code in (126, 127):
        return MissingOnBoard(
            f"there is no {board.python!r} to run on {host}: {last}", "install Python there, or give --host-python PATH"
        )
    return HostError(f"{board.python!r} does not run on {host} (exit code {code}): {last}", "give --host-python PATH")


def require_python(board: Board, version: Any) -> None:
    """Refuse an interpreter that is too old for edgecnn.

    Raises:
        MissingOnBoard: it is.
        HostError: that is no version.
    """
    if not isinstance(version, list) or not all(isinstance(number, int) for number in version):
        raise HostError(f"{board.host} does not tell its Python's version", "run it again")
    if tuple(version) < _OLDEST_PYTHON:
        least, found = ".".join(map(str, _OLDEST_PYTHON)), ".".join(map(str, version))
        raise MissingOnBoard(
            f"{board.python!r} on {board.host} is Python {found}; {least} or later is needed", "give --host-python PATH"
        )
