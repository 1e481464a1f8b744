"""A Keras file becomes one float32 ``.tflite`` file, whose operators are named after its layers."""

from __future__ import annotations

from collections.abc import Iterator

from converters import ConversionJob, Converted
from converters._keras import one_picture_function
from converters._tflite import Graph, with_signature
from converters._work import working


def convert(job: ConversionJob) -> Iterator[Converted]:
    """Write the float32 file of ``job``; no other recipe starts from a Keras file.

    Raises:
        EngineError: TensorFlow cannot convert the model.
    """
    ((recipe, path),) = job.targets.items()
    with working("the conversion to TFLite"):
        import tensorflow

        function, names = one_picture_function(job)
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
        # The same graph without a SavedModel written on the way, as from_keras_model does: five times as fast.
        converter.experimental_lower_to_saved_model = False
        path.write_bytes(Graph(with_signature(converter.convert())).named(names))
    yield Converted(recipe, path)
