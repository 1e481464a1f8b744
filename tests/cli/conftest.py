"""What the tests of verbs that read a benchmark share: one real run, measured once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GOLDEN
from tests.golden.make import save_data


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a short, real ``edgecnn bench --out`` of two golden files wrote."""
    place = tmp_path_factory.mktemp("measured")
    data = save_data(place / "stripes.npz", 60)
    files = [str(GOLDEN / name) for name in ("tiny_float32.tflite", "tiny_int8.tflite")]
    words = ["bench", *files, "--reference", str(GOLDEN / "tiny_float32.onnx"), "--data", str(data)]
    limits = ["--rounds", "3", "--max-seconds", "0.5", "--out", str(place / "bench")]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *words, *limits], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return place / "bench"
