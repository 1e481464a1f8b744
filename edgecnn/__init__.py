"""edgecnn: trained Keras CNNs become verified, benchmarked TFLite and ONNX files for the edge.

Importing this package loads nothing but the standard library; every name is resolved when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact, open_artifact
    from edgecnn.data import Dataset, load_data, read_picture
    from edgecnn.errors import EdgecnnError
    from edgecnn.pipeline import Pipeline
    from edgecnn.predictions import Classifications
    from edgecnn.recipe import RECIPES, Recipe
    from edgecnn.runtimes import open_runtime
    from edgecnn.spec import Head, InputSpec, ModelSpec
    from edgecnn.tensors import QuantParams, TensorInfo

#: Public name -> the module that has it.
_HOME = {
    "Artifact": "edgecnn.artifact",
    "open_artifact": "edgecnn.artifact",
    "Dataset": "edgecnn.data",
    "load_data": "edgecnn.data",
    "read_picture": "edgecnn.data",
    "EdgecnnError": "edgecnn.errors",
    "Pipeline": "edgecnn.pipeline",
    "Classifications": "edgecnn.predictions",
    "RECIPES": "edgecnn.recipe",
    "Recipe": "edgecnn.recipe",
    "open_runtime": "edgecnn.runtimes",
    "Head": "edgecnn.spec",
    "InputSpec": "edgecnn.spec",
    "ModelSpec": "edgecnn.spec",
    "QuantParams": "edgecnn.tensors",
    "TensorInfo": "edgecnn.tensors",
}
__all__ = [
    "RECIPES",
    "Artifact",
    "Classifications",
    "Dataset",
    "EdgecnnError",
    "Head",
    "InputSpec",
    "ModelSpec",
    "Pipeline",
    "QuantParams",
    "Recipe",
    "TensorInfo",
    "load_data",
    "open_artifact",
    "open_runtime",
    "read_picture",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgecnn' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
