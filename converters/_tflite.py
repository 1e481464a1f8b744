"""The graph inside a ``.tflite`` file: its layers, the names of its tensors, a camera's bytes at its edges."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from converters import INPUT_NAME, Layer, fixed_range
from converters._names import KerasNames, Step, Unique

#: Operators whose output holds the values of their first input, moved, and zeros.
_REARRANGES = {
    "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "PAD", "MIRROR_PAD", "SHAPE", "SLICE", "STRIDED_SLICE", "SPLIT",
    "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "TILE", "BROADCAST_TO",
    "QUANTIZE", "DEQUANTIZE",
}  # fmt: skip
_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}
_NAME_FIELD = 10  # vtable entry of Tensor.name
_FLOAT32 = 0


class Graph:
    """The main graph of a ``.tflite`` file that TensorFlow or a quantizer wrote."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._content = content
        self._schema = schema
        self._model = schema.Model.GetRootAs(content, 0)
        self._graph = self._model.Subgraphs(0)

    @cached_property
    def operators(self) -> list[tuple[str, list[int], list[int]]]:
        """Name, inputs and outputs (indices of tensors; absent ones are left out) of each operator, in order."""
        words = {number: word for word, number in vars(self._schema.BuiltinOperator).items()}
        found = []
        for i, code in enumerate(self.codes):
            operator = self._graph.Operators(i)
            inputs = [operator.Inputs(j) for j in range(operator.InputsLength()) if operator.Inputs(j) >= 0]
            outputs = [operator.Outputs(j) for j in range(operator.OutputsLength())]
            found.append((words.get(code, str(code)), inputs, outputs))
        return found

    @cached_property
    def codes(self) -> list[int]:
        """The number of each operator in TFLite's schema, in order."""
        codes = [
            self._model.OperatorCodes(self._graph.Operators(i).OpcodeIndex())
            for i in range(self._graph.OperatorsLength())
        ]
        # Old files have the number in a byte of its own.
        return [max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes]

    @cached_property
    def names(self) -> list[str]:
        """The name of every tensor."""
        return [self._graph.Tensors(i).Name().decode(errors="replace") for i in range(self._graph.TensorsLength())]

    def is_constant(self, tensor: int) -> bool:
        buffer = self._model.Buffers(self._graph.Tensors(tensor).Buffer())
        return bool(buffer.DataLength() or buffer.Size())

    def is_float(self, tensor: int) -> bool:
        return bool(self._graph.Tensors(tensor).Type() == _FLOAT32)

    @property
    def input(self) -> int:
        return int(self._graph.Inputs(0))

    def layers(self) -> tuple[Layer, ...]:
        """Return the operators that compute, in order of execution."""
        made_by: dict[int, tuple[str, ...]] = {}
        layers = []
        for op, inputs, outputs in self.operators:
            reads = tuple(dict.fromkeys(name for tensor in inputs for name in made_by.get(tensor, ())))
            if op not in _REARRANGES:
                layers.append(Layer(self.names[outputs[0]], op, reads))
                reads = (self.names[outputs[0]],)
            made_by.update(dict.fromkeys(outputs, reads))
        return tuple(layers)

    def computed(self) -> list[int]:
        """Return the float tensors that operators compute, in order of execution."""
        outputs = [tensor for op, _, made in self.operators if op not in _REARRANGES for tensor in made]
        return [tensor for tensor in outputs if self.is_float(tensor)]

    def ranges_of_all(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Return the ranges of every float tensor that is no constant, given those of the input and the computed."""
        found = {self.input: ranges[self.names[self.input]]}
        for op, inputs, outputs in self.operators:
            for tensor in filter(self.is_float, outputs):
                # A rearrangement of constants has no range, and needs none.
                known = found.get(inputs[0]) if op in _REARRANGES else fixed_range(op) or ranges[self.names[tensor]]
                if known is not None:
                    found[tensor] = known
        return {self.names[tensor]: known for tensor, known in found.items()}

    def named(self, names: KerasNames) -> bytes:
        """Return the file with every operator's tensors named after its Keras layer.

        Nothing is moved: new names go behind the old bytes, because offsets point forward and the
        alignment of the weights must last.
        """
        steps = [
            Step(
                op.lower(),
                tuple(self._hint(tensor, names) for tensor in (*outputs, *filter(self.is_constant, inputs))),
                op in _WEIGHTED,
                op in _REARRANGES,
            )
            for op, inputs, outputs in self.operators
        ]
        unique = Unique()
        new = {self.input: unique(INPUT_NAME)}
        layers = names.name_all(steps, unique)
        for layer, (_, _, outputs) in zip(layers, self.operators, strict=True):
            new[outputs[0]] = layer
        for layer, (op, inputs, outputs) in zip(layers, self.operators, strict=True):
            for place, tensor in enumerate(inputs):
                word = {1: "kernel", 2: "bias"}.get(place, "constant") if op in _WEIGHTED else "constant"
                if tensor not in new and self.is_constant(tensor):
                    new[tensor] = unique(f"{layer}/{word}")
            for tensor in outputs[1:]:
                new[tensor] = unique(f"{layer}/output")
        for tensor, name in enumerate(self.names):
            if tensor not in new:
                new[tensor] = unique(name)
        return self._with_names(new)

    def _hint(self, tensor: int, names: KerasNames) -> str:
        return names.last if tensor == self._graph.Outputs(0) else self.names[tensor]

    def _with_names(self, names: Mapping[int, str]) -> bytes:
        result = bytearray(self._content)
        for tensor, name in names.items():
            table = self._graph.Tensors(tensor)._tab  # the generated reader has no other way to a field's place
            slot = table.Pos + table.Offset(_NAME_FIELD)
            result += b"\0" * (-len(result) % 4)
            struct.pack_into("<I", result, slot, len(result) - slot)
            text = name.encode()
            result += struct.pack("<I", len(text)) + text + b"\0"
        return bytes(result)


def with_signature(content: bytes) -> bytes:
    """Return a file with a signature: what TensorFlow's and Android's runners call its input and output by.

    Its words are those that TensorFlow's converter takes from a SavedModel.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph, signature = model.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [_named_edge(INPUT_NAME, graph.inputs[0], schema)]
    signature.outputs = [_named_edge("output_0", graph.outputs[0], schema)]
    model.signatureDefs = [signature]
    return _packed(model, content)


def _named_edge(name: str, tensor: int, schema: Any) -> Any:
    edge = schema.TensorMapT()
    edge.name, edge.tensorIndex = name, int(tensor)
    return edge


def with_uint8_edges(content: bytes) -> bytes:
    """Return an int8 file whose input and output are uint8: zero points 128 higher, scales the same.

    Raises:
        ValueError: its input or output is not int8.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    code = _operator_code(model, schema)
    twins = {}
    for tensor in map(int, (*graph.inputs, *graph.outputs)):
        twins[tensor] = _uint8_twin(graph, tensor, schema)
    into = [_operator(code, twins[int(inner)], int(inner), schema) for inner in graph.inputs]
    back = [_operator(code, int(inner), twins[int(inner)], schema) for inner in graph.outputs]
    graph.operators = [*into, *graph.operators, *back]
    graph.inputs, graph.outputs = ([twins[int(inner)] for inner in edges] for edges in (graph.inputs, graph.outputs))
    for signature in model.signatureDefs or []:
        for edge in (*signature.inputs, *signature.outputs):
            edge.tensorIndex = twins.get(edge.tensorIndex, edge.tensorIndex)
    return _packed(model, content)


def _operator_code(model: Any, schema: Any) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _operator(code: int, source: int, destination: int, schema: Any) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, [source], [destination]
    return operator


def _uint8_twin(graph: Any, tensor: int, schema: Any) -> int:
    """Add the uint8 tensor that stands for an int8 one outside, under its name, and return its index."""
    inner = graph.tensors[tensor]
    if inner.type != schema.TensorType.INT8:
        raise ValueError("the input or output of the int8 file is not int8")
    twin, quantization = schema.TensorT(), schema.QuantizationParametersT()
    quantization.scale = inner.quantization.scale
    quantization.zeroPoint = [int(inner.quantization.zeroPoint[0]) + 128]
    twin.shape, twin.shapeSignature, twin.name = inner.shape, inner.shapeSignature, inner.name
    twin.type, twin.buffer, twin.quantization = schema.TensorType.UINT8, 0, quantization
    inner.name = inner.name + b"/int8"
    graph.tensors.append(twin)
    return len(graph.tensors) - 1


def _packed(model: Any, content: bytes) -> bytes:
    """Return the changed model as a file; weights that lie behind the old flatbuffer follow the new one."""
    outside = [buffer for buffer in model.buffers if buffer.offset > 1]
    start = min((buffer.offset for buffer in outside), default=len(content))
    front = _flatbuffer(model)
    front += b"\0" * (-(len(front) - start) % 16)  # weights stay aligned as they were
    for buffer in outside:
        buffer.offset += len(front) - start
    moved = _flatbuffer(model)
    return moved + b"\0" * (len(front) - len(moved)) + content[start:]


def _flatbuffer(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
