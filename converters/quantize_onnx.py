"""A float32 ``.onnx`` file becomes every quantized one, by onnxruntime's own quantizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import INPUT_NAME, ConversionJob, Converted, Layer, fixed_range, input_params, ranges_for
from converters._onnx import Graph, save
from converters._onnx_edges import bare_input, bare_output, rearrangements
from converters._work import working
from converters.calibration import CalibrationRun, Observe, Range
from edgecnn.errors import EngineError, InputError
from edgecnn.recipe import Recipe
from edgecnn.tensors import QuantParams


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write one file per recipe of ``job``; the calibration samples are run at most once for all.

    Raises:
        EngineError: the quantizer refuses the model.
        InputError: an excluded layer is not in the model.
    """
    for recipe, path in job.targets.items():
        with working(f"the quantization of ONNX to {recipe.name}"):
            tensors = _MAKERS[recipe.name if recipe.scheme == "float" else recipe.scheme](job, recipe, path)
        # ConvInteger of the CPU engine takes uint8 weights only.
        yield Converted(replace(recipe, weights="uint8") if recipe.scheme == "dynamic" else recipe, path, tensors)


def layers(source: Path) -> tuple[Layer, ...]:
    """Return the layers of a float ``.onnx`` file, in order of execution.

    Raises:
        EngineError: the file cannot be read.
    """
    with working("reading the ONNX graph"):
        import onnx

        return Graph(onnx.load(str(source)).graph).layers()


def _float16(job: ConversionJob, recipe: Recipe, path: Path) -> dict[str, QuantParams]:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(str(job.source)), keep_io_types=True)
    save(model, path)
    return {}


def _weight_only(job: ConversionJob, recipe: Recipe, path: Path) -> dict[str, QuantParams]:
    """Store kernels as int8, one scale per output channel, and make them float32 again where they are read.

    By Cast and Mul, which engines compute once, when they load the file. onnxruntime leaves a
    DequantizeLinear of constants in the graph: MobileNetV2 took twice as long as in float32.
    """
    import onnx

    model = onnx.load(str(job.source))
    graph = Graph(model.graph)
    excluded = _excluded_nodes(graph, recipe)
    made: dict[str, str] = {}  # a shared kernel is stored once
    for node, name, axis in graph.kernels():
        if node.name not in excluded and name not in made:
            made[name] = f"{name}/float32"
            kernel = graph.constant(name)
            integers, scales = _per_channel(kernel, axis)
            scales = scales.reshape([-1 if side == axis else 1 for side in range(kernel.ndim)])
            for part, values in ((f"{name}/int8", integers), (f"{name}/scale", scales)):
                model.graph.initializer.append(onnx.numpy_helper.from_array(values, part))
            cast = onnx.helper.make_node(
                "Cast", [f"{name}/int8"], [f"{name}/cast"], f"{name}/cast", to=onnx.TensorProto.FLOAT
            )
            scale = onnx.helper.make_node("Mul", [f"{name}/cast", f"{name}/scale"], [made[name]], f"{name}/float32")
            model.graph.node.extend([cast, scale])
        if node.name not in excluded:
            node.input[1] = made[name]
    read = {edge for node in model.graph.node for edge in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)
    save(model, path)
    return {}


