"""Small ``.tflite`` files put together operator by operator, as no converter would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIDE, CHANNELS = 8, 4


class Builder:
    """Adds operators one after another; each method returns the tensor that it made."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.operatorCodes, self.model.subgraphs = 3, [], [self.graph]
        self.model.buffers = [schema.BufferT()]
        self.graph.tensors, self.graph.operators = [], []
        self.input = self.tensor("picture", (1, SIDE, SIDE, CHANNELS))
        self.graph.inputs = [self.input]

    def tensor(self, name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), schema.TensorType.FLOAT32, 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
            tensor.type = {"int32": schema.TensorType.INT32, "float16": schema.TensorType.FLOAT16}.get(
                values.dtype.name, schema.TensorType.FLOAT32
            )
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, op: str, name: str, inputs: list[int], shape: tuple[int, ...], options: Any = None) -> int:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.model.operatorCodes.append(code)
        made = self.tensor(name, shape)
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.model.operatorCodes) - 1, inputs, [made]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        self.graph.operators.append(operator)
        return made

    def pad(self, source: int) -> int:
        sides = self.tensor("sides", (4, 2), np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
        return self.operator("PAD", "padded", [source, sides], (1, SIDE + 2, SIDE + 2, CHANNELS), schema.PadOptionsT())

    def conv(self, source: int, *, half: bool = False) -> int:
        """Add a 3x3 convolution without padding; its kernel is stored in float16 if ``half``."""
        values = np.random.default_rng(0).normal(size=(CHANNELS, 3, 3, CHANNELS))
        kernel = self.tensor("kernel", values.shape, values.astype(np.float16 if half else np.float32))
        if half:
            kernel = self.operator("DEQUANTIZE", "kernel_float", [kernel], values.shape)
        bias = self.tensor("bias", (CHANNELS,), np.zeros(CHANNELS, np.float32))
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        return self.operator("CONV_2D", "conv", [source, kernel, bias], (1, SIDE, SIDE, CHANNELS), options)

    def elementwise(self, op: str, *sources: int) -> int:
        options = schema.MulOptionsT() if op == "MUL" else None
        return self.operator(op, op.lower(), list(sources), (1, SIDE, SIDE, CHANNELS), options)

    def save(self, path: Path, output: int) -> Path:
        self.graph.outputs = [output]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        return path


def swish_net(path: Path, *, half: bool = False, last: str | None = None) -> Path:
    """Write PAD -> CONV_2D -> LOGISTIC and MUL, with one more operator of the kind ``last`` behind them."""
    net = Builder()
    conv = net.conv(net.pad(net.input), half=half)
    made = net.elementwise("MUL", conv, net.elementwise("LOGISTIC", conv))
    return net.save(path, net.elementwise(last, made, conv) if last else made)
