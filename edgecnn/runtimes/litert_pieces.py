"""A copy of a ``.tflite`` file in which every operator is also a graph of its own, behind the whole one.

Works on the objects of TFLite's generated schema, which the caller gives. This module must not know
an engine, or what the pieces are for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

#: Operators that XNNPACK merges into the one that reads them: a piece holds both. Where it does not, the
#: piece is coarser, not wrong.
_MERGED_INTO = {"PAD": {"CONV_2D", "DEPTHWISE_CONV_2D"}, "LOGISTIC": {"MUL"}}
#: Operators that it merges into whatever they read.
_MERGED_BACK = {"RELU", "RELU6", "RELU_N1_TO_1"}


@dataclass(frozen=True)
class Piece:
    """A graph of the copy.

    Args:
        operator: which operator of the whole graph it is; the last one, where several are merged.
        graph: its index in the copy.
        inputs, outputs: tensor of the whole graph -> tensor of the piece, without constants.
    """

    operator: int
    graph: int
    inputs: Mapping[int, int]
    outputs: Mapping[int, int]


@dataclass(frozen=True)
class SplitFile:
    """The copy: its bytes, its pieces in an order in which they can run, and the index of a graph without operators."""

    content: bytes
    pieces: tuple[Piece, ...]
    empty: int


def split(content: bytes, schema: Any, ops: Sequence[str], taken: Collection[int]) -> SplitFile:
    """Return the copy of a file.

    What reads nothing but constants goes into each piece that needs it, and has no piece of its own.

    Args:
        content: the file.
        schema: the generated module.
        ops: the kind of each operator of the main graph.
        taken: which of them the delegate computes; only those can have been merged.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    whole = _Whole(model)
    pieces = []
    for members in whole.groups(ops, taken):
        pieces.append(_piece(whole, members, len(model.subgraphs), schema))
        model.subgraphs.append(pieces[-1][1])
    first = whole.graph.tensors[int(whole.graph.inputs[0])]
    model.subgraphs.append(_graph(schema, [first], [0], [0], []))
    return SplitFile(_packed(model, content), tuple(piece for piece, _ in pieces), len(model.subgraphs) - 1)


class _Whole:
    """The main graph: who makes and who reads each tensor, and what depends on no input."""

    def __init__(self, model: Any) -> None:
        self.graph = model.subgraphs[0]
        self.operators = self.graph.operators
        self.constants = {
            index for index, tensor in enumerate(self.graph.tensors) if _has_data(model.buffers[tensor.buffer])
        }
        self.maker = {tensor: index for index, one in enumerate(self.operators) for tensor in present(one.outputs)}
        self._readers: dict[int, set[int]] = {}
        self.fixed: set[int] = set()
        for index, one in enumerate(self.operators):
            for tensor in present(one.inputs):
                self._readers.setdefault(tensor, set()).add(index)
            if present(one.inputs) and all(map(self.is_fixed, present(one.inputs))):
                self.fixed.add(index)

    def is_fixed(self, tensor: int) -> bool:
        """Whether a tensor is a constant, or made of constants alone."""
        return tensor in self.constants or self.maker.get(tensor) in self.fixed

    def groups(self, ops: Sequence[str], taken: Collection[int]) -> list[list[int]]:
        """Return the operators that depend on the input, merged ones together, in order."""
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(self.operators):
            if index in self.fixed:
                continue
            members = [index]
            for maker in {self.maker.get(tensor) for tensor in present(one.inputs)} & groups.keys():
                if maker is not None and {maker, index} <= set(taken) and self._merges(maker, index, ops):
                    members += groups.pop(maker)
            groups[index] = sorted(members)
        return list(groups.values())

    def _merges(self, maker: int, reader: int, ops: Sequence[str]) -> bool:
        outputs = present(self.operators[maker].outputs)
        if any(self._readers.get(tensor) != {reader} or tensor in self.graph.outputs for tensor in outputs):
            return False
        return ops[reader] in _MERGED_BACK or ops[reader] in _MERGED_INTO.get(ops[maker], ())

    def fixed_before(self, members: Iterable[int]) -> list[int]:
        """Return the operators on constants alone that lead to ``members``, in the order in which they run."""
        needed: set[int] = set()
        waiting = [tensor for member in members for tensor in present(self.operators[member].inputs)]
        while waiting:
            maker = self.maker.get(waiting.pop())
            if maker is not None and maker in self.fixed and maker not in needed:
                needed.add(maker)
                waiting += present(self.operators[maker].inputs)
        return sorted(needed)


def _piece(whole: _Whole, members: list[int], number: int, schema: Any) -> tuple[Piece, Any]:
    run = [whole.operators[index] for index in (*whole.fixed_before(members), *members)]
    inner: dict[int, int] = {}
    for one in run:
        for tensor in (*present(one.inputs), *present(one.outputs)):
            inner.setdefault(tensor, len(inner))
    own = [whole.operators[index] for index in members]
    made = {tensor for one in own for tensor in present(one.outputs)}
    read = {tensor for one in own for tensor in present(one.inputs) if not whole.is_fixed(tensor)} - made
    inputs = {tensor: inner[tensor] for tensor in sorted(read)}
    outputs = {tensor: inner[tensor] for tensor in present(own[-1].outputs)}
    graph = _graph(
        schema,
        [whole.graph.tensors[tensor] for tensor in inner],
        list(inputs.values()),
        list(outputs.values()),
        [_moved(one, inner, schema) for one in run],
    )
    return Piece(members[-1], number, inputs, outputs), graph


def present(tensors: Iterable[int] | None) -> list[int]:
    """Return the tensors of an operator's edge, without those that are left out."""
    return [] if tensors is None else [int(tensor) for tensor in tensors if tensor >= 0]


def _has_data(buffer: Any) -> bool:
    # Weights may lie behind the flatbuffer: then only where and how many is told.
    return bool((buffer.data is not None and len(buffer.data)) or buffer.size)


def _moved(operator: Any, inner: Mapping[int, int], schema: Any) -> Any:
    """Return a copy of an operator that reads and writes the tensors of another graph."""
    copy = schema.OperatorT()
    copy.__dict__.update(operator.__dict__)
    copy.inputs, copy.outputs = (
        [inner.get(int(tensor), -1) for tensor in ([] if edge is None else edge)]
        for edge in (operator.inputs, operator.outputs)
    )
    return copy


def _graph(schema: Any, tensors: list[Any], inputs: list[int], outputs: list[int], operators: list[Any]) -> Any:
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, inputs, outputs, operators
    return graph


def _packed(model: Any, content: bytes) -> bytes:
    """Return the changed model as a file; weights that lay behind the old flatbuffer come into the new one."""
    for buffer in model.buffers:
        if buffer.size:
            buffer.data = np.frombuffer(content, np.uint8, int(buffer.size), int(buffer.offset))
            buffer.offset = buffer.size = 0
    model.metadata = model.metadataBuffer = None
    builder = import_module("flatbuffers").Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
