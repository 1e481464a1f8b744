"""Every committed experiment still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmarks_smoke(tmp_path: Path) -> None:
    scripts = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))
    assert scripts == [
        "litert_parity.py",
        "planted.py",
        "process_noise.py",
        "quantization.py",
        "startup.py",
    ]  # two have tests of their own, one is a part
    for name in ("startup.py", "quantization.py"):
        out = tmp_path / f"{name}.json"
        command = [sys.executable, ROOT / "benchmarks" / name, "--smoke", "--out", out]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        written = out / "quantization.json" if out.is_dir() else out
        assert written.stat().st_size > 100
