"""``edgecnn export`` when int8 loses too much: the search, exclusion by hand, tuning, and what is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn.artifact import open_artifact
from edgecnn.recipe import METHODS
from tests.conftest import Finished
from tests.debug.planted import SPREAD, save_model
from tests.golden.make import save_data

Run = Callable[..., Finished]


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    """A folder with a model whose depthwise layer has channels of 1 to 1000 times the range, and its data."""
    save_model(tmp_path / "hard.keras", SPREAD)
    save_data(tmp_path / "stripes.npz")
    return tmp_path


def rows(done: Finished) -> dict[str, dict[str, Any]]:
    return {row["format"]: row for row in done.document["artifacts"]}


WORDS = ("export", "hard.keras", "--data", "stripes.npz", "--recipe", "int8", "--max-drop", "0.5", "--json")


def test_the_search_keeps_the_budget_in_both_formats(edgecnn: Run, hard: Path) -> None:
    plain = edgecnn(*WORDS, "--trials", "0", cwd=hard)
    assert plain.code == 1
    for row in rows(plain).values():
        assert row["accuracy_change_points"] < -5
        assert row["trials"] == []
    found = edgecnn(*WORDS, cwd=hard)
    assert found.code == 0, found.err
    for format_name, row in rows(found).items():
        assert row["accuracy_change_points"] >= -0.5
        assert "spread" in row["excluded_layers"]
        assert len(row["excluded_layers"]) <= 2  # it, and who reads it
        assert [trial["kept"] for trial in row["trials"]].count(True) == 1
        (kept,) = [trial for trial in row["trials"] if trial["kept"]]
        assert kept["excluded_layers"] == row["excluded_layers"]
        assert kept["method"] == row["calibration"]["method"]
        assert {trial["method"] for trial in row["trials"]} == set(METHODS)
        assert all(trial["p50_ms"] is None or trial["p50_ms"] > 0 for trial in row["trials"])
        recipe = open_artifact(hard / "exported" / f"spread_int8.{format_name}").recipe
        assert recipe is not None
        assert list(recipe.excluded_layers) == row["excluded_layers"]
    manifest = json.loads((hard / "exported" / "manifest.json").read_text())
    assert [row["trials"] for row in manifest["artifacts"]] == [row["trials"] for row in rows(found).values()]
    assert "trial 1:" in found.err


def test_layers_are_excluded_by_hand_and_methods_are_chosen(edgecnn: Run, hard: Path) -> None:
    words = ("--exclude", "spr.*", "--exclude", "gather", "--calibration-method", "percentile", "--trials", "0")
    done = edgecnn(*WORDS, *words, cwd=hard)
    assert done.code == 0, done.err
    for row in rows(done).values():
        assert set(row["excluded_layers"]) >= {"spread", "gather"}
        assert row["calibration"]["method"] == "percentile"


def test_tuning_times_every_variant_and_keeps_the_fastest(edgecnn: Run, hard: Path) -> None:
    done = edgecnn(*WORDS, "--exclude", "spread|gather", "--tune", cwd=hard)
    assert done.code == 0, done.err
    for format_name, row in rows(done).items():
        found = row["candidates"]
        assert len(found) == {"tflite": 3, "onnx": 2}[format_name]
        (kept,) = [candidate for candidate in found if candidate["kept"]]
        assert kept["p50_ms"] == min(candidate["p50_ms"] for candidate in found)
        artifact = open_artifact(hard / "exported" / f"spread_int8.{format_name}")
        assert artifact.inputs[0].dtype == kept["input"]


@pytest.mark.parametrize(("target", "dtype"), [("arm64", "int8"), ("x86-64-vnni", "uint8")])
def test_a_target_decides_the_activations_of_onnx(edgecnn: Run, hard: Path, target: str, dtype: str) -> None:
    words = ("--exclude", "spread|gather", "--target", target, "--format", "onnx")
    done = edgecnn(*WORDS, *words, cwd=hard)
    assert done.code == 0, done.err
    artifact = open_artifact(hard / "exported" / "spread_int8.onnx")
    assert artifact.inputs[0].dtype == dtype
    assert artifact.recipe is not None
    assert artifact.recipe.activations == dtype
    assert json.loads((hard / "exported" / "manifest.json").read_text())["target"] == target


def test_a_feeding_that_is_found_is_recorded(edgecnn: Run, hard: Path) -> None:
    from edgecnn.models.loading import load_keras_model

    load_keras_model(open_artifact(hard / "hard.keras")).save(hard / "theirs.keras")
    words = ("export", "theirs.keras", "--spec", "auto", "--data", "stripes.npz", "--recipe", "float32", "--json")
    done = edgecnn(*words, "--scale", "1/255", cwd=hard)
    assert done.code == 0, done.err
    manifest = json.loads((hard / "exported" / "manifest.json").read_text())
    assert manifest["spec"]["input"]["color"] == "rgb"
    (chosen,) = [item for item in manifest["feeding"]["candidates"] if item["chosen"]]
    assert chosen["input"]["scale"] == pytest.approx(1 / 255)
