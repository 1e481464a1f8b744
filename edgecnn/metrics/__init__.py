"""What a model's answers are worth. Nothing here may know engines, files or pictures."""

from edgecnn.metrics.classification import (
    GUESSING_LEVEL,
    guessing_probability,
    paired_change_interval,
    top1_accuracy,
)
from edgecnn.metrics.fidelity import Fidelity, fidelity

__all__ = [
    "GUESSING_LEVEL",
    "Fidelity",
    "fidelity",
    "guessing_probability",
    "paired_change_interval",
    "top1_accuracy",
]
