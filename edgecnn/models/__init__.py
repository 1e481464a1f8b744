"""The Keras models that edgecnn can build, one family a file, on any Keras backend.

Importing this package loads no Keras; a family's module does, when one of its models is built.
Nothing here may import TensorFlow, know a data set, or know how a model is trained.
"""

from edgecnn.models.registry import MODELS, ModelEntry, build_model

__all__ = ["MODELS", "ModelEntry", "build_model"]
