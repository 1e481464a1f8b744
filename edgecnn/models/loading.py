"""Opening Keras files as data: no code of a file runs unless the user trusts it.

Needs ``keras`` alone, so any backend opens a model. This module must not know what the model is
opened for: the reference runtime, the converters and the trainer all come here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError, MissingDependency
from edgecnn.formats import damaged
from edgecnn.formats.keras import config_of
from edgecnn.quiet import quiet
from edgecnn.spec import ModelFacts


def _configured_classes(node: object) -> Iterator[str]:
    """Yield every ``class_name`` in an architecture, nested models included."""
    if isinstance(node, dict):
        name = node.get("class_name")
        if isinstance(name, str):
            yield name
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _configured_classes(child)


def _h5_config(artifact: Artifact) -> object:
    import h5py

    try:
        with h5py.File(artifact.path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise damaged(artifact.path, "HDF5", error) from error
    if text is None:
        raise InputError(
            f"{str(artifact.path)!r} holds weights without a model", "save the whole model: model.save('model.keras')"
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise damaged(artifact.path, "Keras", error) from error


def import_keras() -> Any:
    """Return the module ``keras``, imported without the page that its backend prints.

    Raises:
        MissingDependency: Keras or its backend is not installed.
    """
    try:
        with quiet():
            return import_module("keras")
    except ImportError as error:
        raise MissingDependency(error.name or "keras", "export", "opening a Keras model") from error


def load_keras_model(artifact: Artifact, *, trust: bool = False) -> Any:
    """Return the Keras model inside a ``.keras`` or ``.h5`` file.

    Args:
        artifact: the file.
        trust: let Lambda layers run the Python code that the file carries.

    Raises:
        InputError: the file is damaged, holds a Lambda layer (and is not trusted), or holds layers
            that this Keras does not know.
        MissingDependency: Keras is not installed.
    """
    keras = import_keras()
    config = config_of(artifact.path) if artifact.format == "keras" else _h5_config(artifact)
    if "Lambda" in _configured_classes(config) and not trust:
        raise InputError(
            f"{str(artifact.path)!r} holds a Lambda layer: Python code that would run on this machine",
            "add --trust if you know who made the file",
        )
    try:
        with quiet():  # the backend looks for a GPU on its first operation, and says so
            model = keras.saving.load_model(artifact.path, compile=False, safe_mode=not trust)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise damaged(artifact.path, "Keras", error) from error
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"Keras {keras.__version__} cannot open {str(artifact.path)!r}: {first_line}",
            "save it again with a current Keras, without layers of your own",
        ) from error
    if not hasattr(model, "inputs") or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(f"{str(artifact.path)!r} has not one input and one output", "export a model with one of each")
    return model


def facts_of(model: Any) -> ModelFacts:
    """Return what a Keras model tells about its input and output.

    The head follows from the last layer's activation: softmax gives probabilities, one sigmoid
    output the probability of class 1, a dense layer without activation logits.

    Raises:
        InputError: the model does not take pictures.
    """
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4:
        raise InputError(f"the model's input has the shape {shape}, not (batch, height, width, channels)", "use a CNN")
    layout = "nchw" if shape[1] in (1, 3) and shape[3] not in (1, 3) else "nhwc"
    height, width, channels = shape[1:] if layout == "nhwc" else (shape[2], shape[3], shape[1])
    outputs = tuple(model.outputs[0].shape)
    if len(outputs) != 2:
        raise InputError(f"the model's output has the shape {outputs}, not (batch, classes)", "use a classifier")
    return ModelFacts(
        height=height,
        width=width,
        channels=channels,
        layout=layout,
        head_kind=_head_kind(model, outputs[-1]),
        classes=outputs[-1] if outputs[-1] != 1 else None,
    )


def _head_kind(model: Any, outputs: int) -> str | None:
    last = model.layers[-1]
    if type(last).__name__ == "Softmax":
        return "probabilities"
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    if activation == "sigmoid" and outputs == 1:
        return "binary"
    return {"softmax": "probabilities", "linear": "logits"}.get(activation or "")
