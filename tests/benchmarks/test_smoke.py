"""Every committed experiment still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_script_is_known() -> None:
    """Those that no test here runs have tests of their own (two of them), or are a part of another."""
    assert sorted(path.name for path in (ROOT / "benchmarks").glob("*.py")) == [
        "export_time.py",
        "litert_parity.py",
        "planted.py",
        "process_noise.py",
        "quantization.py",
        "startup.py",
    ]


@pytest.mark.parametrize("name", ["export_time.py", "quantization.py", "startup.py"])
def test_benchmarks_smoke(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    command = [sys.executable, ROOT / "benchmarks" / name, "--smoke", "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = out / "quantization.json" if out.is_dir() else out
    assert written.stat().st_size > 100
