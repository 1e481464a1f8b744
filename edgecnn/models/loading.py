"""Opening Keras files as data: no code of a file runs unless the user trusts it.

Needs ``keras`` alone, so any backend opens a model. This module must not know what the model is
opened for: the reference runtime, the converters and the trainer all come here.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from importlib import import_module
from textwrap import shorten
from typing import Any

from edgecnn.artifact import Artifact
from edgecnn.errors import EdgecnnError, InputError, MissingDependency, unknown
from edgecnn.formats import damaged
from edgecnn.models.keras_files import architecture_of, copy_with, named_by_format
from edgecnn.models.repair import renamed, repaired
from edgecnn.models.screen import screen
from edgecnn.quiet import quiet
from edgecnn.spec import ModelFacts, picture_facts

#: Characters. Keras repeats all arguments of a layer that it refuses.
_LONGEST_REASON = 400

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


@dataclass(frozen=True)
class Opened:
    """A Keras model, and what had to be done to open its file.

    Args:
        model: the Keras model.
        notes: a line each for what the user should know: where the architecture came from, and what of
            it was said anew, since it was written by an older Keras. Empty for most files.
    """

    model: Any
    notes: tuple[str, ...] = ()


def load_keras_model(artifact: Artifact, *, trust: bool = False) -> Any:
    """Return the Keras model inside a ``.keras`` or ``.h5`` file: :func:`open_keras_model` without the notes."""
    return open_keras_model(artifact, trust=trust).model


def open_keras_model(artifact: Artifact, *, trust: bool = False) -> Opened:
    """Open the Keras model inside a ``.keras`` or ``.h5`` file.

    A file that Keras refuses because it speaks as Keras 1 or 2 did is opened with its architecture said
    anew (:mod:`edgecnn.models.repair`). An ``.h5`` file of weights alone takes its architecture from the
    ``.json`` of its name beside it. No architecture reaches Keras that did not pass the screen.

    tf_keras, which is Keras 2, would open old files as well. It would be a second Keras to keep safe, it
    opens no file of Keras 3, and the repair opened every file that it was compared with.

    Args:
        artifact: the file.
        trust: let the file run the code that it carries or names: Lambda layers, layers of others.

    Raises:
        InputError: the file is damaged, holds more than Keras' own computing layers (and is not
            trusted), or holds layers that this Keras does not know.
        MissingDependency: Keras is not installed.
    """
    keras = import_keras()
    found = architecture_of(artifact)
    config = renamed(found.config)
    if not trust:
        screen(artifact.path, config)
    notes: tuple[str, ...] = ()
    if found.beside is not None:
        notes = (f"{artifact.path.name} holds weights alone: its architecture is that of {found.beside.name}",)
    as_it_is = found.beside is None and config is found.config
    try:
        return Opened(_opened(artifact, None if as_it_is else config, trust=trust), notes)
    except InputError as refusal:
        try:
            anew, repairs = repaired(config)
        except InputError as error:
            raise InputError(
                f"Keras {keras.__version__} cannot open {str(artifact.path)!r}: {error.message}", error.remedy
            ) from refusal
        if anew is config:
            raise
        if not trust:
            screen(artifact.path, anew)
    return Opened(
        _opened(artifact, anew, trust=trust),
        (*notes, f"{artifact.path.name} is of an older Keras, repaired: {', '.join(repairs) or 'initializers'}"),
    )


def _opened(artifact: Artifact, config: object | None, *, trust: bool) -> Any:
    """Return the model inside a file, built by ``config`` where it is not ``None``; see :func:`open_keras_model`."""
    keras = import_keras()
    source = named_by_format(artifact) if config is None else copy_with(artifact, config)
    try:
        # The backend looks for a GPU on its first operation, and says so.
        with quiet(), source as path:
            model = keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except EdgecnnError:
        raise
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(artifact.path, "Keras", error) from error
    except Exception as error:  # each backend has its own exceptions, for a layer too large for memory to begin with
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"Keras {keras.__version__} cannot open {str(artifact.path)!r}: {shorten(first_line, _LONGEST_REASON)}",
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
