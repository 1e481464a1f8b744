"""The committed measurement of what differs between processes of one file still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edgecnn.bench.results import PROCESS_NOISE

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "process_noise.py"


def test_smoke(golden: Callable[[str], Path], tmp_path: Path) -> None:
    out, model = tmp_path / "noise.json", golden("tiny_int8.tflite")
    done = subprocess.run(
        [sys.executable, SCRIPT, model, "--smoke", "--out", out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert document["process_noise"] == PROCESS_NOISE
    assert document["host"]["processor"]
    found = document["results"][model.name]
    assert (found["pairs"], len(found["p50_ms"][0])) == (1, 2)
    assert 1 <= found["ratio"]["p50"] == found["ratio"]["max"]
    assert found["share_told_apart"] in (0, 1)
