"""Every committed experiment still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn.bench import read_reference

ROOT = Path(__file__).parents[2]
ALONE = ("export_time.py", "quantization.py", "startup.py", "verdicts.py")


def test_every_script_is_known() -> None:
    """All are run here, but for one that is a part of another."""
    scripts = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))
    assert scripts == sorted([*ALONE, "parity.py", "engines.py", "planted.py"])


@pytest.mark.parametrize("name", ALONE)
def test_benchmarks_smoke(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    command = [sys.executable, ROOT / "benchmarks" / name, "--smoke", "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = out / "quantization.json" if out.is_dir() else out
    assert written.stat().st_size > 100


def test_parity_smoke(golden: Callable[[str], Path], tmp_path: Path) -> None:
    files, out = [golden("tiny_float32.tflite"), golden("tiny_int8.onnx")], tmp_path / "parity.json"
    command = [sys.executable, ROOT / "benchmarks" / "parity.py", "--smoke", *files, "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert document["host"]["processor"]
    assert [found["file"] for found in document["results"]] == [file.name for file in files]
    for found in document["results"]:
        assert len(found["edgecnn_p50_ms"]) == len(found["peer_median_ms"]) == 1
        assert found["ratio"] > 0


def test_engines_smoke(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "engines.py", "--smoke", "--out", tmp_path / "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_reference(tmp_path / "out" / "reference_digits.json").probabilities.shape == (50, 10)
    assert "opencv_dnn" in (tmp_path / "out" / "engines_digits.md").read_text()
