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
    ],
)
def test_nonsense_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InputError):
        Recipe("x", "", **fields)  # type: ignore[arg-type]
