"""A float32 ``.tflite`` file becomes every quantized one, by ai-edge-quantizer, without TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from converters import ConversionJob, Converted, input_params
from converters._work import working


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


def _dynamic_int8(quantizer: Any) -> None:
    from ai_edge_quantizer import recipe

    quantizer.load_quantization_recipe(recipe.dynamic_wi8_afp32())


def _int8(quantizer: Any) -> None:
    from ai_edge_quantizer import recipe

    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())


def _int8_float_io(quantizer: Any) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    _int8(quantizer)
    for edge in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        quantizer.update_quantization_recipe(".*", edge, None, AlgorithmName.NO_QUANTIZE)


_CONFIGURE: dict[str, Callable[[Any], None]] = {
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
    "int8_float_io": _int8_float_io,
}


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write one file per recipe of ``job``; calibration is run once for all static ones.

    Raises:
        EngineError: the quantizer refuses the model.
    """
    with working("the quantization of TFLite"):
        from ai_edge_quantizer import quantizer as aeq

    ranges: Any = None
    for recipe, path in job.targets.items():
        with working(f"the quantization of TFLite to {recipe.name}"):
            quantizer = aeq.Quantizer(bytearray(job.source.read_bytes()))
            _CONFIGURE[recipe.name](quantizer)
            if recipe.needs_calibration and ranges is None:
                ranges = _calibrated_ranges(quantizer, job)
            result = quantizer.quantize(ranges if recipe.needs_calibration else None, enable_progress_report=False)
            path.write_bytes(result.quantized_model)
        yield Converted(recipe, path)


def _calibrated_ranges(quantizer: Any, job: ConversionJob) -> Any:
    """Return {tensor name: ranges} as the quantizer wants them.

    Its own calibration smooths the extremes of each sample into a moving average, which cuts off
    the bright and the dark pictures; the ranges here are the extremes over all samples. The
    input's is what any picture can give.
    """
    from ai_edge_litert.interpreter import Interpreter

    assert job.calibration is not None, "the exporter gives static recipes their calibration"  # noqa: S101
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping every tensor costs memory, it warns: that is the point
        interpreter = Interpreter(model_path=str(job.source), experimental_preserve_all_tensors=True, num_threads=1)
    interpreter.allocate_tensors()
    ((signature, edges),) = interpreter.get_signature_list().items()
    # One sample tells which tensors want ranges, and in which shape.
    ranges = quantizer.calibrate({signature: [{edges["inputs"][0]: job.calibration[:1]}]}, num_threads=1)
    indices = {
        detail["name"]: detail["index"] for detail in interpreter.get_tensor_details() if detail["name"] in ranges
    }
    low, high = dict.fromkeys(indices, np.inf), dict.fromkeys(indices, -np.inf)
    input_name = interpreter.get_input_details()[0]["name"]
    for sample in job.calibration:
        interpreter.set_tensor(indices[input_name], sample[None])
        interpreter.invoke()
        for name, index in indices.items():
            values = interpreter.get_tensor(index)
            low[name], high[name] = min(low[name], values.min()), max(high[name], values.max())
    # The input's ends that give exactly these parameters: the quantizer computes them back.
    params = input_params(job, "int8")
    low[input_name], high[input_name] = (params.scale * (edge - params.zero_point) for edge in (-128, 127))
    for name in indices:
        ranges[name]["min"] = np.full_like(ranges[name]["min"], low[name])
        ranges[name]["max"] = np.full_like(ranges[name]["max"], high[name])
    return ranges
