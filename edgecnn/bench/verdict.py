"""Whether one of two files is faster: said only where the rounds of both show it.

This module must not know how anything is measured or shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.bench.intervals import ratio_interval
from edgecnn.bench.results import BenchmarkResult, Round

#: A difference below this share is not called one, however narrow the interval: nobody would act on it, and
#: it keeps two runs of one file from being told apart (benchmarks/results/process_noise.json).
SMALLEST_DIFFERENCE = 0.02


@dataclass(frozen=True)
class Verdict:
    """How many times as fast one file is as another: the mean over rounds, and its 95 % interval.

    Args:
        ratio, low, high: the other's median over the own one's, in the same round.
        rounds: that both ran in.
    """

    ratio: float
    low: float
    high: float
    rounds: int

    @property
    def word(self) -> str:
        """``faster``, ``slower`` or ``no difference shown``."""
        if self.low > 1 + SMALLEST_DIFFERENCE:
            return "faster"
        if self.high < 1 / (1 + SMALLEST_DIFFERENCE):
            return "slower"
        return "no difference shown"

    @property
    def told_apart(self) -> bool:
        return self.word != "no difference shown"

    def sentence(self, own: str, other: str) -> str:
        """Return the verdict in words, of two names."""
        if not self.told_apart:
            return f"no difference shown between {own} and {other} ({self.low:.2f} to {self.high:.2f} times, 95 %)"
        decimals = 1 if self.low >= 2 else 2
        return f"{own} is {self.low:.{decimals}f} to {self.high:.{decimals}f} times as fast as {other} (95 %)"

    def to_dict(self) -> dict[str, object]:
        return {"ratio": self.ratio, "low": self.low, "high": self.high, "rounds": self.rounds, "word": self.word}


def compare(row: BenchmarkResult, other: BenchmarkResult | None) -> Verdict | None:
    """Return how many times as fast ``row`` is as ``other``, round by round; ``None`` below three common rounds.

    Each round gives one ratio of medians of two processes that ran shortly after each other, so what
    drifts from round to round cancels; what differs between processes is in the interval. (Kalibera
    and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013: the process is the unit.)
    """
    if other is None:
        return None
    # Where too few rounds were clean for both, all count: what tainted them is in the interval.
    for own, theirs in ((row.trusted_rounds, other.trusted_rounds), (row.rounds, other.rounds)):
        ratios = _ratios(own, theirs)
        found = ratio_interval(ratios)
        if found is not None:
            return Verdict(found.mean, found.low, found.high, len(ratios))
    return None


def _ratios(own: Sequence[Round], theirs: Sequence[Round]) -> list[float]:
    others = {taken.number: taken.latency["invoke"].median_ms for taken in theirs}
    return [
        others[taken.number] / taken.latency["invoke"].median_ms
        for taken in own
        if taken.number in others and taken.latency["invoke"].median_ms > 0 and others[taken.number] > 0
    ]


def compare_across(row: BenchmarkResult, other: BenchmarkResult | None) -> Verdict | None:
    """Return the same for rows that never ran in turns, such as a reference of another machine; unpaired.

    The interval is that of the difference of two independent means of logarithms, by their own
    intervals added in quadrature.
    """
    if other is None or row.p50_ms is None or other.p50_ms is None:
        return None
    own, theirs = row.ci95_ms(), other.ci95_ms()
    if own is None or theirs is None or min(*own, *theirs) <= 0:
        return None
    halves = [math.log(high / low) / 2 for low, high in (own, theirs)]
    ratio, half = other.p50_ms / row.p50_ms, math.hypot(*halves)
    rounds = min(len(row.trusted_rounds), len(other.trusted_rounds))
    return Verdict(ratio, ratio * math.exp(-half), ratio * math.exp(half), rounds)


def float_twins(rows: Sequence[BenchmarkResult]) -> dict[int, BenchmarkResult]:
    """Return for the place of each quantized row the float32 file of its model, format, engine and threads."""
    floats = {_key(row): row for row in rows if row.recipe == "float32"}
    return {
        place: floats[_key(row)]
        for place, row in enumerate(rows)
        if row.recipe not in (None, "float32") and _key(row) in floats
    }


def _key(row: BenchmarkResult) -> tuple[str | None, str | None, int | None, str]:
    """Return what a file shares with its float32 twin: all but the recipe in its name."""
    stem = Path(row.path).stem
    family = stem.removesuffix(str(row.recipe)).rstrip("._-") if row.recipe else stem
    return row.format, row.runtime, row.threads, family
