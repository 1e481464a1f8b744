"""What became worse from one run to another, row by row.

The runs did not take turns: what drifted between them (the machine's clock, its load, its software)
is in the figures and not in their intervals. This module must not know how anything is measured or
printed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgecnn.bench.limits import Checked, Limit, check_limits
from edgecnn.bench.protocol import FEWEST_ROUNDS
from edgecnn.bench.quality import quality, quality_name
from edgecnn.bench.report import Report, require_one_host
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.verdict import Verdict, compare_across
from edgecnn.bench.wording import points_text, row_labels
from edgecnn.errors import InputError

MAX_SLOWER_PERCENT = 5.0
MAX_DROP_POINTS = 1.0
_TRIFLE = 1e-9  # of arithmetic: 100 of 10,000 pictures come out as 1.0000000000000142 points


@dataclass(frozen=True)
class Tolerance:
    """What a row may lose from one run to the next.

    Args:
        max_slower: percent by which its median may be larger; more is a regression where the whole
            95 % interval is beyond it.
        max_drop: points of accuracy; ``None`` leaves accuracy out.

    Raises:
        InputError: a number is negative or not finite.
    """

    max_slower: float = MAX_SLOWER_PERCENT
    max_drop: float | None = MAX_DROP_POINTS

    def __post_init__(self) -> None:
        for option, value in (("max-slower", self.max_slower), ("max-drop", self.max_drop)):
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"--{option} must be 0 or more, not {value:g}", "leave it out for the default")


@dataclass(frozen=True)
class Change:
    """One file in one engine, then and now.

    Args:
        old, new: ``None`` where that run lacks it.
        label: its name in sentences.
        verdict: how many times as fast it is now; ``None`` where that cannot be told.
        figure: ``accuracy`` or ``agreement``, whichever both runs have on the same pictures.
        regressions: what became worse than is tolerated, in sentences.
    """

    old: BenchmarkResult | None
    new: BenchmarkResult | None
    label: str
    verdict: Verdict | None
    figure: str | None
    regressions: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """``missing``, ``new``, how it failed, how it failed before or, where both ran, the verdict's word."""
        if self.new is None:
            return "missing"
        if not self.new.ok:
            return self.new.status
        if self.old is None:
            return "new"
        if not self.old.ok:
            return f"{self.old.status} before"
        return "not told" if self.verdict is None else self.verdict.word

    @property
    def slower_percent(self) -> tuple[float, float, float] | None:
        """By how many percent the median is larger now, and the ends of its interval."""
        if self.verdict is None:
            return None
        mean, high, low = ((1 / end - 1) * 100 for end in (self.verdict.ratio, self.verdict.low, self.verdict.high))
        return mean, low, high

    def difference(self, name: str) -> float | None:
        """Return new less old of ``size_bytes``, ``peak_rss_bytes`` or ``quality`` (points)."""
        pair = [_figure(row, self.figure if name == "quality" else name) for row in (self.old, self.new)]
        return None if pair[0] is None or pair[1] is None else pair[1] - pair[0]

    def to_dict(self) -> dict[str, Any]:
        row = self.new or self.old
        assert row is not None, "one of both runs has the row"  # noqa: S101
        slower = self.slower_percent
        return {
            "path": row.path,
            "runtime": row.runtime,
            "threads": row.threads,
            "outcome": self.outcome,
            "old_p50_ms": self.old.p50_ms if self.old else None,
            "new_p50_ms": self.new.p50_ms if self.new else None,
            "slower_percent": slower[0] if slower else None,
            "slower_ci95_percent": list(slower[1:]) if slower else None,
            "size_change_bytes": self.difference("size_bytes"),
            "peak_rss_change_bytes": self.difference("peak_rss_bytes"),
            "accuracy_change_points": self.difference("quality") if self.figure == "accuracy" else None,
            "agreement_change_points": self.difference("quality") if self.figure == "agreement" else None,
            "regressions": list(self.regressions),
        }


def _figure(row: BenchmarkResult | None, name: str | None) -> float | None:
    if row is None or name is None:
        return None
    if name == "peak_rss_bytes":
        return row.memory.peak_rss_bytes if row.memory else None
    return row.size_bytes if name == "size_bytes" else quality(row, name)


