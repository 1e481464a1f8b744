"""``edgecnn models``."""

from __future__ import annotations

import argparse
import json

import pytest

from edgecnn.cli import models
from edgecnn.cli.main import run
from edgecnn.errors import InputError
from edgecnn.models import MODELS


def test_every_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    out = capsys.readouterr().out
    for name in MODELS:
        assert name in out
    assert "545,546" in out
    assert "3,434,760" in out
    assert "next: edgecnn train" in out


def test_json_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "mobilenet", "--alpha", "1", "--input-size", "224", "--classes", "1000", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["models"]
    assert document["input_shape"] == [224, 224, 3]
    assert (document["parameters"], document["multiply_accumulates"]) == (4_253_864, 568_740_352)
    assert document["options"] == {"alpha": 1.0, "downsample": "late"}


def test_a_model_that_cannot_take_the_size_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--input-size", "64x48", "--json"]) == 0
    shown = capsys.readouterr()
    assert "lenet5_classic" in shown.err
    assert "lenet5_classic" not in [document["name"] for document in json.loads(shown.out)["models"]]
    with pytest.raises(InputError, match="28x28"):
        run(["models", "lenet5_classic", "--input-size", "64x48"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mobilnet"], "did you mean 'mobilenet'"),
        (["lenet5", "--alpha", "1"], "has no --alpha"),
        (["--alpha", "-1", "mobilenet"], "alpha must be"),
        (["--classes", "1"], "2 to"),
        (["--input-size", "big"], "HxW or N"),
        (["--input-size", "0"], "HxW or N"),
        (["--input-size", "5000", "resnet8"], "1 to 1024"),
    ],
)
def test_bad_input(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(["models", *words])


@pytest.mark.parametrize(("text", "size"), [("96", (96, 96)), ("96x128", (96, 128)), ("96X128", (96, 128))])
def test_input_size(text: str, size: tuple[int, int]) -> None:
    assert models.input_size(text) == size


def test_help_needs_no_keras() -> None:
    models.configure(argparse.ArgumentParser())
