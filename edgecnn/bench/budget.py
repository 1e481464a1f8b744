"""What a file may cost and lose, and which of these limits a measured file does not keep.

This module must not know which of several files is better, nor how anything is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from edgecnn.bench.quality import quality, quality_name
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.wording import bytes_text, ms_text, points_text
from edgecnn.errors import InputError

_TRIFLE = 1e-9  # of arithmetic: 100 of 10,000 pictures come out as 1.0000000000000142 points


@dataclass(frozen=True)
class Budget:
    """What a file may cost at most; ``None`` is no limit.

    Args:
        max_drop: points of accuracy (of agreement, where the data has no classes) that may be lost.
        max_ms: of one call of the engine: the upper end of the 95 % interval of its median.
        max_mb: of the file; 1 MB is 1,000,000 bytes.
        max_memory_mb: of the process at its peak.

    Raises:
        InputError: a limit is no positive number (``max_drop`` may be 0).
    """

    max_drop: float | None = None
    max_ms: float | None = None
    max_mb: float | None = None
    max_memory_mb: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            is_zero_wrong = value == 0 and item.name != "max_drop"
            if value is not None and (not 0 <= value < math.inf or is_zero_wrong):
                option = item.name.replace("_", "-")
                raise InputError(f"--{option} must be a positive number, not {value:g}", "leave it out for no limit")

    def __str__(self) -> str:
        units = {"max_ms": "ms", "max_mb": "MB", "max_memory_mb": "MB of memory"}
        told = [f"{getattr(self, name):g} {unit}" for name, unit in units.items() if getattr(self, name) is not None]
        lost = [] if self.max_drop is None else [f"{points_text(self.max_drop)} lost"]
        return ", ".join(lost + told) or "no limit"


@dataclass(frozen=True)
class Overrun:
    """One limit that a file does not keep: in words, and how many times the limit it takes."""

    text: str
    factor: float


@dataclass(frozen=True)
class Baseline:
    """What a loss is counted from: ``value`` percent of ``figure``, and where it is from, in words."""

    figure: str
    value: float
    text: str


def find_baseline(references: Sequence[BenchmarkResult], rows: Sequence[BenchmarkResult]) -> Baseline | None:
    """Return what a loss of accuracy is counted from.

    The most accurate reference; without one the most accurate float32 file; 100 % agreement where the
    data has no classes; ``None`` where nothing tells how good the answers are.
    """
    name = quality_name(rows)
    if name == "agreement":
        return Baseline(name, 100.0, "the reference, by agreement: the data has no classes")
    floats = [row for row in rows if row.ok and row.recipe == "float32"]
    for found, suffix in ((references, "the reference"), (floats, "the best float32 file: there is no reference")):
        told = [(row.accuracy, row) for row in found if row.accuracy is not None]
        if name is not None and told:
            value, best = max(told, key=lambda pair: pair[0])
            return Baseline(name, value, f"{best.name}, {value:.2f} % ({suffix})")
    return None


def overruns(
    row: BenchmarkResult, budget: Budget, baseline: Baseline | None, figure: str | None
) -> tuple[Overrun, ...]:
    """Return every limit of a budget that a row with a median does not keep.

    Args:
        baseline: what a loss is counted from.
        figure: that tells how good answers are, by :func:`edgecnn.bench.quality.quality_name`.

    Raises:
        InputError: a loss is limited, and there is nothing to count it from.
    """
    found = []
    if budget.max_drop is not None:
        if baseline is None:
            raise InputError(
                "there is nothing to count a loss of accuracy from: no reference and no float32 file has one",
                "bench with --data and --reference, or leave --max-drop out",
            )
        found.append(_drop_overrun(quality(row, figure), budget.max_drop, baseline))
    if budget.max_ms is not None:
        found.append(_ms_overrun(row, budget.max_ms))
    peak = row.memory.peak_rss_bytes if row.memory else None
    found.append(_bytes_overrun(row.size_bytes, budget.max_mb, ""))
    found.append(_bytes_overrun(peak, budget.max_memory_mb, " of memory"))
    return tuple(one for one in found if one is not None)


def _drop_overrun(own: float | None, most: float, baseline: Baseline) -> Overrun | None:
    if own is None:
        return Overrun(f"its {baseline.figure} was not measured, {points_text(most)} may be lost", math.inf)
    drop = baseline.value - own
    if drop <= most + _TRIFLE:
        return None
    return Overrun(f"loses {points_text(drop)}, {most:g} allowed", 1 + (drop - most) / max(most, 1.0))


def _ms_overrun(row: BenchmarkResult, most: float) -> Overrun | None:
    """A budget is a promise: the file keeps it if the upper end of its median's interval does."""
    median, interval = row.p50_ms, row.ci95_ms()
    assert median is not None, "the row has a median"  # noqa: S101
    end = max(median, interval[1]) if interval else median
    if end <= most:
        return None
    if median > most:
        return Overrun(f"{ms_text(median)} ms, {most:g} allowed", end / most)
    return Overrun(f"{ms_text(median)} ms, but its 95 % interval ends at {ms_text(end)}; {most:g} allowed", end / most)


def _bytes_overrun(size: int | None, most_mb: float | None, what: str) -> Overrun | None:
    if most_mb is None or (size is not None and size <= most_mb * 1e6):
        return None
    if size is None:
        return Overrun(f"its size{what} is not known, {most_mb:g} MB allowed", math.inf)
    return Overrun(f"{bytes_text(size)}{what}, {most_mb:g} MB allowed", size / (most_mb * 1e6))
