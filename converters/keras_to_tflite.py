"""A Keras file becomes one float32 ``.tflite`` file."""

from __future__ import annotations

from collections.abc import Iterator

from converters import ConversionJob, Converted
from converters._keras import one_picture_model
from converters._work import working


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write the float32 file of ``job``; no other recipe starts from a Keras file.

    Raises:
        EngineError: TensorFlow cannot convert the model.
    """
    ((recipe, path),) = job.targets.items()
    with working("the conversion to TFLite"):
        import tensorflow

        path.write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(one_picture_model(job)).convert())
    yield Converted(recipe, path)
