"""A Keras file as the one function both converters start from: one picture in, batch fixed to 1."""

from __future__ import annotations

import os
from typing import Any

from converters import INPUT_NAME, ConversionJob
from converters._names import KerasNames, mark
from edgecnn.artifact import open_artifact
from edgecnn.errors import InputError
from edgecnn.models.loading import load_keras_model


def one_picture_model(job: ConversionJob) -> tuple[Any, KerasNames]:
    """Return the Keras model with its input shape fixed by the contract, and the names of its layers.

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
    model = load_keras_model(open_artifact(job.source), trust=job.trust)
    names = mark(model)
    picture = keras.Input(batch_shape=job.spec.input.shape, name=INPUT_NAME, dtype="float32")
    return keras.Model(picture, model(picture, training=False)), names
