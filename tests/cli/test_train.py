"""``edgecnn train``: the same weights for the same seed, one JSON document, clear refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from edgecnn.cli.main import run
from edgecnn.errors import EdgecnnError
from edgecnn.files import sha256_of


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb prepares its process; these tests share one."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def weights(path: Path) -> list[bytes]:
    return [np.asarray(weight).tobytes() for weight in keras.saving.load_model(path).get_weights()]


def test_a_seed_fixes_the_weights_across_processes(
    edgecnn: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "lenet5", "--data", "digits", "--epochs", "2", "--limit", "600", "--json"]
    documents = []
    for folder in ("one", "two"):
        done = edgecnn(*words, "--seed", "7", "--out", folder)
        assert done.code == 0, done.err
        documents.append(done.document)
        assert "epoch 2/2" in done.err
        assert "next: edgecnn export" in done.err
    one, two = (tmp_path / folder / "model.keras" for folder in ("one", "two"))
    assert weights(one) == weights(two)
    assert sha256_of(one) == sha256_of(two)
    assert documents[0]["test_accuracy"] == documents[1]["test_accuracy"]
    assert 10 < documents[0]["test_accuracy"] <= 100  # percent
    assert documents[0]["model"] == "one/model.keras"
    # The gate can fail: another seed gives other weights.
    assert run([*words, "--seed", "8", "--out", str(tmp_path / "three")]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["seed"] == "8"
    assert weights(one) != weights(tmp_path / "three" / "model.keras")


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["lenet", "--data", "digits"], 2, "did you mean 'lenet5'"),
        (["lenet5", "--data", "digit"], 2, "did you mean 'digits'"),
        (["lenet5"], 2, "--data"),
        (["lenet5", "--data", "digits", "--epochs", "0"], 2, "--epochs must be"),
        (["lenet5", "--data", "digits", "--epochs", "many"], 2, "--epochs"),
        (["lenet5", "--data", "digits", "--lr", "nan"], 2, "--lr must be"),
        (["lenet5", "--data", "digits", "--threads", "0"], 2, "--threads must be"),
        (["lenet5", "--data", "digits", "--alpha", "1"], 2, "has no --alpha"),
        (["lenet5", "--data", "digits", "--input-size", "-3x"], 2, "input-size"),
        (["lenet5", "--data", "digits", "--limit", "5"], 2, "none is left to hold out"),
        (["lenet5", "--data", "digits", "--out", "/dev/null/out"], 4, "cannot write"),
    ],
)
def test_bad_input(
    words: list[str], exit_code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgecnnError) as caught:
        run(["train", *words])
    assert caught.value.exit_code == exit_code
    assert message in str(caught.value)
    assert caught.value.remedy
