"""A Keras file becomes one float32 ``.onnx`` file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters import INPUT_NAME, ConversionJob, Converted
from converters._keras import one_picture_model
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
        import tensorflow
        import tf2onnx

        signature = [tensorflow.TensorSpec(job.spec.input.shape, tensorflow.float32, name=INPUT_NAME)]
        function = tensorflow.function(one_picture_model(job), input_signature=signature)
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
        _rename_output(model, "output")
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
    yield Converted(recipe, path)


def _rename_output(model: Any, name: str) -> None:
    """Call the graph's one output ``name`` instead of TensorFlow's ``Identity:0``."""
    (output,) = model.graph.output
    for node in model.graph.node:
        for edges in (node.input, node.output):
            edges[:] = [name if edge == output.name else edge for edge in edges]
    output.name = name
