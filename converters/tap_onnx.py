"""A copy of an ``.onnx`` file whose inner tensors are outputs, so that an engine gives them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters._work import working
from edgecnn.errors import InputError
from edgecnn.tensors import DTYPES, INTEGER_RANGES, QuantParams, TensorInfo

#: Operators that change how numbers are stored, not what they are.
_STORAGE = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Constant")
#: Operators that move values and do not change them.
_REARRANGES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")
#: Operators on integers -> where among their inputs the scale of their output is; the zero point is next.
_OUTPUT_SCALE = {
    "QLinearConv": 6, "QLinearMatMul": 6, "QLinearAdd": 6, "QLinearMul": 6, "QGemm": 7,
    "QLinearGlobalAveragePool": 3, "QLinearAveragePool": 3, "QLinearSigmoid": 3, "QLinearLeakyRelu": 3,
    "QLinearSoftmax": 3,
}  # fmt: skip
_INTEGER_OPS = {*_OUTPUT_SCALE, "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}


@dataclass(frozen=True)
class Exposed:
    """One inner tensor.

    Args:
        name: as the operator that computes it calls it.
        op: that operator; ``INPUT`` for the model's input.
        edge: what holds it in the copy: the integers, where it is quantized.
    """

    name: str
    op: str
    edge: TensorInfo


@dataclass(frozen=True)
class Exposure:
    """What :func:`expose` made: the tensors, the input first, in the order in which they are computed.

    ``integers`` says whether anything in the file is stored or computed as integers.
    """

    tensors: tuple[Exposed, ...]
    integers: bool


def expose(source: Path, destination: Path, known: Mapping[str, QuantParams]) -> Exposure:
    """Write a copy of the file ``source`` that also gives its inner tensors.

    Args:
        known: quantization of the file's input and output, which its graph does not tell.

    Raises:
        EngineError: the file is no ONNX model that the library reads.
    """
    with working("reading the ONNX graph"):
        import onnx

        model = onnx.load(str(source))
        del model.graph.value_info[:]  # may be stale; wrong types would be refused
        graph = _Graph(onnx, onnx.shape_inference.infer_shapes(model).graph, known)
        tensors = tuple(graph.exposed())
        present = {value.name for value in (*model.graph.output, *model.graph.input)}
        for name in dict.fromkeys(item.edge.name for item in tensors):
            if name not in present:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        destination.write_bytes(model.SerializeToString())
    return Exposure(tensors, any(node.op_type in _INTEGER_OPS for node in model.graph.node))


class _Graph:
    """One graph, and what is known about its tensors: constants, types, who quantizes them."""

    def __init__(self, onnx: Any, graph: Any, known: Mapping[str, QuantParams]) -> None:
        self._nodes, self._known, self._to_array = graph.node, known, onnx.numpy_helper.to_array
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t
        names = {onnx.helper.np_dtype_to_tensor_dtype(_numpy_dtype(name)): name for name in DTYPES}
        self._dtypes = {
            value.name: names.get(value.type.tensor_type.elem_type)
            for value in (*graph.input, *graph.output, *graph.value_info)
        }
        self._input: str = next(value.name for value in graph.input if value.name not in self._constants)
        self._quantizers = {node.input[0]: node for node in reversed(graph.node) if node.op_type == "QuantizeLinear"}

    def exposed(self) -> Iterator[Exposed]:
        yield Exposed(self._input, "INPUT", self._edge_of(self._fed()) or TensorInfo(self._input, (), "float32"))
        for node in self._nodes:
            if node.op_type in _STORAGE:
                continue
            for name in filter(None, node.output):
                edge = self._integer_output(node, name) or self._edge_of(name)
                if edge is not None:
                    yield Exposed(name, node.op_type, edge)

    def _fed(self) -> str:
        """Return the tensor, the input or a rearrangement of it, that is quantized; the input if none is."""
        tensor = self._input
        while tensor not in self._quantizers:
            consumers = [node for node in self._nodes if tensor in node.input]
            if len(consumers) != 1 or consumers[0].op_type not in _REARRANGES:
                return self._input
            tensor = str(consumers[0].output[0])
        return tensor

    def _edge_of(self, name: str) -> TensorInfo | None:
        """Return what holds a tensor: its integers, else itself if it is float; ``None`` for anything else."""
        quantizer = self._quantizers.get(name)
        params = None if quantizer is None else self._params(quantizer.input[1:3])
        if quantizer is not None and params is not None:
            return TensorInfo(quantizer.output[0], (), params.dtype, params)
        if name in self._known:
            return TensorInfo(name, (), self._known[name].dtype, self._known[name])
        dtype = self._dtypes.get(name)
        return TensorInfo(name, (), dtype) if dtype in ("float32", "float16") else None

    def _integer_output(self, node: Any, name: str) -> TensorInfo | None:
        at = _OUTPUT_SCALE.get(node.op_type)
        params = None if at is None else self._params(node.input[at : at + 2])
        return None if params is None else TensorInfo(name, (), params.dtype, params)

    def _params(self, edges: Any) -> QuantParams | None:
        """Return scale and zero point, if they are one constant each."""
        if len(edges) != 2 or not all(edge in self._constants for edge in edges):
            return None
        scale, zero_point = (self._to_array(self._constants[edge]) for edge in edges)
        if scale.size != 1 or zero_point.size != 1 or str(zero_point.dtype) not in INTEGER_RANGES:
            return None
        try:
            return QuantParams(float(scale.reshape(())), int(zero_point.reshape(())), str(zero_point.dtype))
        except InputError:
            return None  # a scale that no number is: that tensor cannot be looked at


def _numpy_dtype(name: str) -> Any:
    import numpy as np

    return np.dtype(name)
