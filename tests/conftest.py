"""What all tests share: the one skip helper, data of others, golden files, the command line in a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"


def skip(reason: str) -> NoReturn:
    """Skip, saying why; where EDGECNN_NO_SKIPS is set, fail instead."""
    if os.environ.get("EDGECNN_NO_SKIPS"):
        pytest.fail(f"would skip, and EDGECNN_NO_SKIPS is set: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def test_data() -> Callable[[str], Path]:
    """Return a path inside the folder of real data that EDGECNN_TEST_DATA names."""

    def find(relative: str) -> Path:
        folder = os.environ.get("EDGECNN_TEST_DATA")
        if not folder:
            skip("EDGECNN_TEST_DATA is not set")
        path = Path(folder).resolve() / relative
        if not path.exists():
            skip(f"{relative} is not in EDGECNN_TEST_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def cifar10(test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return cifar10.npz (uint8 RGB, Keras layout), unpacked once per run."""
    out = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, test_data("unpack.py"), out], check=True)
    return out / "cifar10.npz"


@dataclass(frozen=True)
class Finished:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that --json promises."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


@pytest.fixture
def edgecnn(tmp_path: Path) -> Callable[..., Finished]:
    """Run ``edgecnn ...`` in a fresh process, in ``tmp_path``."""

    def run(
        *words: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 300
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "edgecnn", *map(str, words)],
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str], Path]:
    """Return a private copy of a golden model file."""

    def copy(name: str) -> Path:
        return Path(shutil.copy(GOLDEN / name, tmp_path / name))

    return copy


@pytest.fixture
def striped_pictures() -> np.ndarray:
    """Sixty 8x8 RGB pictures of three classes, brightest in red, green or blue: what the golden models know."""
    from tests.golden.make import pictures

    return pictures(60, seed=7)[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for 16 kB (a tmpfs: mounting one needs root)."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        skip("cannot mount a tmpfs here: it needs root")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", folder], check=True)
