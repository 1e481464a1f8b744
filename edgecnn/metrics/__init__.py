"""What a model's answers are worth. Nothing here may know engines, files or pictures."""

from edgecnn.metrics.classification import chance_accuracy, top1_accuracy
from edgecnn.metrics.fidelity import Fidelity, fidelity

__all__ = ["Fidelity", "chance_accuracy", "fidelity", "top1_accuracy"]
