"""Integer input and output for a QDQ graph, whose own are float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters._onnx import REARRANGES, rename_edges, set_integer
from edgecnn.tensors import QuantParams


def bare_input(graph: Any, params: QuantParams) -> dict[str, QuantParams]:
    """Let the graph's input hold integers: what its QuantizeLinear made of it, if it has one."""
    (picture,) = graph.input
    chain = rearrangements(graph)
    tensor = chain[-1].output[0] if chain else picture.name
    consumers = [node for node in graph.node if tensor in node.input]
    if [node.op_type for node in consumers] == ["QuantizeLinear"]:
        (quantize,) = consumers
        params = _params(graph, quantize)
        for node in graph.node:
            node.input[:] = [tensor if edge == quantize.output[0] else edge for edge in node.input]
        graph.node.remove(quantize)
    else:  # its first layer computes in float32
        inner = f"{picture.name}/float32"
        for node in graph.node:
            node.input[:] = [inner if edge == picture.name else edge for edge in node.input]
        graph.node.insert(0, _convert(graph, "DequantizeLinear", picture.name, inner, params))
    set_integer(picture, params.dtype)
    # Shapes noted for tensors in between carry the old dtype; they are inferred again.
    del graph.value_info[:]
    return {picture.name: params}


def bare_output(graph: Any, params: QuantParams) -> dict[str, QuantParams]:
    """Let the graph's output hold integers: what its last DequantizeLinear would have been given, if it has one."""
    (scores,) = graph.output
    (producer,) = [node for node in graph.node if scores.name in node.output]
    if producer.op_type == "DequantizeLinear":
        params = _params(graph, producer)
        (quantize,) = [node for node in graph.node if producer.input[0] in node.output]
        quantize.output[:] = [scores.name]
        graph.node.remove(producer)
    else:  # its last layer computes in float32
        inner = f"{scores.name}/float32"
        name = scores.name
        rename_edges(graph, {name: inner})
        scores.name = name
        graph.node.append(_convert(graph, "QuantizeLinear", inner, name, params))
    set_integer(scores, params.dtype)
    return {scores.name: params}


def _convert(graph: Any, op: str, source: str, destination: str, params: QuantParams) -> Any:
    """Return a node between float32 and integers, and add its constants to the graph."""
    import onnx

    constants = {f"{destination}/scale": np.float32(params.scale), f"{destination}/zero": params.zero_point}
    for (name, value), dtype in zip(constants.items(), ("float32", params.dtype), strict=True):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, dtype), name))
    return onnx.helper.make_node(op, [source, *constants], [destination], f"{destination}/{op}")


def _params(graph: Any, node: Any) -> QuantParams:
    scale, zero_point = (_constant(graph, name) for name in node.input[1:3])
    return QuantParams(float(scale), int(zero_point), str(zero_point.dtype))


def _constant(graph: Any, name: str) -> Any:
    import onnx

    (found,) = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == name]
    return found


def rearrangements(graph: Any) -> list[Any]:
    """Return the nodes that only move the input's values around, from the input on."""
    chain: list[Any] = []
    tensor = graph.input[0].name
    while True:
        consumers = [node for node in graph.node if tensor in node.input]
        if len(consumers) != 1 or consumers[0].op_type not in REARRANGES:
            return chain
        chain += consumers
        tensor = consumers[0].output[0]
