"""What a few independent figures show of the figure behind them. This module must not know what they measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

#: Student's t, two-sided 95 %, for 1 to 30 degrees of freedom (any table of it).
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z95 = 1.959964


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def t95(freedom: int) -> float:
    """Return the factor of the standard error for a two-sided interval of 95 %.

    Beyond the table by the first two terms of its expansion in 1 / freedom (Abramowitz and Stegun,
    "Handbook of Mathematical Functions", 26.7.5), which there is right to 0.001.
    """
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of independent values with its Student interval; ``None`` for fewer than three.

    With two the factor is 12.7: an interval that wide says nothing that a reader would not misread.
    """
    if len(values) < 3:
        return None
    mean = fmean(values)
    half = t95(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def ratio_interval(ratios: Sequence[float]) -> Interval | None:
    """Return the geometric mean of positive figures with its interval; ``None`` for fewer than three.

    Ratios are averaged as logarithms: twice as fast and half as fast then cancel.
    """
    found = mean_interval([math.log(ratio) for ratio in ratios])
    return None if found is None else Interval(*(math.exp(end) for end in (found.mean, found.low, found.high)))
