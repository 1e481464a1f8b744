"""Small QDQ ``.onnx`` files put together by hand: a convolution that an engine can fuse, or cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
SHAPE = (1, 3, SIDE, SIDE)


def qdq_conv(path: Path, *, requantized: bool = True, integer_weights: bool = True, named: bool = True) -> Path:
    """Write QuantizeLinear -> DequantizeLinear -> Conv -> ...

    Args:
        path: where to.
        requantized: behind the Conv stand QuantizeLinear and DequantizeLinear, as fusing it needs; else
            an operator in float.
        integer_weights: the kernel comes out of a DequantizeLinear too; else it is float, as of a layer
            that was left out of quantization.
        named: whether the nodes have names.
    """
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.02), "zero": np.uint8(128), "kernel_scale": np.float32(0.01), "kernel_zero": np.int8(0),
    }  # fmt: skip
    nodes = [
        ("QuantizeLinear", "quantize", ["picture", "scale", "zero"], "picture_q"),
        ("DequantizeLinear", "dequantize", ["picture_q", "scale", "zero"], "picture_d"),
    ]
    if integer_weights:
        constants["kernel_q"] = rng.integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
        nodes.append(("DequantizeLinear", "kernel_dq", ["kernel_q", "kernel_scale", "kernel_zero"], "kernel"))
    else:
        constants["kernel"] = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    nodes.append(("Conv", "conv", ["picture_d", "kernel"], "features"))
    if requantized:
        nodes.append(("QuantizeLinear", "requantize", ["features", "scale", "zero"], "features_q"))
        nodes.append(("DequantizeLinear", "features_dq", ["features_q", "scale", "zero"], "output"))
    else:
        nodes.append(("HardSigmoid", "activation", ["features"], "output"))
    graph = helper.make_graph(
        [
            helper.make_node(
                op,
                inputs,
                [output],
                name=name if named else "",
                **({"kernel_shape": [3, 3], "pads": [1] * 4} if op == "Conv" else {}),
            )
            for op, name, inputs, output in nodes
        ],
        "net",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 8, SIDE, SIDE))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path
