"""Every committed experiment still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmarks_smoke(tmp_path: Path) -> None:
    scripts = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))
    assert scripts == [
        "accuracy.py",
        "litert_parity.py",
        "process_noise.py",
        "startup.py",
    ]  # two have tests of their own
    for name in ("accuracy.py", "startup.py"):
        out = tmp_path / f"{name}.json"
        command = [sys.executable, ROOT / "benchmarks" / name, "--smoke", "--out", out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert out.stat().st_size > 100
