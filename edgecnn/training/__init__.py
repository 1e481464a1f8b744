"""Training a model of the zoo on a data set, or a trained one for int8, on any Keras backend.

Importing this package loads no Keras. Nothing here may import TensorFlow, an engine or a converter.
"""

from edgecnn.training.plan import TrainingPlan
from edgecnn.training.quantize_aware import QuantizeAwareResult, train_quantize_aware
from edgecnn.training.results import TrainingResult
from edgecnn.training.train import train

__all__ = ["QuantizeAwareResult", "TrainingPlan", "TrainingResult", "train", "train_quantize_aware"]