@dataclass(frozen=True)
class Comparison:
    """Every row of two runs, or of one beside its floors and ceilings.

    ``notes`` say what else differs between the runs, in sentences.
    """

    changes: tuple[Change, ...]
    limits: tuple[Checked, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Every regression and every broken limit, in sentences."""
        found = [text for change in self.changes for text in change.regressions]
        return [*found, *(text for checked in self.limits for text in checked.broken)]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --json``, but for the names of the reports."""
        return {
            "passed": not self.failures,
            "failures": self.failures,
            "rows": [change.to_dict() for change in self.changes],
            "limits": [checked.to_dict() for checked in self.limits],
            "notes": list(self.notes),
        }


def check(report: Report, limits: Sequence[Limit]) -> Comparison:
    """Return which rows of one report break which floors and ceilings."""
    return Comparison((), tuple(check_limits(report.results, limits)))


def compare_runs(
    old: Report,
    new: Report,
    tolerance: Tolerance | None = None,
    limits: Sequence[Limit] = (),
    *,
    across_hosts: bool = False,
) -> Comparison:
    """Return what became of every row from an older run to a newer one.

    Rows belong together by file name, engine and threads. A regression is a row that is shown to be
    slower by more than is tolerated (:func:`edgecnn.bench.verdict.compare_across`, from three rounds
    on), that lost more accuracy than that (or agreement, where the data has no classes), that was ok
    and failed, or that is missing. ``limits`` are checked on the rows of ``new``. The references are
    not rows of this: they are told in a note.

    Raises:
        InputError: the hosts differ, unless ``across_hosts``; or the data does, unless ``max_drop`` is
            ``None``.
    """
    asked = tolerance or Tolerance()
    _require_comparable(old, new, asked, across_hosts=across_hosts)
    name = None
    if asked.max_drop is not None and _same_data(old, new):
        name = quality_name(old.results)
    pairs = _pairs(old.results, new.results)
    named = row_labels([row for row in (after or before for before, after in pairs) if row is not None])
    changes = [_change(*pair, label, name, asked) for pair, label in zip(pairs, named, strict=True)]
    return Comparison(tuple(changes), tuple(check_limits(new.results, limits)), tuple(_notes(old, new, changes, asked)))


def _same_data(old: Report, new: Report) -> bool:
    return old.data_sha256 is not None and old.data_sha256 == new.data_sha256


def _require_comparable(old: Report, new: Report, asked: Tolerance, *, across_hosts: bool) -> None:
    if asked.max_drop is not None and quality_name(old.results) is not None and not _same_data(old, new):
        theirs = new.data if new.data_sha256 else "no data"
        alike = " (other pictures of it)" if theirs == old.data else ""
        raise InputError(
            f"the old run was measured on {old.data}, the new one on {theirs}{alike}: accuracies do not compare",
            "measure both on the same data, or say --ignore-accuracy",
        )
    require_one_host([old, new], across_hosts=across_hosts)


def _pairs(
    old: Sequence[BenchmarkResult], new: Sequence[BenchmarkResult]
) -> list[tuple[BenchmarkResult | None, BenchmarkResult | None]]:
    """Return which rows belong together: the old ones in their order, then those that only ``new`` has."""
    counts = [Counter(map(_key, rows)) for rows in (old, new)]
    twice = {key for found in counts for key, count in found.items() if count > 1}

    def exact(row: BenchmarkResult) -> tuple[object, ...]:
        return (*_key(row), row.path if _key(row) in twice else None)

    now, before = {exact(row): row for row in new}, set(map(exact, old))
    only_new = [row for row in new if exact(row) not in before]
    pairs: list[tuple[BenchmarkResult | None, BenchmarkResult | None]] = []
    found_again: set[int] = set()
    for row in old:
        match = now.get(exact(row)) or _without_engine(row, [one for one in only_new if id(one) not in found_again])
        if match is not None and match.runtime is not None:
            found_again.add(id(match))
        pairs.append((row, match))
    taken = {id(match) for _, match in pairs}
    return [*pairs, *((None, row) for row in only_new if id(row) not in taken)]


def _key(row: BenchmarkResult) -> tuple[str, str | None, int | None]:
    return row.name, row.runtime, row.threads


def _without_engine(row: BenchmarkResult, others: Sequence[BenchmarkResult]) -> BenchmarkResult | None:
    """Return the row of the same file where one of both could not even be opened, and so has no engine."""
    return next((one for one in others if one.name == row.name and None in (one.runtime, row.runtime)), None)


def _change(
    old: BenchmarkResult | None, new: BenchmarkResult | None, label: str, figure: str | None, asked: Tolerance
) -> Change:
    if old is None or new is None or not (old.ok and new.ok):
        return Change(old, new, label, None, figure, tuple(_lost_row(old, new, label)))
    enough = min(len(old.trusted_rounds), len(new.trusted_rounds)) >= FEWEST_ROUNDS
    seen = compare_across(new, old) if enough else None
    change = Change(old, new, label, seen, figure, ())
    found = []
    slower = change.slower_percent
    if seen is not None and slower is not None and seen.word == "slower" and slower[1] > asked.max_slower:
        found.append(f"{label}: {slower[1]:.1f} to {slower[2]:.1f} % slower (95 %), {asked.max_slower:g} allowed")
    gained = change.difference("quality")
    if asked.max_drop is not None and gained is not None and -gained > asked.max_drop + _TRIFLE:
        found.append(f"{label}: {figure} is {points_text(-gained)} lower, {asked.max_drop:g} allowed")
    if quality(old, figure) is not None and quality(new, figure) is None:
        found.append(f"{label}: its {figure} was measured before and is not now")
    return Change(old, new, label, seen, figure, tuple(found))


def _lost_row(old: BenchmarkResult | None, new: BenchmarkResult | None, label: str) -> list[str]:
    if new is None:
        return [f"{label}: missing from the new run"]
    if old is None or not old.ok or new.ok:
        return []
    return [f"{label}: ok before, {new.status} now: {new.reason}"]


def _notes(old: Report, new: Report, changes: Sequence[Change], asked: Tolerance) -> list[str]:
    """Return what else a reader must know of two runs."""
    found = ["the runs did not take turns: what drifted between them is not in the intervals"]
    difference = old.host.difference(new.host)
    if difference:
        found.append(f"the hosts differ ({difference}): so their times would, with no file changed")
    if old.created > new.created:
        found.append(
            f"the first report ({old.created}) is newer than the second ({new.created}): the old one goes first"
        )
    base = compare_across(new.reference, old.reference) if new.reference and not _is_stored(old, new) else None
    if base is not None and new.reference is not None:
        change = Change(old.reference, new.reference, new.reference.name, base, None, ()).slower_percent
        assert change is not None, "there is a verdict"  # noqa: S101
        found.append(
            f"the median of the reference, {new.reference.name}, changed by {change[0]:+.1f} % "
            f"({change[1]:+.1f} to {change[2]:+.1f}, 95 %): where that file is the same, it is drift"
        )
    versions = {
        (change.old.runtime_version, change.new.runtime_version)
        for change in changes
        if change.old and change.new and change.old.runtime_version and change.new.runtime_version
    } | {(f"edgecnn {old.edgecnn_version}", f"edgecnn {new.edgecnn_version}")}
    found += [f"{before} before, {after} now" for before, after in sorted(versions) if before != after]
    untold = sum(change.outcome == "not told" for change in changes)
    if untold:
        found.append(
            f"{untold} row(s) have fewer than {FEWEST_ROUNDS} rounds, or too few samples, in one of the runs: "
            "no word on their speed (bench --rounds 5)"
        )
    if asked.max_drop is None:
        found.append("accuracies were not compared, as was asked")
    elif all(change.figure is None for change in changes):
        found.append("accuracies were not compared: the old run has none")
    return found


def _is_stored(old: Report, new: Report) -> bool:
    """Whether a reference was measured elsewhere: it says nothing of the time between the runs."""
    return old.reference_host is not None or new.reference_host is not None
