"""How far a converted model has drifted from the float reference, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fidelity:
    """What became of the reference's answers.

    Args:
        agreement: percentage of samples with the same top-1 class.
        max_drift, mean_drift: a sample's drift is the largest absolute difference of any of its class
            probabilities, 0..1; these are the largest and the mean over samples.
        confidence_ratio: median over samples of the probability given to the reference's top-1
            class, divided by what the reference gave it; 1 where nothing is scaled.
    """

    agreement: float
    max_drift: float
    mean_drift: float
    confidence_ratio: float


def fidelity(probabilities: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Fidelity:
    """Compare probabilities (N, C) with those of the reference on the same samples."""
    drift = np.abs(probabilities - reference).max(axis=1)
    top = reference.argmax(axis=1)
    rows = np.arange(len(top))
    confidence = probabilities[rows, top] / np.maximum(reference[rows, top], np.finfo(np.float32).tiny)
    same = probabilities.argmax(axis=1) == top
    return Fidelity(float(same.mean() * 100), float(drift.max()), float(drift.mean()), float(np.median(confidence)))
