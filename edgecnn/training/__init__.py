"""Training a model of the zoo on a data set, on any Keras backend.

Importing this package loads no Keras. Nothing here may import TensorFlow, an engine or a converter.
"""

from edgecnn.training.plan import TrainingPlan
from edgecnn.training.train import TrainingResult, train

__all__ = ["TrainingPlan", "TrainingResult", "train"]
