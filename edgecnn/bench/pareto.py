"""Which rows no other row beats in everything: the Pareto front.

This module must not know what a budget is, nor how anything is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecnn.bench.quality import quality, quality_name
from edgecnn.bench.results import BenchmarkResult
from edgecnn.errors import InputError


@dataclass(frozen=True)
class Objective:
    """One thing that is wanted of a file.

    Args:
        name: of the figure, with its unit.
        figure: reads it off a row; ``None`` where the row lacks it.
        larger_is_better: as with accuracy; else smaller is.
    """

    name: str
    figure: Callable[[BenchmarkResult], float | None]
    larger_is_better: bool = False

    def cost(self, row: BenchmarkResult) -> float | None:
        """Return the figure, turned so that smaller is better."""
        value = self.figure(row)
        return None if value is None else -value if self.larger_is_better else value


def pareto_front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the places, in order, of the points that no other point dominates.

    A point dominates another if it is no larger in any coordinate and smaller in at least one. Equal
    points do not dominate each other: both are on the front, or neither.

    Args:
        costs: points of equal length; smaller is better in every coordinate.

    Raises:
        InputError: the lengths differ, or a coordinate is NaN.
    """
    points = [tuple(map(float, point)) for point in costs]
    if len({len(point) for point in points}) > 1:
        raise InputError(f"points of {sorted({len(point) for point in points})} coordinates do not compare", "")
    if any(math.isnan(value) for point in points for value in point):
        raise InputError("a point with NaN is neither better nor worse than another", "leave it out")
    return [place for place, point in enumerate(points) if not any(_dominates(other, point) for other in points)]


def _dominates(point: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return point != other and all(mine <= theirs for mine, theirs in zip(point, other, strict=True))


def objectives_of(rows: Sequence[BenchmarkResult]) -> tuple[Objective, ...]:
    """Return latency, accuracy (or agreement where no row has one) and size: those that any row that is ok has."""
    name = quality_name(rows)
    wanted = (
        Objective("p50_ms", lambda row: row.p50_ms),
        Objective(name or "accuracy", lambda row: quality(row, name), larger_is_better=True),
        Objective("size_bytes", lambda row: row.size_bytes),
    )
    return tuple(one for one in wanted if any(row.ok and one.figure(row) is not None for row in rows))


def results_front(rows: Sequence[BenchmarkResult], objectives: Sequence[Objective] | None = None) -> list[int]:
    """Return the places of the rows on the Pareto front.

    Figures count as they are: two medians that are not shown to differ are two figures here. A row that
    failed, or lacks a figure that others have, is not on it.

    Args:
        rows: in any order.
        objectives: what is wanted; :func:`objectives_of` the rows when ``None``.
    """
    wanted = objectives_of(rows) if objectives is None else objectives
    costs = {place: [one.cost(row) for one in wanted] for place, row in enumerate(rows) if row.ok}
    told = {
        place: [value for value in found if value is not None] for place, found in costs.items() if None not in found
    }
    places = list(told)
    return [places[index] for index in pareto_front([told[place] for place in places])] if wanted else []
