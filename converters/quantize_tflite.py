"""A float32 ``.tflite`` file becomes every quantized one, by ai-edge-quantizer, without TensorFlow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import ConversionJob, Converted, Layer, input_params, ranges_for
from converters._tflite import Graph, with_uint8_edges
from converters._work import working
from converters.calibration import CalibrationRun, Observe, Range
from edgecnn.errors import InputError
from edgecnn.recipe import Recipe


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write one file per recipe of ``job``; the calibration samples are run at most once for all.

    Raises:
        EngineError: the quantizer refuses the model.
        InputError: an excluded layer is not in the model.
    """
    with working("the quantization of TFLite"):
        from ai_edge_quantizer import quantizer as aeq

    content = job.source.read_bytes()
    graph = Graph(content)
    for recipe, path in job.targets.items():
        with working(f"the quantization of TFLite to {recipe.name}"):
            quantizer = aeq.Quantizer(bytearray(content))
            _CONFIGURE[recipe.activations if recipe.needs_calibration else recipe.name](quantizer)
            _exclude(quantizer, graph, recipe)
            ranges = None
            if recipe.needs_calibration:
                _keep_float_edges(quantizer, recipe)
                ranges = _as_quantizer_wants(graph, ranges_for(job, recipe, lambda: _calibration(job, graph)), job)
            made = quantizer.quantize(ranges, enable_progress_report=False).quantized_model
            path.write_bytes(with_uint8_edges(bytes(made)) if recipe.io == "uint8" else made)
        yield Converted(recipe, path)


def layers(source: Path) -> tuple[Layer, ...]:
    """Return the layers of a float ``.tflite`` file, in order of execution.

    Raises:
        EngineError: the file cannot be read.
    """
    with working("reading the TFLite graph"):
        return Graph(source.read_bytes()).layers()


def _float16(quantizer: Any) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    halves = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    quantizer.update_quantization_recipe(
        ".*", qtyping.TFLOperationName.ALL_SUPPORTED, halves, AlgorithmName.FLOAT_CASTING
    )


def _named(name: str) -> Callable[[Any], None]:
    """Return a configurator that takes one of the quantizer's own recipes."""

    def configure(quantizer: Any) -> None:
        from ai_edge_quantizer import recipe

        quantizer.load_quantization_recipe(getattr(recipe, name)())

    return configure


#: By the recipe's name; static recipes by the dtype of their activations.
_CONFIGURE: dict[str, Callable[[Any], None]] = {
    "float16": _float16,
    "weight_only_int8": _named("weight_only_wi8_afp32"),
    "dynamic_int8": _named("dynamic_wi8_afp32"),
    "int8": _named("static_wi8_ai8"),
    "int16": _named("static_wi8_ai16"),
}


def _keep_float_edges(quantizer: Any, recipe: Recipe) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    if recipe.io == "float32":
        for edge in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            quantizer.update_quantization_recipe(".*", edge, None, AlgorithmName.NO_QUANTIZE)


def _exclude(quantizer: Any, graph: Graph, recipe: Recipe) -> None:
    """Leave the excluded layers float32.

    Raises:
        InputError: one of them is not in the model.
    """
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

    operators = zip(graph.operators, graph.codes, strict=True)
    ops = {graph.names[outputs[0]]: (code, outputs) for (_, _, outputs), code in operators}
    for name in recipe.excluded_layers:
        if name not in ops:
            raise InputError(f"the model has no layer {name!r} to exclude", "edgecnn lists them when it exports")
        code, outputs = ops[name]
        if code in TFL_OP_CODE_TO_NAME:  # others stay float anyway
            # The quantizer searches in the names of all outputs, each followed by a semicolon. Naming the
            # operator leaves the graph's own input and output, which have scopes of the same name, quantized.
            scope = "".join(f"{re.escape(graph.names[output])};" for output in outputs)
            quantizer.update_quantization_recipe(
                f"^{scope}$", TFL_OP_CODE_TO_NAME[code], None, AlgorithmName.NO_QUANTIZE
            )


def _calibration(job: ConversionJob, graph: Graph) -> CalibrationRun:
    assert job.calibration is not None, "the exporter gives static recipes their calibration"  # noqa: S101
    return CalibrationRun(job.source, job.calibration, lambda: _observer(job.source, graph))


def _observer(source: Path, graph: Graph) -> Observe:
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping every tensor costs memory, it warns: that is the point
        interpreter = Interpreter(model_path=str(source), experimental_preserve_all_tensors=True, num_threads=1)
    interpreter.allocate_tensors()
    wanted = {graph.names[tensor]: tensor for tensor in graph.computed()}

    def observe(sample: npt.NDArray[np.float32]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        interpreter.set_tensor(graph.input, sample[None])
        interpreter.invoke()
        for name, tensor in wanted.items():
            yield name, interpreter.get_tensor(tensor)

    return observe


def _as_quantizer_wants(graph: Graph, ranges: Mapping[str, Range], job: ConversionJob) -> dict[str, Any]:
    """Return {tensor name: {"min", "max"}} for every tensor that a quantizer may ask for."""
    # The input's ends that give exactly these parameters: the quantizer computes them back.
    params = input_params(job, "int8")
    edges = tuple(params.scale * (edge - params.zero_point) for edge in (-128, 127))
    every = graph.ranges_of_all({**ranges, graph.names[graph.input]: (edges[0], edges[1])})
    return {
        name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
        for name, (low, high) in every.items()
    }
