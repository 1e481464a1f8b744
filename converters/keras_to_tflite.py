"""A Keras file becomes one float32 ``.tflite`` file, whose operators are named after its layers."""

from __future__ import annotations

from collections.abc import Iterator

from converters import ConversionJob, Converted
from converters._keras import one_picture_model
from converters._tflite import Graph
from converters._work import working


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write the float32 file of ``job``; no other recipe starts from a Keras file.

    Raises:
        EngineError: TensorFlow cannot convert the model.
    """
    ((recipe, path),) = job.targets.items()
    with working("the conversion to TFLite"):
        import tensorflow

        model, names = one_picture_model(job)
        content = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
        path.write_bytes(Graph(content).named(names))
    yield Converted(recipe, path)
