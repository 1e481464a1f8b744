"""Opening Keras files as data: no code of a file runs unless the user trusts it.

Needs ``keras`` alone, so any backend opens a model. This module must not know what the model is
opened for: the reference runtime, the converters and the trainer all come here.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError, MissingDependency, unknown
from edgecnn.formats import damaged
from edgecnn.formats.keras import config_of
from edgecnn.quiet import quiet
from edgecnn.spec import ModelFacts, picture_facts, shown

# The screen. Keras' own safe mode has had holes: it was not applied to .h5 files (CVE-2025-9905), an
# architecture could switch it off by calling keras.config (CVE-2025-9906), and layers that load a
# saved program of TensorFlow (CVE-2026-1462) or Torch (CVE-2025-49655) passed it. So every object
# that an architecture names is looked at before Keras sees it, whatever Keras is installed: it must
# be of the parts of Keras that compute, and none of those that run or load code, or read other files.
_COMPUTING = (
    "activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|quantizers|"
    "random|regularizers"
)
_MODULE = re.compile(rf"keras|keras\.(src\.)?({_COMPUTING})(\.\w+)*")
_REFUSED = {
    "Lambda": "Python code", "__lambda__": "Python code", "__typespec__": "a class of TensorFlow",
    "TFSMLayer": "a program of TensorFlow", "TorchModuleWrapper": "a program of Torch",
    "JaxLayer": "a program of JAX", "FlaxLayer": "a program of Flax",
    "IndexLookup": "the path of another file", "StringLookup": "the path of another file",
    "IntegerLookup": "the path of another file", "TextVectorization": "the path of another file",
}  # fmt: skip
#: Plain values that are no classes.
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}


def _objects(config: object) -> Iterator[Mapping[str, Any]]:
    """Yield every object that an architecture names, however deep, but what only training would make."""
    if isinstance(config, dict):
        # Keras drops this one unread when it does not compile; those of nested models it reads.
        config = {key: value for key, value in config.items() if key != "compile_config"}
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class_name" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _objection(node: Mapping[str, Any]) -> str | None:
    """Return why an object of an architecture may not be made, or ``None`` if it may."""
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if isinstance(name, str) and name in _REFUSED:
        return f"{_REFUSED[name]} ({name})"
    # Of a function, the name is in config.
    is_function = name == "function"
    named = node.get("config") if is_function else name
    if not isinstance(named, str) or not re.fullmatch(r"\w+", named):
        return f"an object of the name {shown(named)}"
    if named.startswith("__") and named not in _VALUES:
        return f"an object of the unknown kind {shown(named)}"
    if is_function and module is None:
        return f"the function {shown(named)} of an unknown module"
    if module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        return f"{shown(named)} of the module {shown(module)}"
    if registered is not None and registered not in (name, named):
        return f"{shown(named)} registered as {shown(registered)}"
    return None


def _screen(path: Path, config: object) -> None:
    """Refuse an architecture that names anything but the computing parts of Keras.

    Raises:
        InputError: it does; the first such object is named.
    """
    for node in _objects(config):
        objection = _objection(node)
        if objection is not None:
            raise InputError(
                f"{str(path)!r} holds {objection}: it could run code on this machine",
                "add --trust if you know who made the file",
            )


def _h5_config(artifact: Artifact) -> object:
    import h5py

    try:
        with h5py.File(artifact.path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise damaged(artifact.path, "HDF5", error) from error
    if text is None:
        raise InputError(
            f"{str(artifact.path)!r} holds weights without a model", "save the whole model: model.save('model.keras')"
        )
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise damaged(artifact.path, "Keras", error) from error


@contextmanager
def _named_by_format(artifact: Artifact) -> Iterator[Path]:
    """Yield a path to the file whose suffix is its format.

    Keras chooses its reader by the suffix, the screen by the first bytes: a file that is both an
    archive and HDF5 would be screened as the one and opened as the other.
    """
    if artifact.path.suffix == f".{artifact.format}":
        yield artifact.path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"model.{artifact.format}")
        link.symlink_to(artifact.path.resolve())
        yield link


#: What Keras computes with, in the order in which its documentation names them.
BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> Any:
    """Return the module ``keras``, imported without the page that its backend prints.

    Raises:
        InputError: KERAS_BACKEND names a backend that is unknown or not installed.
        MissingDependency: Keras or its backend is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its workers' threads print later, too
    backend = os.environ.get("KERAS_BACKEND")
    if backend is not None and backend not in BACKENDS:
        raise unknown("Keras backend", backend, BACKENDS)
    try:
        with quiet():
            return import_module("keras")
    except ImportError as error:
        if (error.name or "").partition(".")[0] == backend:
            raise InputError(
                f"KERAS_BACKEND is {backend!r}, which is not installed", f"install {backend}, or unset KERAS_BACKEND"
            ) from error
        raise MissingDependency(error.name or "keras", "export", "a Keras model") from error


def load_keras_model(artifact: Artifact, *, trust: bool = False) -> Any:
    """Return the Keras model inside a ``.keras`` or ``.h5`` file.

    Args:
        artifact: the file.
        trust: let the file run the code that it carries or names: Lambda layers, layers of others.

    Raises:
        InputError: the file is damaged, holds more than Keras' own computing layers (and is not
            trusted), or holds layers that this Keras does not know.
        MissingDependency: Keras is not installed.
    """
    keras = import_keras()
    config = config_of(artifact.path) if artifact.format == "keras" else _h5_config(artifact)
    if not trust:
        _screen(artifact.path, config)
    try:
        # The backend looks for a GPU on its first operation, and says so.
        with quiet(), _named_by_format(artifact) as path:
            model = keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(artifact.path, "Keras", error) from error
    except (TypeError, ValueError, AttributeError, ImportError, IndexError, RuntimeError) as error:
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
    outputs = tuple(model.outputs[0].shape)
    if len(outputs) != 2:
        raise InputError(f"the model's output has the shape {outputs}, not (batch, classes)", "use a classifier")
    return picture_facts(shape, classes=outputs[-1], head_kind=_head_kind(model, outputs[-1]))


def _head_kind(model: Any, outputs: int) -> str | None:
    last = model.layers[-1]
    if type(last).__name__ == "Softmax":
        return "probabilities"
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    if activation == "sigmoid" and outputs == 1:
        return "binary"
    return {"softmax": "probabilities", "linear": "logits"}.get(activation or "")
