"""Accuracy of classifiers, in percent, and what a few samples can show of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

#: How improbable a guesser's luck must be, before a model is believed to be none.
GUESSING_LEVEL = 1e-3


def top1_accuracy(probabilities: npt.NDArray[np.floating[Any]], classes: npt.NDArray[np.int64]) -> float:
    """Return the percentage of rows (N, C) whose largest entry is at the true class (N,)."""
    return float((probabilities.argmax(axis=1) == classes).mean() * 100)


def guessing_probability(correct: int, classes: npt.NDArray[np.int64]) -> float:
    """Return how probable it is that a guesser gets at least ``correct`` of the samples right.

    The guesser always names the most frequent of ``classes`` (N,), which has the share p, so the
    answer is the upper tail of the binomial distribution B(N, p), summed exactly.
    """
    samples = len(classes)
    share = float(np.bincount(classes).max()) / samples
    if share == 1:
        return 1.0
    log_factorial = [math.lgamma(count + 1) for count in range(samples + 1)]
    return math.fsum(
        math.exp(
            log_factorial[samples]
            - log_factorial[hits]
            - log_factorial[samples - hits]
            + hits * math.log(share)
            + (samples - hits) * math.log1p(-share)
        )
        for hits in range(correct, samples + 1)
    )


def paired_change_interval(won: int, lost: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval, in points, of the change of accuracy between two models on the same samples.

    Of ``samples``, ``won`` became right and ``lost`` became wrong. Wald's interval for paired
    proportions (Agresti, "Categorical Data Analysis", 3rd edition, section 11.1.1).
    """
    change = (won - lost) / samples
    half = 1.96 * math.sqrt(max(won + lost - (won - lost) ** 2 / samples, 0.0)) / samples
    return (change - half) * 100, (change + half) * 100
