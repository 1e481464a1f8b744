"""``edgecnn train``: the same weights for the same seed, one JSON document, clear refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from edgecnn.artifact import open_artifact
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
        (["lenet5", "--data", "digits", "--color", "bgr"], 2, "not trained with --color bgr"),
        (["lenet5", "--data", "digits", "--scale", "1"], 2, "--scale says how a file is fed"),
        (["lenet5", "--data", "digits", "--quantize-aware"], 2, "then --quantize-aware with its model.keras"),
        (["model.keras", "--data", "digits"], 2, "add --quantize-aware"),
        (["model.keras", "--data", "digits", "--quantize-aware"], 2, "cannot read 'model.keras'"),
        (["m.keras", "--data", "digits", "--quantize-aware", "--alpha", "1"], 2, "--alpha is of models of the zoo"),
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


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    from tests.golden.make import save_data

    return save_data(tmp_path / "stripes.npz")


def test_quantize_aware(
    golden: Callable[[str], Path], stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["train", str(golden("tiny.keras")), "--quantize-aware", "--data", str(stripes), "--epochs", "1", "--json"]
    assert run([*words, "--out", str(out)]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["spec"]["name"] == "tiny_qat"
    assert document["trained_ranges"] == {
        name: list(ends) for name, ends in open_artifact(out / "model.keras").trained_ranges.items()
    }
    assert list(document["trained_ranges"]) == ["means", "pool", "scores", "scores/2"]
    assert document["float_before"] > 90
    assert document["test_accuracy"] > 90
    assert "fake-quantized" in said.err
    assert f"next: edgecnn export {out / 'model.keras'}" in said.err


def test_quantize_aware_counts_classes_as_the_labels_do(
    golden: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that names the classes in another order trains and measures the right ones."""
    from tests.golden.make import pictures

    (x_train, y_train), (x_test, y_test) = pictures(120, seed=1), pictures(60, seed=2)
    number = np.array([2, 0, 1])  # of red, green, blue in this data
    data = tmp_path / "other.npz"
    np.savez(
        data, x_train=x_train, y_train=number[y_train], x_test=x_test, y_test=number[y_test],
        class_names=["green", "blue", "red"],
    )  # fmt: skip
    words = ["train", str(golden("tiny.keras")), "--quantize-aware", "--data", str(data), "--epochs", "1", "--json"]
    assert run([*words, "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["float_before"] > 90


def test_quantize_aware_asks_for_the_contract(
    golden: Callable[[str], Path], stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.keras"
    keras.saving.load_model(golden("tiny.keras")).save(bare)
    words = ["train", str(bare), "--quantize-aware", "--data", str(stripes), "--epochs", "1", "--json"]
    with pytest.raises(EdgecnnError, match="carries no contract") as caught:
        run([*words, "--out", str(tmp_path / "out")])
    assert "--scale" in caught.value.remedy
    assert run([*words, "--out", str(tmp_path / "out"), "--scale", "1/255", "--color", "rgb"]) == 0
    assert json.loads(capsys.readouterr().out)["float_before"] > 90


def test_quantize_aware_wants_a_keras_file(golden: Callable[[str], Path], stripes: Path) -> None:
    with pytest.raises(EdgecnnError, match=r"is a \.tflite file"):
        run(["train", str(golden("tiny_int8.tflite")), "--quantize-aware", "--data", str(stripes)])
