"""Frame to tensor, tensor to predictions. Nothing here may know an engine or a file format."""

from edgecnn.vision.classify import class_probabilities, classify
from edgecnn.vision.preprocess import Preprocessor

__all__ = ["Preprocessor", "class_probabilities", "classify"]
