"""Floors and ceilings for the figures of a benchmark, as a person writes them and as a row keeps them.

This module must not know how a figure is measured, nor how a broken limit is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.timing import samples_needed
from edgecnn.bench.wording import row_labels
from edgecnn.errors import InputError, closest, unknown

Kind = Literal["floor", "ceiling"]
_LABELLED = "it needs pictures with classes: bench --data"
_COMPARED = "it needs a reference and pictures: bench --reference and --data"
_SPELLING = "FIGURE=LIMIT or 'GLOB:FIGURE=LIMIT', as in accuracy=86.5 or '*_int8.tflite:p50_ms=2'"


@dataclass(frozen=True)
class Figure:
    """One figure of a row: how it is read, and what is said where a row lacks it."""

    read: Callable[[BenchmarkResult], float | None]
    lacking: Callable[[BenchmarkResult], str]


def _percentile(percent: float) -> Figure:
    def lacking(row: BenchmarkResult) -> str:
        count = row.invoke.count if row.invoke else 0
        return f"{count} samples, {samples_needed(percent)} needed: bench with more --runs or --max-seconds"

    return Figure(lambda row: row.invoke.percentile_ms(percent) if row.invoke else None, lacking)


def _told(read: Callable[[BenchmarkResult], float | None], lacking: str = "it was not measured") -> Figure:
    return Figure(read, lambda _: lacking)


#: By the names that ``bench --json`` has for them.
FIGURES: Mapping[str, Figure] = {
    "accuracy": _told(lambda row: row.accuracy, _LABELLED),
    "agreement": _told(lambda row: row.agreement, _COMPARED),
    "max_drift": _told(lambda row: row.max_drift, _COMPARED),
    "p50_ms": _percentile(50),
    "p90_ms": _percentile(90),
    "p99_ms": _percentile(99),
    "load_ms": _told(lambda row: row.median_of(lambda taken: taken.load_ms)),
    "first_ms": _told(lambda row: row.median_of(lambda taken: taken.first_ms)),
    "pictures_per_s": _told(lambda row: row.pictures_per_s),
    "size_bytes": _told(lambda row: row.size_bytes),
    "peak_rss_bytes": _told(lambda row: row.memory.peak_rss_bytes if row.memory else None),
    "model_rss_bytes": _told(lambda row: row.memory.model_rss_bytes if row.memory else None),
}


@dataclass(frozen=True)
class Limit:
    """One floor or ceiling: for the files whose name matches ``glob``, for all where that is ``None``.

    Raises:
        InputError: an unknown figure, or no finite number.
    """

    kind: Kind
    figure: str
    value: float
    glob: str | None = None

    def __post_init__(self) -> None:
        if self.figure not in FIGURES:
            raise unknown("figure", self.figure, FIGURES)
        if not math.isfinite(self.value):
            raise InputError(f"--{self.kind} {self} is no limit: {self.value}", "give a finite number")

    def __str__(self) -> str:
        return f"{'' if self.glob is None else f'{self.glob}:'}{self.figure}={self.value:.15g}"

    def is_about(self, row: BenchmarkResult) -> bool:
        """Return whether a row's file is meant; a glob with a slash is for its whole path."""
        if self.glob is None:
            return True
        return fnmatchcase(row.path if "/" in self.glob else row.name, self.glob)

    def is_kept_by(self, value: float) -> bool:
        return value >= self.value if self.kind == "floor" else value <= self.value


def parse_limit(text: str, kind: Kind) -> Limit:
    """Return the limit in ``FIGURE=LIMIT`` or ``GLOB:FIGURE=LIMIT``.

    A glob may hold any letter, colons and equal signs too: the last of each counts.

    Raises:
        InputError: it is spelt otherwise, the figure is unknown, or the limit is no finite number.
    """
    name, equals, number = text.rpartition("=")
    glob, colon, figure = name.rpartition(":")
    if not equals or not figure or (colon and not glob):
        raise InputError(f"--{kind} {text!r} is no limit", _SPELLING)
    try:
        value = float(number)
    except ValueError as error:
        raise InputError(f"--{kind} {text!r}: {number!r} is no number", _SPELLING) from error
    return Limit(kind, figure, value, glob if colon else None)


@dataclass(frozen=True)
class Checked:
    """What became of one limit: in how many rows it was looked at, and a sentence for each that breaks it."""

    limit: Limit
    rows: int
    broken: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self.limit), "rows": self.rows, "kept": not self.broken, "broken": list(self.broken)}


def check_limits(rows: Sequence[BenchmarkResult], limits: Iterable[Limit]) -> list[Checked]:
    """Return for each limit which rows break it.

    A row that failed, or lacks the figure, breaks it: what was not measured is not shown to be kept. A
    limit that is about no row at all is broken too.
    """
    labels = row_labels(rows)
    checked = []
    for limit in limits:
        about = [(row, label) for row, label in zip(rows, labels, strict=True) if limit.is_about(row)]
        found = [_broken(limit, row, label) for row, label in about]
        broken = [text for text in found if text is not None]
        if not about:
            near = closest(limit.glob or "", [row.name for row in rows])
            broken = [f"{limit.kind} {limit}: no file has such a name{near}"]
        checked.append(Checked(limit, len(about), tuple(broken)))
    return checked


def _broken(limit: Limit, row: BenchmarkResult, label: str) -> str | None:
    if not row.ok:
        return f"{label}: no {limit.figure} ({row.status}: {row.reason})"
    figure = FIGURES[limit.figure]
    value = figure.read(row)
    if value is None:
        return f"{label}: no {limit.figure} ({figure.lacking(row)})"
    if limit.is_kept_by(value):
        return None
    beyond = "below the floor" if limit.kind == "floor" else "above the ceiling"
    shown = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    shown = repr(value) if float(shown) == limit.value else shown
    return f"{label}: {limit.figure} {shown} is {beyond} {limit.value:.15g}"
