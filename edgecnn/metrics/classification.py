"""Accuracy of classifiers, in percent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def top1_accuracy(probabilities: npt.NDArray[np.floating[Any]], classes: npt.NDArray[np.int64]) -> float:
    """Return the percentage of rows (N, C) whose largest entry is at the true class (N,)."""
    return float((probabilities.argmax(axis=1) == classes).mean() * 100)


def chance_accuracy(classes: npt.NDArray[np.int64]) -> float:
    """Return the accuracy, in percent, below which a model cannot be told from a guess.

    Always naming the most frequent class scores its share p; three standard errors above that,
    sqrt(p (1 - p) / n) each, a guess is next to never found (one in 740 for a normal deviate).
    """
    share = np.bincount(classes).max() / len(classes)
    return float(min(share + 3 * math.sqrt(share * (1 - share) / len(classes)), 1.0) * 100)
