"""A Keras file becomes one float32 ``.onnx`` file, folded, and named after its layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters import ConversionJob, Converted
from converters._keras import one_picture_function
from converters._onnx import STANDARD, Graph, rename_edges
from converters._work import working

#: ONNX opset: 17 is read by OpenCV's engine and by every onnxruntime since 1.12.
OPSET = 17


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write the float32 file of ``job``; no other recipe starts from a Keras file.

    Raises:
        EngineError: tf2onnx cannot convert the model.
    """
    ((recipe, path),) = job.targets.items()
    with working("the conversion to ONNX"):
        import onnx
        import tf2onnx

        function, names = one_picture_function(job)
        model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
        (output,) = model.graph.output
        rename_edges(model.graph, {output.name: "output"})  # instead of TensorFlow's Identity:0
        model = _folded(model, path)
        Graph(model.graph).name(names)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
    yield Converted(recipe, path)


def _folded(model: Any, path: Path) -> Any:
    """Return the model with batch normalization folded into the layers before it, and with all shapes.

    Quantizers start from this form. It is kept only if every engine can read it: onnxruntime may
    fuse operators into some of its own.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    scratch = path.with_suffix(".folded.onnx")
    try:
        scratch.write_bytes(model.SerializeToString())
        quant_pre_process(str(scratch), str(scratch), skip_symbolic_shape=True)
        folded = onnx.load(str(scratch))
    finally:
        scratch.unlink(missing_ok=True)
    if any(node.domain not in STANDARD for node in folded.graph.node):
        return onnx.shape_inference.infer_shapes(model)
    # onnxruntime declares every operator set that it knows.
    del folded.opset_import[:]
    folded.opset_import.extend(model.opset_import)
    del folded.metadata_props[:]
    return folded
