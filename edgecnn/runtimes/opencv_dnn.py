"""OpenCV's own network engine: float ``.onnx`` files where nothing but OpenCV is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError, InputError


def import_engine() -> None:
    """Importing this module has done it."""


class OpenCVDnn:
    """One network. OpenCV's thread count is a setting of the whole process, not of a network."""

    name = "opencv_dnn"
    device = "CPU"
    batch: int | None = 1

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self.version = f"opencv {cv2.__version__}"
        self.inputs, self.outputs = artifact.inputs, artifact.outputs
        if any(tensor.dtype != "float32" for tensor in (*self.inputs, *self.outputs)):
            raise InputError(
                "OpenCV's engine takes float32 input and output only", "use a float32 or int8_float_io file"
            )
        cv2.setNumThreads(threads)
        try:
            self._net = cv2.dnn.readNetFromONNX(str(artifact.path))
        except cv2.error as error:
            raise EngineError(
                f"OpenCV refuses {str(artifact.path)!r}: {error.err}", "use --runtime onnxruntime"
            ) from error
        self._output_names = [tensor.name for tensor in self.outputs]

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        try:
            for info, tensor in zip(self.inputs, tensors, strict=True):
                self._net.setInput(tensor, info.name)
            return [self._net.forward(name) for name in self._output_names]
        except cv2.error as error:
            raise EngineError(f"OpenCV failed: {error.err}", "use --runtime onnxruntime") from error


def open_model(artifact: Artifact, *, threads: int, trust: bool) -> OpenCVDnn:
    """Open an ``.onnx`` file in OpenCV."""
    return OpenCVDnn(artifact, threads)
