"""``edgecnn reference``: made beside Keras, used where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.bench import read_reference
from edgecnn.errors import InputError
from edgecnn.files import write_json
from tests.golden.make import save_data

QUICK = ("--rounds", 1, "--runs", 20, "--max-seconds", 0.5)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stripes.npz and the reference.json of the golden Keras model on it."""
    folder = tmp_path_factory.mktemp("reference")
    save_data(folder / "stripes.npz", 60)
    words = ["reference", ROOT / "tests/golden/tiny.keras", "--data", "stripes.npz", *map(str, QUICK), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["reference"]["accuracy"] > 90
    assert "probabilities" not in document
    assert "wrote reference.json" in done.stderr
    return folder


def test_what_it_keeps(made: Path) -> None:
    reference = read_reference(made / "reference.json")
    assert reference.probabilities.shape == (60, 3)
    assert np.allclose(reference.probabilities.sum(axis=1), 1, atol=1e-5)
    assert reference.row.device is not None
    assert "CPU" in reference.row.device
    assert reference.row.rounds[0].throughput is not None
    assert reference.command[:2] == ("edgecnn", "reference")
    assert type(reference).from_dict(json.loads(json.dumps(reference.to_dict()))).to_dict() == reference.to_dict()


def test_files_are_compared_with_it_where_keras_cannot_be_imported(made: Path, golden: Callable[[str], Path]) -> None:
    """Keras and its backends are hidden from the process and its workers: as on a board with the edge extra."""
    hidden = made / "hidden"
    for name in ("keras", "tensorflow", "jax", "torch"):
        (hidden / name).mkdir(parents=True, exist_ok=True)
        (hidden / name / "__init__.py").write_text("raise ImportError('hidden')")
    environment = {**os.environ, "PYTHONPATH": str(hidden)}
    words = ["bench", golden("tiny_int8.tflite"), "--reference", "reference.json", "--data", "stripes.npz"]
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *words, *map(str, QUICK), "--json"],
        cwd=made, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (row,) = document["results"]
    assert row["agreement"] >= 95
    assert 0 < row["max_drift"] < 0.5
    assert document["reference"]["runtime"] == "keras"
    assert document["reference_host"]["processor"]
    lines = done.stderr.splitlines()
    assert any(line.startswith("tiny.keras (ref)") for line in lines)
    assert any("measured before on" in line for line in lines)


def test_other_pictures_than_the_references_are_refused(
    made: Path, edgecnn: Callable[..., Any], golden: Callable[[str], Path], tmp_path: Path
) -> None:
    with np.load(made / "stripes.npz") as stored:
        arrays = dict(stored)
    arrays["x_test"] = arrays["x_test"].copy()
    arrays["x_test"][3, 0, 0, 0] ^= 1  # one bit of one picture
    np.savez(tmp_path / "other.npz", **arrays)
    model, reference = golden("tiny_int8.tflite"), made / "reference.json"
    for data in (("--data", "other.npz"), ("--data", made / "stripes.npz", "--limit", 30)):
        done = edgecnn("bench", model, "--reference", reference, *data, *QUICK)
        assert done.code == 2, done.err
        assert "are others" in done.err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"kind": "results"}, "no reference"),
        ({"schema_version": 9}, "schema version 9"),
        ({"labels": ["a"]}, "do not fit"),
        ({"probabilities": {"shape": [60, 3], "deflated_float32": "AAAA"}}, "damaged"),
        ({"probabilities": {"shape": [1 << 40, 3], "deflated_float32": ""}}, "damaged"),
        ({"host": {}}, "host"),
    ],
)
def test_damaged_references_are_refused(made: Path, tmp_path: Path, damage: dict[str, Any], said: str) -> None:
    document = json.loads((made / "reference.json").read_text())
    write_json(tmp_path / "damaged.json", {**document, **damage})
    with pytest.raises(InputError, match=said):
        read_reference(tmp_path / "damaged.json")


def test_a_small_file_cannot_take_much_memory(made: Path, tmp_path: Path) -> None:
    """A deflated gigabyte of zeros is a megabyte: no more is inflated than the shape says."""
    import base64
    import zlib

    document = json.loads((made / "reference.json").read_text())
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    document["probabilities"] = {"shape": [60, 3], "deflated_float32": bomb}
    write_json(tmp_path / "bomb.json", document)
    with pytest.raises(InputError, match="721 bytes of answers, 720 expected"):
        read_reference(tmp_path / "bomb.json")


def test_wrong_usage(edgecnn: Callable[..., Any], golden: Callable[[str], Path], made: Path) -> None:
    for words in (
        (golden("tiny.keras"),),
        ("absent.keras", "--data", made / "stripes.npz"),
        (golden("tiny.keras"), "--data", "nonsense"),
    ):
        done = edgecnn("reference", *words)
        assert done.code == 2, (words, done.err)
        assert "Traceback" not in done.err
