"""Faster is said where it is so, and not where it is not: both counted, on made machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgecnn.bench.intervals import mean_interval, ratio_interval, t95
from edgecnn.bench.memory import Memory
from edgecnn.bench.results import BenchmarkResult, Round
from edgecnn.bench.timing import Warmup, sample
from edgecnn.bench.verdict import Verdict, compare, compare_across, float_twins
from tests.bench.test_results import result

TRIALS = 20


class NoisyClock:
    """A machine whose calls last ``call_ns`` times noise: of the call, of the process, and spikes of others."""

    def __init__(self, rng: np.random.Generator, call_ns: float, process: float) -> None:
        self.now = 0
        self._rng, self._call_ns = rng, call_ns * np.exp(rng.normal(0, process))

    def __call__(self) -> int:
        return self.now

    def call(self) -> None:
        spike = 3.0 if self._rng.random() < 0.02 else 1.0
        self.now += round(self._call_ns * spike * float(np.exp(self._rng.normal(0, 0.05))))


def measured(
    rng: np.random.Generator, milliseconds: list[float], *, process: float, drift: float
) -> list[BenchmarkResult]:
    """Return rows that ran in turns for five rounds, by the real sampling loop on noisy clocks."""
    rounds: list[list[Round]] = [[] for _ in milliseconds]
    for number in range(5):
        machine = float(np.exp(rng.normal(0, drift)))  # the same for all that run in this round
        for row, ms in zip(rounds, milliseconds, strict=True):
            clock = NoisyClock(rng, ms * 1e6 * machine, process)
            samples = sample(clock.call, runs=300, max_seconds=60, precision=0.005, clock=clock)
            memory = Memory(1, 1, 1)
            row.append(Round(number, {"invoke": samples}, Warmup(1, 1, True), 1.0, 1.0, 1.0, memory))
    return [
        BenchmarkResult(f"{ms}", "litert", 1, "ok", rounds=tuple(row))
        for ms, row in zip(milliseconds, rounds, strict=True)
    ]


def words(slowed: float, *, judge: Callable[..., Verdict | None] = compare) -> list[str]:
    """Return the verdicts of trials of a file beside one that is slower by a factor; process noise 2 %, drift 10 %."""
    found = []
    for trial in range(TRIALS):
        base, other = measured(np.random.default_rng(trial), [1.0, slowed], process=0.02, drift=0.1)
        seen = judge(other, base)
        assert seen is not None
        found.append(seen.word)
    return found


def test_a_file_beside_itself_shows_no_difference_in_19_of_20_trials() -> None:
    assert words(1.0).count("no difference shown") >= 19


def test_a_file_slowed_by_a_tenth_is_called_slower_in_19_of_20_trials() -> None:
    assert words(1.1).count("slower") >= 19


def test_negative_control_without_turns_drift_hides_a_tenth() -> None:
    """The rounds' pairing is what tells: the same samples compared as if they had run one after the other."""
    assert words(1.1, judge=compare_across).count("slower") < 10


def test_a_verdict_is_a_sentence() -> None:
    seen = compare(result("int8", 1), result("float32", 2.2))
    assert seen is not None
    assert seen.word == "faster"
    assert seen.sentence("int8", "float32") == "int8 is 2.2 to 2.2 times as fast as float32 (95 %)"
    same = compare(result("a", 1), result("b", 1.001))
    assert same is not None
    assert same.sentence("a", "b") == "no difference shown between a and b (1.00 to 1.00 times, 95 %)"
    slower = compare(result("a", 1.5), result("b", 1))
    assert slower is not None
    assert (slower.word, slower.told_apart) == ("slower", True)


def test_only_common_trusted_rounds_count() -> None:
    row, other = result("a", 1), result("b", 2)
    assert compare(row, None) is None
    assert compare(row, replace(other, rounds=other.rounds[:2])) is None
    tainted = tuple(replace(taken, taints=("busy",)) if taken.number < 2 else taken for taken in other.rounds)
    seen = compare(row, replace(other, rounds=tainted))
    assert seen is not None
    assert seen.rounds == 3
    # Clean rounds that are not the same ones: all count, and what tainted some widens the interval.
    first = tuple(replace(taken, taints=("busy",)) if taken.number < 2 else taken for taken in row.rounds)
    last = tuple(replace(taken, taints=("busy",)) if taken.number > 2 else taken for taken in other.rounds)
    seen = compare(replace(row, rounds=first), replace(other, rounds=last))
    assert seen is not None
    assert seen.rounds == 5


def test_across_runs_the_interval_is_wider() -> None:
    row, other = result("a", 1), result("b", 2)
    paired, across = compare(row, other), compare_across(row, other)
    assert paired is not None
    assert across is not None
    assert across.high - across.low > paired.high - paired.low
    assert across.ratio == pytest.approx(2, rel=0.01)


def test_twins_are_of_the_same_model_format_engine_and_threads() -> None:
    rows = [
        result("m_float32.tflite", 1),
        result("m_int8.tflite", 1, recipe="int8"),
        result("n_int8.tflite", 1, recipe="int8"),
        replace(result("m_int8.tflite", 1, recipe="int8"), threads=2),
    ]
    assert {place: twin.name for place, twin in float_twins(rows).items()} == {1: "m_float32.tflite"}


def test_intervals_hold_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(5), 0
    for _ in range(2000):
        found = mean_interval(rng.normal(3.0, 1.0, 5).tolist())
        assert found is not None
        held += found.low <= 3.0 <= found.high
    assert 1900 - 40 <= held <= 1900 + 40  # four standard errors of a binomial of 2000 and 0.95
    assert mean_interval([1.0, 2.0]) is None
    ratio = ratio_interval([2.0, 0.5, 1.0])
    assert ratio is not None
    assert ratio.mean == pytest.approx(1.0)


def test_students_factors_are_those_of_the_tables() -> None:
    assert [t95(freedom) for freedom in (1, 4, 30)] == [12.706, 2.776, 2.042]
    assert t95(40) == pytest.approx(2.021, abs=1e-3)
    assert t95(120) == pytest.approx(1.980, abs=1e-3)
