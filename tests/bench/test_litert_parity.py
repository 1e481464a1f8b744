"""The committed comparison with LiteRT's own benchmark command still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.conftest import skip

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "litert_parity.py"


def test_smoke(golden: Callable[[str], Path], tmp_path: Path) -> None:
    try:
        import_module("ai_edge_litert.tools.benchmark_litert_model")
    except ImportError as error:
        skip(f"litert-benchmark is not installed: {error}")
    out = tmp_path / "parity.json"
    model = golden("tiny_float32.tflite")
    words = [sys.executable, SCRIPT, "--smoke", model, "--out", out]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(out.read_text())["results"]
    assert found["file"] == model.name
    assert found["host"]["processor"]
    assert len(found["edgecnn_p50_ms"]) == len(found["litert_benchmark_median_ms"]) == 1
