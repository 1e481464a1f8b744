"""A Keras file as the one function both converters start from: one picture in, batch fixed to 1."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from converters import INPUT_NAME, ConversionJob
from converters._names import KerasNames, mark
from edgecnn.artifact import open_artifact
from edgecnn.errors import InputError
from edgecnn.models.loading import load_keras_model


def one_picture_function(job: ConversionJob) -> tuple[Any, KerasNames]:
    """Return the model as a ``tensorflow.function``, its input shape fixed by the contract, and its layers' names.

    A free batch side would leave shape arithmetic in the graph, which engines do not fuse.

    Raises:
        InputError: Keras runs on another backend than TensorFlow, which the converters need.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export needs Keras on TensorFlow, it runs on {keras.backend.backend()!r}",
            "KERAS_BACKEND=tensorflow edgecnn export ...",
        )
    artifact = open_artifact(job.source)
    return _opened(artifact.path, artifact.sha256, job.spec.input.shape, job.trust)


@lru_cache(maxsize=1)  # the formats of one export follow each other
def _opened(path: Path, sha256: str, shape: tuple[int, ...], trust: bool) -> tuple[Any, KerasNames]:
    """Return what :func:`one_picture_function` does; ``sha256`` tells a file that was written anew."""
    import keras
    import tensorflow

    model = load_keras_model(open_artifact(path), trust=trust)
    names = mark(model)
    picture = keras.Input(batch_shape=shape, name=INPUT_NAME, dtype="float32")
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name=INPUT_NAME)]
    return tensorflow.function(keras.Model(picture, model(picture, training=False)), input_signature=signature), names
