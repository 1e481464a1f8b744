"""The budget search, on made-up models whose harm is known: what it gives back, and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converters import Layer
from edgecnn.errors import EngineError
from edgecnn.export.manifest import Trial
from edgecnn.export.search import BudgetSearch, Tried, freed
from edgecnn.recipe import METHODS, RECIPES, CalibrationRecord, Recipe
from edgecnn.verify import Verdict

RECORD = CalibrationRecord("data", 300, 0, "0" * 64)
INT8 = replace(RECIPES["int8"], calibration=RECORD)
#: A chain: every layer reads the one before; a pool hands on what conv2 makes.
CHAIN = (
    Layer("conv1", "CONV_2D", ("input",)),
    Layer("conv2", "CONV_2D", ("conv1",)),
    Layer("pool", "MAX_POOL_2D", ("conv2",)),
    Layer("conv3", "CONV_2D", ("pool",)),
    Layer("conv4", "CONV_2D", ("conv3",)),
    Layer("conv10", "CONV_2D", ("conv4",)),
    Layer("dense", "FULLY_CONNECTED", ("conv10",)),
    Layer("dense/2", "SOFTMAX", ("dense",)),
)


class Model:
    """Loses points for every harmful layer that is quantized, less by a better calibration method."""

    budget = 0.5

    def __init__(self, harm: dict[str, float], method_gain: dict[str, float] | None = None) -> None:
        self.harm, self.method_gain = harm, method_gain or {}
        self.attempts: list[Recipe] = []

    def attempt(self, recipe: Recipe) -> Tried:
        self.attempts.append(recipe)
        method = recipe.calibration.method if recipe.calibration else "minmax"
        lost = sum(points for name, points in self.harm.items() if name not in recipe.excluded_layers)
        lost = max(0.0, lost - self.method_gain.get(method, 0.0))
        verdict = Verdict(lost <= self.budget, "" if lost <= self.budget else "loses", 90 - lost, -lost)
        return Tried(None, Trial(recipe, verdict, 100, 1.0))

    def ranking(self) -> list[str]:
        return sorted((layer.name for layer in CHAIN), key=lambda name: -self.harm.get(name, 0.0))

    def search(self, **settings: object) -> tuple[Tried, BudgetSearch]:
        search = BudgetSearch(CHAIN, self.attempt, self.ranking, **settings)  # type: ignore[arg-type]
        return search.run(self.attempt(INT8)), search


def test_what_reads_a_layer_is_freed_with_it_and_no_more() -> None:
    assert freed("conv1", CHAIN) == ("conv1", "conv2")  # and not conv10
    assert freed("conv2", CHAIN) == ("conv2", "pool", "conv3")  # a pool has the range of what it reads
    assert freed("dense", CHAIN) == ("dense", "dense/2")  # one Keras layer, two operators
    assert freed("no such", CHAIN) == ()


def test_a_better_method_costs_no_layer() -> None:
    found, search = Model({"conv1": 3.0}, method_gain={"percentile": 2.0, "mse": 2.9}).search()
    assert found.passed
    assert found.trial.recipe.excluded_layers == ()
    assert found.trial.recipe.calibration is not None
    assert found.trial.recipe.calibration.method == "mse"
    assert len(search.tried) == len(METHODS)


def test_the_harmful_layer_alone_is_given_back() -> None:
    model = Model({"conv4": 30.0, "conv1": 0.1})
    found, search = model.search()
    assert found.passed
    # Its reader conv10 was given back with it, and taken again: it was not needed.
    assert found.trial.recipe.excluded_layers == ("conv4",)
    assert ("conv4", "conv10") in {tried.trial.recipe.excluded_layers for tried in search.tried}


def test_only_as_many_layers_as_it_takes() -> None:
    found, _ = Model({"conv1": 3.0, "conv3": 2.0, "conv10": 1.0}).search()
    assert found.trial.recipe.excluded_layers == ("conv1", "conv3", "conv10")


def test_the_reader_stays_free_where_it_must() -> None:
    """A wide range hurts who makes it and who reads it: one of the two in float32 is not enough."""

    class Wide(Model):
        def attempt(self, recipe: Recipe) -> Tried:
            both = {"conv3", "conv4"} <= set(recipe.excluded_layers)
            self.harm = {"conv3": 0.0 if both else 40.0}
            excluded = recipe.excluded_layers if both else ()
            tried = super().attempt(replace(recipe, excluded_layers=excluded))
            return replace(tried, trial=replace(tried.trial, recipe=recipe))

    found, _ = Wide({"conv3": 40.0}).search()
    assert found.passed
    assert found.trial.recipe.excluded_layers == ("conv3", "conv4")


def test_a_float_model_is_not_sold_as_int8() -> None:
    """Every layer harms: with all of them in float32 the budget holds, but that is no int8 file."""
    found, search = Model({layer.name: 9.0 for layer in CHAIN}).search(most_trials=100)
    assert not found.passed
    everything = {layer.name for layer in CHAIN}
    assert all(set(tried.trial.recipe.excluded_layers) != everything for tried in search.tried)


def test_the_number_of_trials_is_bounded() -> None:
    found, search = Model({layer.name: 9.0 for layer in CHAIN}).search(most_trials=5)
    assert not found.passed
    assert len(search.tried) == 5


def test_layers_that_the_user_excludes_are_never_taken_back() -> None:
    model = Model({"conv4": 30.0})
    search = BudgetSearch(CHAIN, model.attempt, model.ranking)
    found = search.run(model.attempt(INT8.excluding(["conv1"])))
    assert found.passed
    assert found.trial.recipe.excluded_layers == ("conv1", "conv4")


def test_a_combination_that_cannot_be_made_ends_no_search() -> None:
    class Fragile(Model):
        def attempt(self, recipe: Recipe) -> Tried:
            if recipe.calibration is not None and recipe.calibration.method == "entropy":
                raise EngineError("the quantizer refuses", "none")
            return super().attempt(recipe)

    found, search = Fragile({"conv4": 30.0}).search()
    assert found.passed
    assert "the quantizer refuses" in {tried.trial.verdict.reason for tried in search.tried}


@pytest.mark.parametrize("methods", [(), ("minmax",)])
def test_a_method_that_was_chosen_stays(methods: tuple[str, ...]) -> None:
    model = Model({"conv4": 30.0}, method_gain={"mse": 100.0})
    found, _ = model.search(methods=methods)
    assert found.passed
    assert found.trial.recipe.calibration == RECORD
