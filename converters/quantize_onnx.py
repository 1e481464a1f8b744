"""A float32 ``.onnx`` file becomes every quantized one, by onnxruntime's own quantizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters import INPUT_NAME, ConversionJob, Converted, input_params
from converters._work import working
from edgecnn.recipe import Recipe
from edgecnn.tensors import QuantParams

#: Of the static files' activations and of their integer input: a camera's bytes as they are.
_ACTIVATION_DTYPE = "uint8"
#: Operators that move values and do not change them.
_REARRANGES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write one file per recipe of ``job``; the static ones share one calibration.

    Raises:
        EngineError: the quantizer refuses the model.
    """
    prepared = job.source.with_suffix(".prepared.onnx")
    static = job.source.with_suffix(".static.onnx")
    for recipe, path in job.targets.items():
        with working(f"the quantization of ONNX to {recipe.name}"):
            if recipe.scheme != "float" and not prepared.exists():
                from onnxruntime.quantization.shape_inference import quant_pre_process

                quant_pre_process(str(job.source), str(prepared), skip_symbolic_shape=True)
            if recipe.needs_calibration and not static.exists():
                _quantize_static(job, prepared, static)
            tensors = _MAKE[recipe.name](job.source if recipe.scheme == "float" else prepared, static, path)
        yield Converted(_as_stored(recipe), path, tensors)


def _as_stored(recipe: Recipe) -> Recipe:
    """Return the recipe with the integers that these files hold where its name says int8."""
    if recipe.scheme == "static":
        return replace(recipe, activations=_ACTIVATION_DTYPE)
    return replace(recipe, weights="uint8") if recipe.scheme == "dynamic" else recipe


def _float16(source: Path, static: Path, path: Path) -> dict[str, QuantParams]:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(str(source)), keep_io_types=True)
    _sort_nodes(model.graph)
    _save(model, path)
    return {}


def _dynamic_int8(source: Path, static: Path, path: Path) -> dict[str, QuantParams]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ConvInteger of the CPU engine takes uint8 weights only.
    quantize_dynamic(str(source), str(path), weight_type=QuantType.QUInt8, per_channel=True)
    return {}


def _int8_float_io(source: Path, static: Path, path: Path) -> dict[str, QuantParams]:
    path.write_bytes(static.read_bytes())
    return {}


def _int8(source: Path, static: Path, path: Path) -> dict[str, QuantParams]:
    """Take the quantization of the input and the dequantization of the output out of the graph."""
    import onnx

    model = onnx.load(str(static))
    tensors = _bare_input(model.graph) | _bare_output(model.graph)
    _save(model, path)
    return tensors


_MAKE: dict[str, Callable[[Path, Path, Path], dict[str, QuantParams]]] = {
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
    "int8_float_io": _int8_float_io,
}


def _quantize_static(job: ConversionJob, source: Path, destination: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            assert job.calibration is not None, "the exporter gives static recipes their calibration"  # noqa: S101
            self._samples = iter(job.calibration)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self._samples, None)
            return None if sample is None else {INPUT_NAME: sample[None]}

    params = input_params(job, _ACTIVATION_DTYPE)
    fixed = {
        "scale": np.array(params.scale, np.float32),
        "zero_point": np.array(params.zero_point, _ACTIVATION_DTYPE),
    }
    quantize_static(
        str(source),
        str(destination),
        Samples(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"TensorQuantOverrides": {name: [fixed] for name in _picture_tensors(source)}},
    )


def _picture_tensors(path: Path) -> list[str]:
    """Return the input's name and those of its mere rearrangements, whose values are the same."""
    import onnx

    graph = onnx.load(str(path)).graph
    return [graph.input[0].name, *(node.output[0] for node in _rearrangements(graph))]


def _save(model: Any, path: Path) -> None:
    import onnx

    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _constant(graph: Any, name: str) -> Any:
    import onnx

    (found,) = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == name]
    return found


def _params(graph: Any, node: Any) -> QuantParams:
    scale, zero_point = (_constant(graph, name) for name in node.input[1:3])
    return QuantParams(float(scale), int(zero_point), str(zero_point.dtype))


def _set_integer(value_info: Any, dtype: str) -> None:
    import onnx

    value_info.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _rearrangements(graph: Any) -> list[Any]:
    """Return the nodes that only move the input's values around, from the input on."""
    chain: list[Any] = []
    tensor = graph.input[0].name
    while True:
        consumers = [node for node in graph.node if tensor in node.input]
        if len(consumers) != 1 or consumers[0].op_type not in _REARRANGES:
            return chain
        chain += consumers
        tensor = consumers[0].output[0]


def _bare_input(graph: Any) -> dict[str, QuantParams]:
    """Let the graph's input be what its QuantizeLinear made of it."""
    (picture,) = graph.input
    chain = _rearrangements(graph)
    tensor = chain[-1].output[0] if chain else picture.name
    consumers = [node for node in graph.node if tensor in node.input]
    if [node.op_type for node in consumers] != ["QuantizeLinear"]:
        return {}
    (quantize,) = consumers
    params = _params(graph, quantize)
    for node in graph.node:
        node.input[:] = [tensor if edge == quantize.output[0] else edge for edge in node.input]
    graph.node.remove(quantize)
    _set_integer(picture, params.dtype)
    # Shapes noted for tensors in between carry the old dtype; they are inferred again.
    del graph.value_info[:]
    return {picture.name: params}


def _bare_output(graph: Any) -> dict[str, QuantParams]:
    """Let the graph's output be what its last DequantizeLinear would have been given."""
    (scores,) = graph.output
    (producer,) = [node for node in graph.node if scores.name in node.output]
    if producer.op_type != "DequantizeLinear":
        return {}
    params = _params(graph, producer)
    (quantize,) = [node for node in graph.node if producer.input[0] in node.output]
    quantize.output[:] = [scores.name]
    graph.node.remove(producer)
    _set_integer(scores, params.dtype)
    return {scores.name: params}


def _sort_nodes(graph: Any) -> None:
    """Put the nodes in the order in which they depend on each other (the float16 pass does not)."""
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
