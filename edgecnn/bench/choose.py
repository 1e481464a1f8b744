"""Which file of one or more reports is best for a budget, and by what each other file lost.

This module must not know how anything is measured, nor how a choice is printed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgecnn.bench.budget import Budget, Overrun, find_baseline, overruns
from edgecnn.bench.pareto import results_front
from edgecnn.bench.protocol import FEWEST_ROUNDS
from edgecnn.bench.quality import quality, quality_name, shown_lower
from edgecnn.bench.report import Report, merged
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.timing import samples_needed
from edgecnn.bench.verdict import Verdict, compare, compare_across
from edgecnn.bench.wording import bytes_text, ms_text, points_text, row_labels
from edgecnn.errors import InputError

#: Files of fewer than three rounds tie where their medians differ by no more than this share: two processes of
#: one and the same file were seen to differ by as much on a shared machine, and no interval tells.
FEW_ROUNDS_DIFFERENCE = 0.25


@dataclass(frozen=True)
class Loser:
    """A file that was not chosen: by what it lost, and the limits that it does not keep.

    ``inside`` says whether it was measured and keeps them all.
    """

    row: BenchmarkResult
    reason: str
    inside: bool
    overruns: tuple[Overrun, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The best file for a budget, why, and what the others lost by.

    Args:
        best: ``None`` where no file keeps the budget; ``nearest`` is then what comes nearest to it.
        why: in one sentence.
        losers: those inside the budget first, each part from the fastest on.
        front: the rows on the Pareto front of latency, accuracy and size.
        baseline: what a loss of accuracy is counted from, in words; ``None`` where none is counted.
        notes: what a reader must know, in sentences.
        labels: the name of each row in the sentences, by ``id``.
    """

    budget: Budget
    best: BenchmarkResult | None
    why: str
    losers: tuple[Loser, ...]
    front: tuple[BenchmarkResult, ...]
    baseline: str | None
    notes: tuple[str, ...]
    labels: Mapping[int, str]
    nearest: Loser | None = None

    def label(self, row: BenchmarkResult) -> str:
        return self.labels[id(row)]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``choose --json``."""
        return {
            "budget": asdict(self.budget),
            "baseline": self.baseline,
            "best": None if self.best is None else _figures(self.best),
            "why": self.why,
            "nearest": None if self.nearest is None else _lost(self.nearest),
            "losers": [_lost(loser) for loser in self.losers],
            "pareto": [_figures(row) for row in self.front],
            "notes": list(self.notes),
        }


def _figures(row: BenchmarkResult) -> dict[str, Any]:
    interval = row.ci95_ms()
    return {
        "path": row.path,
        "runtime": row.runtime,
        "threads": row.threads,
        "status": row.status,
        "p50_ms": row.p50_ms,
        "ci95_ms": None if interval is None else list(interval),
        "accuracy": row.accuracy,
        "agreement": row.agreement,
        "size_bytes": row.size_bytes,
        "peak_rss_bytes": row.memory.peak_rss_bytes if row.memory else None,
    }


def _lost(loser: Loser) -> dict[str, Any]:
    return {
        **_figures(loser.row),
        "reason": loser.reason,
        "inside_budget": loser.inside,
        "over": [one.text for one in loser.overruns],
    }


def choose(reports: Sequence[Report], budget: Budget | None = None, *, across_hosts: bool = False) -> Choice:
    """Return the best file for a budget.

    Of the files that ran and keep every limit, those that no other of them is shown to be faster than
    tie (:func:`edgecnn.bench.verdict.compare` within a run, ``compare_across`` between runs). Of these
    the most accurate wins, where the pictures can show the difference
    (:func:`edgecnn.bench.quality.shown_lower`); then the smallest; then the one that takes the least
    memory; then the one with the lowest median. A row that two reports have (same file name, engine and
    threads) counts as in the later one.

    A loss of accuracy is counted from the float reference (the most accurate of them, where reports
    have several); without one from the most accurate float32 file. Where the data has no classes, it is
    what a file lacks to 100 % agreement with the reference.

    Raises:
        InputError: the reports do not compare (other hosts, unless ``across_hosts``; other data), hold no
            rows, or ``max_drop`` is asked for and nothing tells the accuracy.
    """
    merged(reports, across_hosts=across_hosts)  # refuses what does not compare
    asked, field = budget or Budget(), _Field(reports)
    if not field.rows:
        raise InputError("the reports hold no rows to choose from", "bench at least one file")
    over = {id(row): overruns(row, asked, field.baseline, field.quality_name) for row in field.rows if _ran(row)}
    by_speed = sorted((row for row in field.rows if id(row) in over), key=_median)
    inside = [row for row in by_speed if not over[id(row)]]
    race = _Race(field, inside) if inside else None
    beaten = [Loser(row, race.lost_by(row), inside=True) for row in inside if race and row is not race.best]
    outside = [_outside(row, over[id(row)]) for row in by_speed if over[id(row)]]
    broken = [Loser(row, _why_not(row), inside=False) for row in field.rows if id(row) not in over]
    return Choice(
        budget=asked,
        best=race.best if race else None,
        why=race.why() if race else "no file keeps the budget",
        losers=(*beaten, *outside, *broken),
        front=tuple(field.rows[place] for place in results_front(field.rows)),
        baseline=field.baseline.text if field.baseline else None,
        notes=tuple(field.notes(inside)),
        labels=field.labels,
        nearest=None if race else min(outside, key=_distance, default=None),
    )


def _outside(row: BenchmarkResult, over: tuple[Overrun, ...]) -> Loser:
    return Loser(row, "; ".join(one.text for one in over), inside=False, overruns=over)


def _distance(loser: Loser) -> tuple[int, float]:
    return len(loser.overruns), max(one.factor for one in loser.overruns)


def _why_not(row: BenchmarkResult) -> str:
    if not row.ok:
        return f"{row.status}: {row.reason}"
    count = row.invoke.count if row.invoke else 0
    return f"its latency is not told: {count} samples, {samples_needed(50)} needed (bench with more --runs)"


class _Field:
    """All rows that are chosen from, which run each is of, and what accuracy is counted from."""

    def __init__(self, reports: Sequence[Report]) -> None:
        runs: list[tuple[int, BenchmarkResult]] = []
        self._replaced = 0
        for number, report in enumerate(reports):
            keys = set(map(_key, report.results))
            kept = [(run, row) for run, row in runs if _key(row) not in keys]
            self._replaced += len(runs) - len(kept)
            runs = [*kept, *((number, row) for row in report.results)]
        self.rows = [row for _, row in runs]
        self.labels = {id(row): label for row, label in zip(self.rows, row_labels(self.rows), strict=True)}
        self._run_of = {id(row): run for run, row in runs}
        self.pictures = next((report.pictures for report in reports if report.pictures), None)
        self.quality_name = quality_name(self.rows)
        self._references = [report.reference for report in reports if report.reference is not None]
        self.baseline = find_baseline(self._references, self.rows)

    def speed(self, row: BenchmarkResult, other: BenchmarkResult) -> Verdict | None:
        """Return how many times as fast ``row`` is; ``None`` where either has too few rounds to tell."""
        same_run = self._run_of[id(row)] == self._run_of[id(other)]
        seen = compare(row, other) if same_run else None
        enough = min(len(row.trusted_rounds), len(other.trusted_rounds)) >= FEWEST_ROUNDS
        return seen if seen is not None or not enough else compare_across(row, other)

    def is_slower(self, row: BenchmarkResult, other: BenchmarkResult) -> bool:
        seen = self.speed(row, other)
        if seen is None:
            return _median(row) > (1 + FEW_ROUNDS_DIFFERENCE) * _median(other)
        return seen.word == "slower"

    def slowness(self, row: BenchmarkResult, other: BenchmarkResult) -> str:
        seen = self.speed(row, other)
        if seen is None:
            return f"{ms_text(row.p50_ms)} and {ms_text(other.p50_ms)} ms, too few rounds for an interval"
        return f"{1 / seen.high:.2f} to {1 / seen.low:.2f} times as slow"

    def notes(self, inside: Sequence[BenchmarkResult]) -> list[str]:
        """Return what of the reports a reader of the choice must know."""
        found = []
        if len(inside) > 1 and any(len(row.trusted_rounds) < FEWEST_ROUNDS for row in inside):
            found.append(
                f"some files have fewer than {FEWEST_ROUNDS} rounds: of these, medians within "
                f"{FEW_ROUNDS_DIFFERENCE:.0%} tie (bench --rounds 5 shows more)"
            )
        if len({self._run_of[id(row)] for row in inside}) > 1:
            found.append("files of different runs are compared: what drifted between the runs is not in the intervals")
        if self._replaced:
            found.append(f"{self._replaced} row(s) that a later report has too count as in the later one")
        names = sorted({row.name for row in self._references})
        if len(names) > 1:
            found.append(f"the reports have different references: {', '.join(names)}")
        return found


def _key(row: BenchmarkResult) -> tuple[str, str | None, int | None]:
    return row.name, row.runtime, row.threads


class _Race:
    """The files inside the budget, and how the best of them was found."""

    def __init__(self, field: _Field, inside: Sequence[BenchmarkResult]) -> None:
        self._field, self._inside = field, inside
        # Not beside the lowest median alone: it may be that of the file whose rounds differ most.
        self._ties = [row for row in inside if self._beaten_by(row) is None] or [inside[0]]
        self._fastest = self._ties[0]
        self._most = max(self._ties, key=self._quality)
        self._peers = [row for row in self._ties if not self._is_worse(row)]
        self.best = min(self._peers, key=lambda row: (_size(row), _memory(row), _median(row)))

    def _beaten_by(self, row: BenchmarkResult) -> BenchmarkResult | None:
        """Return the file with the lowest median of those that are shown to be faster."""
        return next((one for one in self._inside if one is not row and self._field.is_slower(row, one)), None)

    def _quality(self, row: BenchmarkResult) -> float:
        found = quality(row, self._field.quality_name)
        return -math.inf if found is None else found

    def _is_worse(self, row: BenchmarkResult) -> bool:
        if quality(row, self._field.quality_name) is None:
            return quality(self._most, self._field.quality_name) is not None
        return shown_lower(row, self._most, self._field.quality_name, self._field.pictures)

    def _name(self, row: BenchmarkResult) -> str:
        return self._field.labels[id(row)]

    def why(self) -> str:
        """Return in one sentence why the best file is it."""
        ties, peers = len(self._ties), self._peers
        if len(self._inside) == 1:
            return "it is the only file inside the budget"
        if ties == 1:
            others = [row for row in self._inside if row is not self.best]
            than = "it" if all(self._field.is_slower(row, self.best) for row in others) else "it or than another"
            return f"every other file inside the budget is slower than {than}"
        if self.best is self._fastest:
            speed = f"it has the lowest median, {ties - 1} other(s) not shown to be slower"
        else:
            speed = f"it is not shown to be slower than {self._name(self._fastest)}, which has the lowest median"
        told = self._field.quality_name
        if len(peers) == 1:
            return f"{speed}; of these {ties} it has the best {told}"
        alike = f", whose {told} the {self._field.pictures:,} pictures do not tell apart" if told else ""
        smallest = [row for row in peers if _size(row) == _size(self.best)]
        least = [row for row in smallest if _memory(row) == _memory(self.best)]
        last = (
            "it is the smallest"
            if len(smallest) == 1
            else "it is as small as any and takes the least memory"
            if len(least) == 1
            else "none is smaller, takes less memory or has a lower median"
        )
        return f"{speed}; of {'these ' if ties == len(peers) else ''}{len(peers)}{alike}, {last}"

    def lost_by(self, row: BenchmarkResult) -> str:
        """Return in one sentence by what another file inside the budget lost to the best."""
        field, best, fastest = self._field, self.best, self._fastest
        if all(row is not tie for tie in self._ties):
            if field.is_slower(row, best):
                return f"slower than {self._name(best)} ({field.slowness(row, best)})"
            faster = self._beaten_by(row) or fastest
            text = f"slower than {self._name(faster)} ({field.slowness(row, faster)})"
            return f"{text}, as {self._name(best)} is not shown to be"
        return f"not shown to be faster than {self._name(best)} ({field.slowness(row, best)}) and {self._behind(row)}"

    def _behind(self, row: BenchmarkResult) -> str:
        told, best = self._field.quality_name, self.best
        if self._is_worse(row):
            own, most = quality(row, told), quality(self._most, told)
            if own is None or most is None:
                return f"its {told} was not measured"
            than = "" if self._most is best else f" than {self._name(self._most)}"
            return f"{points_text(most - own)} lower in {told}{than}"
        if _size(row) > _size(best):
            return f"{bytes_text(_size(row) - _size(best))} larger"
        if _memory(row) > _memory(best):
            return f"takes {bytes_text(_memory(row) - _memory(best))} more memory"
        return "no smaller, with a median no lower"


def _ran(row: BenchmarkResult) -> bool:
    return row.ok and row.p50_ms is not None


def _median(row: BenchmarkResult) -> float:
    return math.inf if row.p50_ms is None else row.p50_ms


def _size(row: BenchmarkResult) -> float:
    return math.inf if row.size_bytes is None else row.size_bytes


def _memory(row: BenchmarkResult) -> float:
    return math.inf if row.memory is None else row.memory.peak_rss_bytes
