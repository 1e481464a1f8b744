"""A real OpenSSH server on the loopback, and a board's Python that has what a board has and no more."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

#: What a board needs; without tqdm, Keras, or edgecnn itself.
DISTRIBUTIONS = (
    "numpy", "psutil", "PyYAML", "opencv-python-headless",
    "ai-edge-litert", "onnxruntime", "flatbuffers", "protobuf", "backports.strenum", "packaging", "typing_extensions",
)  # fmt: skip
ALIAS = "board"
SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def make_key(path: Path) -> str:
    """Make a key pair without a passphrase; return its public line."""
    subprocess.run(
        [shutil.which("ssh-keygen") or "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True
    )
    return path.with_suffix(".pub").read_text()


@dataclass
class Server:
    """A server that lets in one key, with a folder for its temporary files and its log.

    ``config`` is the client's: its host ``board`` is this server.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def temporary(self) -> Path:
        """Where everything that runs at the other end puts its temporary files; its name has a space."""
        return self.folder / "board's tmp"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def commands(self) -> int:
        """How many commands were run."""
        return self.log.count("Starting session: command")

    @property
    def env(self) -> dict[str, str]:
        return {"EDGECNN_SSH_CONFIG": str(self.config)}

    def sessions(self) -> list[psutil.Process]:
        """Return the server's processes that serve a connection."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def left(self) -> list[str]:
        """Return what is in the folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())

    def is_clean(self, seconds: float = 30) -> bool:
        """Return whether neither files nor processes are left, at the latest after a while."""
        deadline = time.monotonic() + seconds
        while (self.left() or self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.left() and not self.processes()

    def processes(self) -> list[psutil.Process]:
        """Return what runs at the other end: it is known by its folder for temporary files."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TMPDIR", "").startswith(str(self.temporary)):
                    found.append(process)
        return found

    def stop(self) -> None:
        running = [*self.sessions(), *self.processes()]
        self.process.kill()  # first, so that nobody who was cut off connects again
        self.process.wait()
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def start_server(folder: Path, *lines: str, tmpdir: Path | None = None) -> Server:
    """Start a server with further lines of configuration, which win, in an empty folder."""
    assert SSHD is not None
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # the service would make it
    folder.mkdir()
    host_key = make_key(folder / "host_key")
    (folder / "authorized_keys").write_text(make_key(folder / "key"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server_config = [
        *lines,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f'HostKey "{folder}/host_key"',
        f'AuthorizedKeysFile "{folder}/authorized_keys"',
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "LogLevel VERBOSE",
        f'SetEnv "TMPDIR={tmpdir or folder / chr(39).join(["board", "s tmp"])}"',
    ]
    (folder / "sshd_config").write_text("\n".join(server_config) + "\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "ssh_config").write_text(
        f"Host {ALIAS}\n  HostName 127.0.0.1\n  Port {port}\n"
        f'  IdentityFile "{folder}/key"\n  IdentitiesOnly yes\n  UserKnownHostsFile "{folder}/known_hosts"\n'
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    server = Server(process, folder, port)
    server.temporary.mkdir()
    for _ in range(100):
        if "Server listening" in server.log:
            return server
        time.sleep(0.1)
    server.stop()
    raise AssertionError(f"sshd did not start: {server.log}")


def make_python(folder: Path, distributions: tuple[str, ...] = DISTRIBUTIONS) -> Path:
    """Make an environment with links to some installed distributions, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    here = Path(sysconfig.get_paths()["purelib"])
    (there,) = folder.glob("lib/python*/site-packages")
    for name in distributions:
        with suppress(importlib.metadata.PackageNotFoundError):
            for file in importlib.metadata.files(name) or ():
                top = file.parts[0]
                if top != ".." and not (there / top).exists():
                    (there / top).symlink_to(here / top)
    return folder / "bin" / "python"
