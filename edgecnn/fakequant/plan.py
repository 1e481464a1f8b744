"""Which values of a folded model an integer engine quantizes, and over which ranges.

The rules are those that TFLite's 8-bit quantization specification and onnxruntime's QDQ form share.
This module must not know how values are quantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from edgecnn.fakequant.graph import Graph, Step, Value

#: Kernels of the layers with weights: attribute, and the axes over which one scale holds.
KERNELS = {
    "Conv2D": (("kernel", (0, 1, 2)),),
    "DepthwiseConv2D": (("kernel", (0, 1)),),
    "Conv2DTranspose": (("kernel", (0, 1, 3)),),
    "SeparableConv2D": (("depthwise_kernel", (0, 1)), ("pointwise_kernel", (0, 1, 2))),
    "Dense": (("kernel", (0,)),),
}
#: What engines compute together with the layer before: only the result is quantized.
_FUSED = ("linear", "relu", "relu6")
#: Output ranges that TFLite's specification fixes: scale 1/256 from 0, scale 1/128 around 0.
_FIXED = {"softmax": (0.0, 255 / 256), "sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
#: Layers that move or choose values: their output has the scale of their input.
_KEEP_SCALE = {
    "InputLayer", "Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Dropout", "SpatialDropout2D",
    "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "ZeroPadding2D", "Cropping2D",
    "UpSampling2D", "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "Resizing", "CenterCrop",
    "RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness",
    "RandomCrop", "Transpose", "Squeeze", "ExpandDims", "GetItem", "MaxPool", "AveragePool", "Pad", "StopGradient",
}  # fmt: skip
#: Those of which every converter makes one operator, as well as those of KERNELS but for the separable one.
_ONE_OPERATOR = {
    "Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate", "GlobalAveragePooling2D", "Mean", "ReLU",
    "Relu", "Relu6", "LeakyReLU", "ELU", "relu", "relu6", "softmax", "sigmoid", "tanh", "elu", "leaky_relu",
}  # fmt: skip
_SEVERAL = "SeparableConv2D"


@dataclass(frozen=True)
class QuantizedLayer:
    """One value that is quantized, and the weights that go with it.

    Args:
        name: of the Keras layer; one that gives several quantized values (a dense layer and its
            softmax, a layer that is called twice) is called ``name``, ``name/2``, ``name/3``. In a model
            inside the model, after that one's name: ``inner/name``.
        op: its Keras class, such as ``Conv2D``; of an activation by its name, such as ``softmax``.
        weights: whether the layer has weights that are quantized too.
        fixed: the output's range where the engines' specification fixes it.
        is_one_operator: whether every converter makes one operator of it, so that in every file the
            tensor of this name has these values; a normalization that stays becomes two.
    """

    name: str
    op: str
    weights: bool
    fixed: tuple[float, float] | None = None
    is_one_operator: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph and what is quantized in it.

    Args:
        graph: weighted layers hold no activation but a fused one.
        points: in order of execution.
        weights: per step, the number of the point that its weights belong to.
        outputs: per step, the number of the point that its output is.
    """

    graph: Graph
    points: tuple[QuantizedLayer, ...]
    weights: tuple[int | None, ...]
    outputs: tuple[int | None, ...]


def plan_of(graph: Graph, paths: Mapping[str, str]) -> Plan:
    """Return what is quantized in the graph of a folded model.

    Args:
        graph: the caller's to change: weighted layers whose activation no engine fuses lose it to a
            step of its own.
        paths: names of layers in ``graph`` -> names to call them.
    """
    graph = _with_activations_apart(graph)
    fused = _fused_into(graph)
    points: list[QuantizedLayer] = []
    of_output: dict[Value, int] = {}
    weights: list[int | None] = []
    used: Counter[str] = Counter()
    for step in graph.steps:
        weighted = step.op in KERNELS
        owner = fused.get(step.outputs[0])
        if owner is not None:  # the point was made by the layer before, and moves here
            of_output[step.outputs[0]] = of_output.pop(owner)
        elif weighted or _changes_values(step):
            path = paths[step.name]
            used[path] += 1
            name = path if used[path] == 1 else f"{path}/{used[path]}"
            of_output[step.outputs[0]] = len(points)
            activation = _activation(step)
            op = activation or step.op
            is_one = op in _ONE_OPERATOR or (weighted and op != _SEVERAL)
            points.append(QuantizedLayer(name, op, weighted, _FIXED.get(activation), is_one))
        weights.append(len(points) - 1 if weighted else None)
    outputs = tuple(of_output.get(step.outputs[0]) for step in graph.steps)
    return Plan(graph, tuple(points), tuple(weights), outputs)


def _activation(step: Step) -> str:
    """Return the name of the function that a step without weights applies to each value, else ``""``."""
    if step.op == "Activation":
        return str(getattr(step.layer.activation, "__name__", ""))
    return {"Softmax": "softmax", "Sigmoid": "sigmoid", "Tanh": "tanh"}.get(step.op, "")


def _is_fused(step: Step) -> bool:
    layer = step.layer
    if step.op == "ReLU":
        plain = not getattr(layer, "negative_slope", 0) and not getattr(layer, "threshold", 0)
        return plain and getattr(layer, "max_value", None) in (None, 6)
    return step.op in ("Relu", "Relu6") or (step.op == "Activation" and _activation(step) in ("relu", "relu6"))


def _changes_values(step: Step) -> bool:
    is_float = "float" in str(getattr(step.layer.output, "dtype", "float32"))
    return is_float and step.op not in _KEEP_SCALE and _activation(step) != "linear"


def _fused_into(graph: Graph) -> dict[Value, Value]:
    """Return, for the output of every fused activation, the quantized value that it is computed with."""
    makers = {value: step for step in graph.steps for value in step.outputs}
    readers = graph.readers()
    fused = {}
    for step in graph.steps:
        maker = makers.get(step.inputs[0]) if _is_fused(step) else None
        # An activation right after another one is a step of its own.
        if maker is not None and readers[maker.outputs[0]] == 1 and maker.outputs[0] not in fused:
            quantized = maker.op in KERNELS or (_changes_values(maker) and not _activation(maker))
            has_activation = getattr(getattr(maker.layer, "activation", None), "__name__", "linear") != "linear"
            if quantized and not has_activation:
                fused[step.outputs[0]] = maker.outputs[0]
    return fused


def _with_activations_apart(graph: Graph) -> Graph:
    """Return the graph with an activation of its own after every weighted layer whose activation is not fused."""
    apart: dict[int, Any] = {}
    count = max(value.index for step in graph.steps for value in step.outputs) + 1
    steps: list[Step] = []
    output = graph.output
    for step in graph.steps:
        function = getattr(step.layer, "activation", None) if step.op in KERNELS else None
        if id(step.layer) not in apart and getattr(function, "__name__", "") not in _FUSED and function is not None:
            apart[id(step.layer)] = keras.layers.Activation(function, name=f"{step.name}_activation")
            step.layer.activation = keras.activations.linear
        activation = apart.get(id(step.layer))
        if activation is None:
            steps.append(step)
            continue
        before = Value(count)
        count += 1
        activation(step.layer.output)  # so that it knows its shapes, as the others do
        steps.append(replace(step, outputs=(before,)))
        steps.append(Step(activation, step.name, (before,), {}, step.outputs))
    return replace(graph, steps=tuple(steps), output=output)
