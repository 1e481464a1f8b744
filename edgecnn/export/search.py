"""The budget search: which layers must stay float32, and how must ranges be chosen, for a file to keep what it knew?

First what costs no time at all: another calibration method. Then layers are given back to float32,
the most harmful first, twice as many at each step, until the budget holds; then as few of them as
it takes. Every trial is a real file, run by its engine. This module must not know formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError
from edgecnn.export.manifest import Trial
from edgecnn.recipe import METHODS, CalibrationRecord, Recipe
from edgecnn.reporter import SILENT, Reporter
from edgecnn.verify import Verdict

if TYPE_CHECKING:
    from converters import Layer

#: Layers that choose from, or bound, the values they read: what they read has their range. (Those that
#: only move values are no layers: who reads them reads what they moved.)
_HAND_ON = {"MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "RELU6", "MaxPool", "AveragePool", "Relu", "Clip"}


@dataclass(frozen=True)
class Tried:
    """A file that was made for a trial, and the trial."""

    artifact: Artifact | None
    trial: Trial

    @property
    def passed(self) -> bool:
        return self.trial.verdict.passed

    @property
    def worth(self) -> float:
        """For ordering: the change of accuracy, of agreement where there are no classes."""
        verdict = self.trial.verdict
        change = verdict.accuracy_change_points
        return change if change is not None else (verdict.agreement or 0.0) - 100.0


def freed(layer: str, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return what must run in float32 so that the values of ``layer`` are never quantized.

    That is the layer itself and who reads it, through operators that only hand values on.

    Args:
        layer: the name of a Keras layer, which may have become several operators.
        layers: of the float file.
    """
    own = re.compile(rf"{re.escape(layer)}(/\d+)?")
    found = [item.name for item in layers if own.fullmatch(item.name)]
    handing_on = set(found)
    for item in layers:  # in execution order: a reader comes after what it reads
        if item.name not in found and handing_on.intersection(item.reads):
            found.append(item.name)
            if item.op in _HAND_ON:
                handing_on.add(item.name)
    return tuple(found)


@dataclass
class BudgetSearch:
    """One search for one recipe in one format.

    Args:
        layers: of the float file.
        attempt: makes a file of a recipe and judges it.
        ranking: names of Keras layers, the most harmful first; asked for only when it is needed.
        methods: calibration methods that may be chosen.
        most_trials: the search ends after so many, without a file.
        tried: all that was tried, in order.
    """

    layers: Sequence[Layer]
    attempt: Callable[[Recipe], Tried]
    ranking: Callable[[], Sequence[str]]
    methods: Sequence[str] = METHODS
    most_trials: int = 24
    reporter: Reporter = SILENT
    tried: list[Tried] = field(default_factory=list)

    def run(self, first: Tried) -> Tried:
        """Return the file to place: the cheapest that holds the budget, or the best that does not."""
        self.tried.append(first)
        if first.trial.recipe.needs_calibration:
            for method in self.methods:
                record = first.trial.recipe.calibration
                if record is not None and method != record.method:
                    self._try(first.trial.recipe.excluded_layers, replace(record, method=method))
        best = self._best()
        if best.passed:
            return best
        record = best.trial.recipe.calibration
        held = self._give_back(first.trial.recipe.excluded_layers, record)
        return self._pruned(held, first.trial.recipe.excluded_layers, record) if held else self._best()

    def _best(self) -> Tried:
        return max(self.tried, key=lambda tried: (tried.passed, tried.worth))

    def _try(self, excluded: Sequence[str], record: CalibrationRecord | None) -> Tried | None:
        """Return one more trial; ``None`` where no more are allowed, or this is no quantized model any more."""
        everything = {layer.name for layer in self.layers}
        if len(self.tried) >= self.most_trials or everything <= set(excluded):
            return None
        recipe = replace(self.tried[0].trial.recipe.excluding(excluded), calibration=record)
        try:
            tried = self.attempt(recipe)
        except EngineError as error:  # a combination that the quantizer cannot do is no end of the search
            tried = Tried(None, Trial(recipe, Verdict(False, error.message), 0))
        self.tried.append(tried)
        self.reporter.say(f"  trial {len(self.tried) - 1}: {_told(tried.trial)}")
        return tried

    def _give_back(self, always: Sequence[str], record: CalibrationRecord | None) -> Tried | None:
        """Return the first file that holds the budget, with about as few of the most harmful layers as it takes."""
        ranked = list(self.ranking())
        failed, count = 0, 1
        held: Tried | None = None
        while held is None and failed < len(ranked):
            count = min(count, len(ranked))
            tried = self._try(self._union(always, ranked[:count]), record)
            if tried is None:
                return None
            if tried.passed:
                held = tried
            else:
                failed, count = count, count * 2
        while held is not None and count - failed > 1:
            middle = (failed + count) // 2
            tried = self._try(self._union(always, ranked[:middle]), record)
            if tried is None:
                break
            if tried.passed:
                held, count = tried, middle
            else:
                failed = middle
        return held

    def _union(self, always: Sequence[str], harmful: Sequence[str]) -> tuple[str, ...]:
        excluded = {*always, *(name for layer in harmful for name in freed(layer, self.layers))}
        return tuple(layer.name for layer in self.layers if layer.name in excluded)

    def _pruned(self, held: Tried, always: Sequence[str], record: CalibrationRecord | None) -> Tried:
        """Return a file without those layers that were given back for nothing, from the back of the network."""
        for name in [name for name in reversed(held.trial.recipe.excluded_layers) if name not in always]:
            fewer = [layer for layer in held.trial.recipe.excluded_layers if layer != name]
            tried = self._try(fewer, record)
            if tried is None:
                break
            if tried.passed:
                held = tried
        return held


def _told(trial: Trial) -> str:
    record, excluded = trial.recipe.calibration, trial.recipe.excluded_layers
    how = f"{record.method}, " if record else ""
    what = f"{len(excluded)} layers in float32" if excluded else "all layers quantized"
    change = trial.verdict.accuracy_change_points
    result = trial.verdict.reason or "holds"
    return f"{how}{what}: {f'{change:+.2f} points, ' if change is not None else ''}{result}"
