"""The graph inside a ``.onnx`` file: its layers, and the names of its nodes and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from converters import Layer
from converters._names import KerasNames, Step, Unique

#: Domains of operators that are ONNX's own.
STANDARD = ("", "ai.onnx")
#: Operators whose output holds the values of their first input, moved, and zeros.
REARRANGES = (
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Pad", "Slice", "Split", "Shape",
    "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Cast",
)  # fmt: skip
#: Operators with a kernel -> axis of its output channels.
WEIGHTED = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
#: Operators into which the engines fuse an activation that follows.
_FUSES = (*WEIGHTED, "Add", "Sub", "Mul", "MaxPool", "AveragePool", "BatchNormalization")
_RELU6 = (0.0, 6.0)


@dataclass(frozen=True)
class Unit:
    """What one layer became: a node, and the activation that is fused into it when the graph runs."""

    main: Any
    activation: Any = None

    @property
    def nodes(self) -> list[Any]:
        return [self.main] if self.activation is None else [self.main, self.activation]

    @property
    def output(self) -> str:
        return str(self.nodes[-1].output[0])

    @property
    def rearranges(self) -> bool:
        return self.main.op_type in REARRANGES


class Graph:
    """The graph of an ONNX file that tf2onnx, onnxruntime or :mod:`converters` wrote."""

    def __init__(self, graph: Any) -> None:
        self.proto = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    @cached_property
    def units(self) -> list[Unit]:
        """The graph's nodes in order of execution, activations beside what they are fused into."""
        readers: dict[str, list[Any]] = {}
        for node in self.proto.node:
            for edge in node.input:
                readers.setdefault(edge, []).append(node)
        outputs = {edge.name for edge in self.proto.output}
        units: list[Unit] = []
        fused: set[str] = set()
        for node in self.proto.node:
            if node.output[0] in fused:
                continue
            after = readers.get(node.output[0], [])
            is_fused = (
                node.op_type in _FUSES
                and len(after) == 1
                and node.output[0] not in outputs
                and self.activation_range(after[0]) is not None
            )
            units.append(Unit(node, after[0] if is_fused else None))
            fused.update(after[0].output if is_fused else ())
        return units

    def activation_range(self, node: Any) -> tuple[float, float] | None:
        """Return the range of the output of a Relu, or of a Clip that is a ReLU6; ``None`` of any other node."""
        if node.op_type == "Relu":
            return 0.0, float("inf")
        bounds = [self.constant(edge) for edge in node.input[1:]]
        if node.op_type == "Clip" and len(bounds) == len(_RELU6) and None not in bounds:
            return _RELU6 if tuple(float(bound) for bound in bounds) == _RELU6 else None
        return None

    def constant(self, edge: str) -> Any:
        """Return the array of an initializer, or ``None``."""
        import onnx

        tensor = self._constants.get(edge)
        return None if tensor is None else onnx.numpy_helper.to_array(tensor)

    def layers(self) -> tuple[Layer, ...]:
        """Return the units that compute, in order of execution."""
        made_by: dict[str, tuple[str, ...]] = {}
        layers = []
        for unit in self.units:
            reads = tuple(dict.fromkeys(name for edge in unit.main.input for name in made_by.get(edge, ())))
            if not unit.rearranges:
                layers.append(Layer(unit.main.name, unit.main.op_type, reads))
                reads = (unit.main.name,)
            made_by.update(dict.fromkeys((*unit.main.output, unit.output), reads))
        return tuple(layers)

    def name(self, names: KerasNames) -> None:
        """Call every node, and the tensors that it makes, by the Keras layer; input and output stay."""
        steps = [self._step(unit) for unit in self.units]
        unique = Unique()
        kept = [edge.name for edge in (*self.proto.input, *self.proto.output)]
        for edge in kept:
            unique(edge)
        new: dict[str, str] = {}
        for unit, layer in zip(self.units, names.name_all(steps, unique), strict=True):
            if unit.activation is not None:
                unit.activation.name = f"{layer}/{unit.activation.op_type.lower()}"
                new[unit.main.output[0]] = unique(f"{layer}/linear")
            unit.main.name = layer
            new[unit.output] = layer
            new.update((edge, unique(f"{layer}/output")) for edge in unit.main.output[1:] if edge)
        for unit in self.units:
            for edge in (edge for node in unit.nodes for edge in node.input):
                if edge in self._constants and edge not in new:
                    new[edge] = unique(f"{unit.main.name}/{_word(unit.main, edge)}")
        rename_edges(self.proto, {old: name for old, name in new.items() if old not in kept})
        self._constants = {tensor.name: tensor for tensor in self.proto.initializer}

    def _step(self, unit: Unit) -> Step:
        node = unit.main
        own = " ".join((node.name, *node.output))
        constants = tuple(edge for edge in node.input if edge in self._constants)
        return Step(node.op_type.lower(), (own, *constants), node.op_type in WEIGHTED, unit.rearranges)

    def kernels(self) -> list[tuple[Any, str, int]]:
        """Return node, name and axis of the output channels of every kernel."""
        found = []
        for node in self.proto.node:
            if node.op_type in WEIGHTED and node.input[1] in self._constants:
                rows = any(item.name == "transB" and item.i for item in node.attribute)
                found.append((node, node.input[1], 0 if rows else WEIGHTED[node.op_type]))
        return [item for item in found if len(self._constants[item[1]].dims) > item[2]]


def _word(node: Any, edge: str) -> str:
    words = {1: "kernel", 2: "bias"} if node.op_type in WEIGHTED else {}
    return words.get(list(node.input).index(edge), "constant") if edge in node.input else "constant"


def rename_edges(graph: Any, names: Mapping[str, str]) -> None:
    """Give tensors other names wherever they are named."""
    for node in graph.node:
        for edges in (node.input, node.output):
            edges[:] = [names.get(edge, edge) for edge in edges]
    for value in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def set_integer(value_info: Any, dtype: str) -> None:
    """Say that a tensor at the graph's edge holds integers."""
    import onnx

    value_info.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def save(model: Any, path: Any) -> None:
    """Write a model, its nodes in order, if ONNX's checker accepts it."""
    import onnx

    _sort_nodes(model.graph)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _sort_nodes(graph: Any) -> None:
    """Put the nodes in the order in which they depend on each other (the quantizers do not)."""
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the graph has a cycle")
        ordered += ready
        known.update(edge for node in ready for edge in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(ordered)
