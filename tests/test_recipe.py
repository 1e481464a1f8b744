"""Recipes: names, and combinations that are nonsense."""

from __future__ import annotations

import pytest

from edgecnn.errors import InputError
from edgecnn.recipe import RECIPES, CalibrationRecord, Recipe, formats_named, recipes_named


def test_every_recipe_survives_its_file() -> None:
    record = CalibrationRecord("digits", 300, 0, "0" * 64)
    for recipe in RECIPES.values():
        assert Recipe.from_dict(recipe.to_dict()) == recipe
        if recipe.needs_calibration:
            assert Recipe.from_dict(recipe.calibrated(record).to_dict()).calibration == record


def test_names_are_ordered_without_repeats() -> None:
    assert [recipe.name for recipe in recipes_named(["int8", "float32", "int8"])] == ["int8", "float32"]
    assert [recipe.name for recipe in recipes_named(["all"])] == list(RECIPES)
    assert formats_named(["all"]) == ["tflite", "onnx"]


def test_misspelt_names_get_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'int8'"):
        recipes_named(["int_8"])
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        formats_named(["onxx"])


@pytest.mark.parametrize(
    "fields",
    [
        {"weights": "float32", "scheme": "dynamic"},
        {"weights": "int8", "scheme": "static"},
        {"weights": "int8", "scheme": "dynamic", "activations": "int8"},
        {"weights": "int8", "scheme": "dynamic", "io": "integer"},
        {"weights": "int8", "scheme": "guess"},
        {"weights": "float32", "granularity": "per_row"},
        {"weights": "float32", "io": "int8"},
        {"weights": 8},
        {"weights": "float32", "scheme": ["float"]},
        {"weights": "../x"},
    ],
)
def test_nonsense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        Recipe("x", "", **fields)  # type: ignore[arg-type]
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["", "a/b", "\x1b[1m", "x" * 101, None, 8])
def test_impossible_names_are_refused(name: object) -> None:
    with pytest.raises(InputError):
        Recipe(name, "", weights="float32")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [("data", 1), ("data", "\x1b"), ("samples", "300"), ("samples", True), ("samples", -1), ("seed", 0.5),
     ("sha256", "xyz"), ("sha256", None)],
)  # fmt: skip
def test_impossible_calibration_is_refused(field: str, value: object) -> None:
    record = {"data": "digits", "samples": 300, "seed": 0, "sha256": "0" * 64, field: value}
    with pytest.raises(InputError) as caught:
        CalibrationRecord(**record)  # type: ignore[arg-type]
    assert caught.value.remedy


def test_incomplete_recipes_of_files_are_refused() -> None:
    document = RECIPES["int8"].to_dict()
    for key in document:
        with pytest.raises(InputError):
            Recipe.from_dict({name: value for name, value in document.items() if name != key})
    for record in ({}, [1], "x", {"data": "digits"}):
        with pytest.raises(InputError):
            Recipe.from_dict({**document, "calibration": record})
    assert Recipe.from_dict({**document, "of_a_later_version": 1}) == RECIPES["int8"]
