"""The output tensor of a classifier becomes probabilities and ranked classes.

This module must not know engines or labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.errors import EngineError, InputError
from edgecnn.predictions import Classifications
from edgecnn.spec import Head
from edgecnn.tensors import TensorInfo


def class_probabilities(raw: npt.NDArray[Any], head: Head, tensor: TensorInfo) -> npt.NDArray[np.float32]:
    """Return float32 (N, C) probabilities from the raw output (N, C) or, for ``binary``, (N, 1).

    Raises:
        EngineError: the output is not finite: the file is broken.
        InputError: the output does not have the shape that the head says.
    """
    return probabilities_of(dequantized(raw, tensor), head)


def dequantized(raw: npt.NDArray[Any], tensor: TensorInfo) -> npt.NDArray[np.float32]:
    """Return the raw output as float32."""
    return tensor.quant.dequantize(raw) if tensor.quant is not None else raw.astype(np.float32)


def probabilities_of(scores: npt.NDArray[np.float32], head: Head) -> npt.NDArray[np.float32]:
    """Return float32 (N, C) probabilities from scores as the head has them; see :func:`class_probabilities`."""
    scores = scores.reshape(len(scores), -1)
    if not np.isfinite(scores).all():
        raise EngineError("the model's output holds NaN or infinity", "the file is broken: export it again")
    if head.kind == "logits":
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
    if head.kind == "binary":
        if scores.shape[1] != 1:
            raise InputError(
                f"a binary head has one output, the model has {scores.shape[1]}", "use --head probabilities"
            )
        return np.concatenate([1 - scores, scores], axis=1)
    return scores


def classify(probabilities: npt.NDArray[np.float32], count: int | None = None) -> Classifications:
    """Return the ``count`` most probable classes of one picture, from probabilities (C,)."""
    order = np.argsort(-probabilities, kind="stable")[:count].astype(np.int32)
    return Classifications(order, probabilities[order])
