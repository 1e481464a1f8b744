"""Batch normalization folded into the layer before it, as every converter does.

This module must not know quantization.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgecnn.fakequant.graph import Graph, Step, Value, copied_layer, graph_of, rebuilt

Array = npt.NDArray[np.float32]
#: Layers that a normalization folds into.
_FOLDABLE = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv2DTranspose", "SeparableConv2D")
#: Of kernels.
_REGULARIZERS = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")


def fold(model: Any) -> Any:
    """Return a copy of a Keras model without the batch normalizations that a layer before them can take over.

    A normalization folds into a convolution, depthwise convolution or dense layer without
    activation whose output nobody else reads: with ``s = gamma / sqrt(variance + epsilon)`` per
    channel, the kernel becomes ``kernel * s`` and the bias ``beta + (bias - mean) * s`` (Jacob et
    al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2018, section 3.2). All others stay: those before a convolution, and those of
    layers that are called more than once.

    Args:
        model: functional or sequential, nested models allowed; untouched.

    Returns:
        a functional model of Keras' own layers under their own names (a name that two nested
        models use gets the model's name before it), with the same outputs for the same inputs.
        Layers that took over a normalization lose their kernel's regularizer, which was meant for
        the kernel before.

    Raises:
        InputError: the model is neither functional nor sequential, or has not one input and one output.
    """
    return fold_named(model)[0]


def fold_named(model: Any) -> tuple[Any, dict[str, str]]:
    """Return what :func:`fold` returns, and {name of a layer in it: path in ``model``, such as ``inner/conv``}."""
    graph = graph_of(model)
    names = graph.flat_names()
    folded = _foldable(graph)
    normalizations = {id(step.layer): into for into, step in folded}
    owners = {id(into.layer): normalization for into, normalization in folded}
    layers: dict[int, Any] = {}
    for step in graph.steps:
        if id(step.layer) in layers or id(step.layer) in normalizations:
            continue
        changes: dict[str, Any] = {}
        if id(step.layer) in owners:
            changes = {"use_bias": True, **{key: None for key in step.layer.get_config() if key in _REGULARIZERS}}
        layers[id(step.layer)] = copied_layer(step.layer, names[id(step.layer)], **changes)
    result = rebuilt(_without(graph, normalizations), layers)
    for step in graph.steps:
        if id(step.layer) in owners:
            layers[id(step.layer)].set_weights(_folded_weights(step.layer, owners[id(step.layer)].layer))
        elif id(step.layer) in layers and layers[id(step.layer)] is not step.layer:
            layers[id(step.layer)].set_weights(step.layer.get_weights())
    return result, {names[id(step.layer)]: step.name for step in graph.steps}


def _foldable(graph: Graph) -> list[tuple[Step, Step]]:
    """Return the pairs of a layer and the normalization that folds into it."""
    makers = {value: step for step in graph.steps for value in step.outputs}
    readers, calls = graph.readers(), graph.calls()
    pairs = []
    for step in graph.steps:
        maker = makers.get(step.inputs[0]) if step.op == "BatchNormalization" else None
        if (
            maker is not None
            and maker.op in _FOLDABLE
            and maker.layer.activation.__name__ == "linear"
            and readers[maker.outputs[0]] == calls[id(maker.layer)] == calls[id(step.layer)] == 1
            and _same_axis(maker.layer, step.layer, len(maker.layer.output.shape))
        ):
            pairs.append((maker, step))
    return pairs


def _same_axis(layer: Any, normalization: Any, axes: int) -> bool:
    """Whether the normalization works per output channel of the layer."""
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return bool(normalization.axis % axes == (axes - 1 if last else 1))


def _without(graph: Graph, dropped: Mapping[int, Step]) -> Graph:
    """Return the graph without the dropped steps; what they read is read in place of what they gave."""
    kept: list[Step] = []
    same: dict[Value, Value] = {}
    for step in graph.steps:
        for old, new in same.items():
            step = step.reading(old, new)  # noqa: PLW2901  # the step as it reads now
        if id(step.layer) in dropped:
            same[step.outputs[0]] = step.inputs[0]
        else:
            kept.append(step)
    return replace(graph, steps=tuple(kept), output=same.get(graph.output, graph.output))


def _folded_weights(layer: Any, normalization: Any) -> list[Array]:
    """Return kernels and bias of ``layer`` followed by ``normalization``."""
    *kernels, bias = layer.get_weights() if layer.use_bias else [*layer.get_weights(), np.float32(0)]
    mean, variance = (_float64(moment) for moment in (normalization.moving_mean, normalization.moving_variance))
    gamma = _float64(normalization.gamma) if normalization.scale else np.ones_like(mean)
    beta = _float64(normalization.beta) if normalization.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + normalization.epsilon)
    kernels[-1] = kernels[-1] * _along_outputs(type(layer).__name__, factor, kernels[-1])
    return [np.asarray(weight, np.float32) for weight in (*kernels, beta + (bias - mean) * factor)]


def _float64(variable: Any) -> npt.NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def _along_outputs(op: str, factor: npt.NDArray[np.float64], kernel: Array) -> npt.NDArray[np.float64]:
    """Return one factor per output channel, shaped to multiply a kernel as Keras stores it."""
    if op == "DepthwiseConv2D":  # (height, width, channels, multiplier)
        return factor.reshape(kernel.shape[2:])
    return factor[:, None] if op == "Conv2DTranspose" else factor  # (height, width, out, in); else out is last