def _per_channel(kernel: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return a kernel in int8 and the scale of each slice along ``axis``; zero points are 0."""
    slices = np.moveaxis(kernel, axis, 0)
    largest = np.abs(slices).reshape(len(slices), -1).max(axis=1)
    scales = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    integers = [QuantParams(float(s), 0, "int8").quantize(values) for s, values in zip(scales, slices, strict=True)]
    return np.ascontiguousarray(np.moveaxis(np.stack(integers), 0, axis)).astype(np.int8), scales


def _dynamic(job: ConversionJob, recipe: Recipe, path: Path) -> dict[str, QuantParams]:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    excluded = _excluded_nodes(Graph(onnx.load(str(job.source)).graph), recipe)
    # ConvInteger of the CPU engine takes uint8 weights only.
    quantize_dynamic(
        str(job.source), str(path), weight_type=QuantType.QUInt8, per_channel=True, nodes_to_exclude=excluded
    )
    return {}


def _static(job: ConversionJob, recipe: Recipe, path: Path) -> dict[str, QuantParams]:
    import onnx

    source = onnx.load(str(job.source))
    graph = Graph(source.graph)
    seen = ranges_for(job, recipe, lambda: _calibration(job, source))
    ranges = _ranges_of_all(graph, seen, job)
    picture = input_params(job, recipe.activations)
    scores = QuantParams.covering(*ranges[source.graph.output[0].name], recipe.activations)
    model = _quantized(source, graph, ranges, recipe, picture)
    tensors: dict[str, QuantParams] = {}
    if recipe.io != "float32":
        if recipe.io == "uint8" and recipe.activations != "uint8":
            raise EngineError(
                f"ONNX with {recipe.activations} between layers has {recipe.activations} input and output",
                "use activations uint8, or io integer",
            )
        tensors = bare_input(model.graph, picture) | bare_output(model.graph, scores)
    save(model, path)
    return tensors


_MAKERS: dict[str, Callable[[ConversionJob, Recipe, Path], dict[str, QuantParams]]] = {
    "float16": _float16,
    "weight_only": _weight_only,
    "dynamic": _dynamic,
    "static": _static,
}


def _quantized(source: Any, graph: Graph, ranges: Mapping[str, Range], recipe: Recipe, picture: QuantParams) -> Any:
    """Return the model with QuantizeLinear and DequantizeLinear around what is quantized; input and output float32."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    dtypes = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8, "int16": QuantType.QInt16}
    found = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    edge = {"scale": np.array(picture.scale, np.float32), "zero_point": np.array(picture.zero_point, picture.dtype)}
    chain = [source.graph.input[0].name, *(node.output[0] for node in rearrangements(source.graph))]
    excluded = _excluded_nodes(graph, recipe)
    quantizer = QDQQuantizer(
        source,
        True,  # per channel
        False,  # full range
        QuantType.QInt8,
        dtypes[recipe.activations],
        TensorsData(CalibrationMethod.MinMax, found),
        [],
        excluded,
        sorted({*QDQRegistry, *QLinearOpsRegistry}),
        {
            "TensorQuantOverrides": {name: [edge] for name in chain},
            # ONNX has 16-bit integers since opset 21 only, onnxruntime in operators of its own.
            "UseQDQContribOps": recipe.activations == "int16",
        },
    )
    quantizer.quantize_model()
    return quantizer.model.model


def _excluded_nodes(graph: Graph, recipe: Recipe) -> list[str]:
    """Return the names of the nodes that the excluded layers became.

    Raises:
        InputError: one of the layers is not in the model.
    """
    units = {unit.main.name: unit for unit in graph.units if not unit.rearranges}
    for name in recipe.excluded_layers:
        if name not in units:
            raise InputError(f"the model has no layer {name!r} to exclude", "edgecnn lists them when it exports")
    return [node.name for name in recipe.excluded_layers for node in units[name].nodes]


def _calibration(job: ConversionJob, source: Any) -> CalibrationRun:
    assert job.calibration is not None, "the exporter gives static recipes their calibration"  # noqa: S101
    return CalibrationRun(job.source, job.calibration, lambda: _observer(source))


def _observer(source: Any) -> Observe:
    """Return what runs one sample and yields the output of every layer."""
    import onnx
    import onnxruntime

    wanted = {unit.main.name: unit.output for unit in Graph(source.graph).units if not unit.rearranges}
    model = onnx.ModelProto()
    model.CopyFrom(source)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=edge) for edge in wanted.values() if edge not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    floats = {edge.name for edge in session.get_outputs() if edge.type == "tensor(float)"}
    wanted = {name: edge for name, edge in wanted.items() if edge in floats}

    def observe(sample: npt.NDArray[np.float32]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        yield from zip(wanted, session.run(list(wanted.values()), {INPUT_NAME: sample[None]}), strict=True)

    return observe


def _ranges_of_all(graph: Graph, ranges: Mapping[str, Range], job: ConversionJob) -> dict[str, Range]:
    """Return the range of every tensor that a quantizer may ask for, by its name in the graph."""
    found = {INPUT_NAME: job.spec.input.value_range}
    for unit in graph.units:
        if unit.rearranges:
            known = found.get(unit.main.input[0])
        else:
            known = fixed_range(unit.main.op_type) or ranges.get(unit.main.name)
        if known is None:
            continue
        if unit.activation is not None:
            # The quantizer leaves the activation away: saturating must do its work.
            low, high = graph.activation_range(unit.activation) or known
            known = min(max(known[0], low), high), min(max(known[1], low), high)
        found.update(dict.fromkeys((*unit.main.output, unit.output), known))
    return found
