"""How good a file's answers are: its accuracy, or its agreement with the reference where the data has no classes.

This module must not know how fast or how large a file is, nor how anything is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.timing import median_ranks

#: In the order in which they are preferred; both percent, larger is better.
QUALITIES = ("accuracy", "agreement")


def quality_name(rows: Iterable[BenchmarkResult]) -> str | None:
    """Return which figure tells how good these rows' answers are: the first that any has; ``None`` without."""
    ok = [row for row in rows if row.ok]
    return next((name for name in QUALITIES if any(quality(row, name) is not None for row in ok)), None)


def quality(row: BenchmarkResult, name: str | None) -> float | None:
    """Return that figure of a row, percent."""
    value: float | None = getattr(row, name) if name is not None else None
    return value


def shown_lower(row: BenchmarkResult, other: BenchmarkResult, name: str | None, pictures: int | None) -> bool:
    """Return whether the same pictures show, with 95 % confidence, that ``row`` answers worse than ``other``.

    Rows keep percentages, not answers, so on how many pictures exactly one of the two is right is not
    known, only its most: no more than both get wrong in sum, and no more than both differ from the
    reference in sum. The sign test (McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages", Psychometrika 12, 1947, in its exact form) is taken with
    that many, where it shows least: what is said to be lower is so however the answers overlap.
    Five pictures fewer are never shown to be worse.
    """
    own, theirs = quality(row, name), quality(other, name)
    if own is None or theirs is None or not pictures or own >= theirs:
        return False
    lost = round((theirs - own) / 100 * pictures)
    most = min(pictures, _count(100 - own, pictures) + _count(100 - theirs, pictures))
    if row.agreement is not None and other.agreement is not None:
        most = min(most, _count(100 - row.agreement, pictures) + _count(100 - other.agreement, pictures))
    most = max(lost, most - (most - lost) % 2)  # won + lost and lost - won are both even or both odd
    ranks = median_ranks(most)
    return ranks is not None and (most - lost) // 2 < ranks[0]


def _count(percent: float, pictures: int) -> int:
    return round(percent / 100 * pictures)
