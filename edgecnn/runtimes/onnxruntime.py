"""ONNX Runtime on the CPU: ``.onnx`` files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError, InputError, MissingDependency
from edgecnn.quiet import quiet


def import_engine() -> Any:
    """Return the module ``onnxruntime``.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime", "onnx", "running an .onnx file") from error
    return onnxruntime


def session_options(threads: int) -> Any:
    """Return the options that every session has: its own threads, and no word on standard error."""
    options = import_engine().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # an error comes as an exception, not as a page on stderr
    return options


def open_session(artifact: Artifact, options: Any) -> Any:
    """Open a file in a session on the CPU.

    Raises:
        EngineError: the engine refuses the file.
    """
    try:
        with quiet():  # it tells of its fallbacks on standard output
            return import_engine().InferenceSession(str(artifact.path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base below Exception
        raise EngineError(
            f"ONNX Runtime refuses {str(artifact.path)!r}: {error}", "the file may be damaged: export it again"
        ) from error


class OnnxRuntime:
    """One session with its own threads."""

    name = "onnxruntime"
    device = "CPU"

    def __init__(self, artifact: Artifact, threads: int) -> None:
        onnxruntime = import_engine()
        self.version = f"onnxruntime {onnxruntime.__version__}"
        self.inputs, self.outputs = artifact.inputs, artifact.outputs
        shape = artifact.inputs[0].shape
        if not shape:
            raise InputError(f"{str(artifact.path)!r} takes a single number, not pictures", "give an image classifier")
        self.batch: int | None = None if shape[0] == -1 else shape[0]
        self._session = open_session(artifact, session_options(threads))
        self._names = [tensor.name for tensor in self.inputs]
        self._output_names = [tensor.name for tensor in self.outputs]

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        try:
            outputs: list[npt.NDArray[Any]] = self._session.run(
                self._output_names, dict(zip(self._names, tensors, strict=True))
            )
        except Exception as error:  # as above
            raise EngineError(
                f"ONNX Runtime failed: {error}", "the tensor or the file does not fit: see edgecnn info FILE"
            ) from error
        return outputs


def open_model(artifact: Artifact, *, threads: int, trust: bool) -> OnnxRuntime:
    """Open an ``.onnx`` file (``trust`` has no meaning here: custom operators are never loaded)."""
    return OnnxRuntime(artifact, threads)
