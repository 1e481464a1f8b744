"""LiteRT (TensorFlow Lite): ``.tflite`` files, by whichever of its packages is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError, MissingDependency
from edgecnn.quiet import quiet

#: (module with Interpreter, distribution), in the order in which they are tried.
_PACKAGES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite", "tensorflow"),
)


def import_engine() -> tuple[Any, str]:
    """Return the Interpreter class and ``package version``.

    Raises:
        MissingDependency: none of the packages is installed.
    """
    for module, distribution in _PACKAGES:
        try:
            found = import_module(module).Interpreter
        except (ImportError, AttributeError):  # newer TensorFlow has no interpreter of its own any more
            continue
        try:
            return found, f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            return found, distribution
    raise MissingDependency("ai-edge-litert", "tflite", "running a .tflite file")


def open_interpreter(artifact: Artifact, threads: int, content: bytes | None = None) -> Any:
    """Open a file, or the ``content`` made from it, with the engine's usual delegate and allocate its tensors.

    Raises:
        EngineError: the engine refuses the file.
    """
    source = {"model_path": str(artifact.path)} if content is None else {"model_content": content}
    try:
        with quiet():  # it announces its delegate on standard error
            interpreter = import_engine()[0](num_threads=threads, **source)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise refusal(artifact, error) from error
    return interpreter


def refusal(artifact: Artifact, error: Exception) -> EngineError:
    """Return the error for a file that the engine does not open."""
    return EngineError(f"LiteRT refuses {str(artifact.path)!r}: {error}", "the file may be damaged: export it again")


class LiteRT:
    """One ``.tflite`` file with its tensors allocated."""

    name = "litert"
    device = "CPU"
    batch: int | None = 1

    def __init__(self, artifact: Artifact, threads: int) -> None:
        _, self.version = import_engine()
        self.inputs, self.outputs = artifact.inputs, artifact.outputs
        self._interpreter = open_interpreter(artifact, threads)
        try:
            # Details cost 70 microseconds a call: asked for once. A name that is no UTF-8 fails here.
            self._input_indices = [detail["index"] for detail in self._interpreter.get_input_details()]
            self._output_indices = [detail["index"] for detail in self._interpreter.get_output_details()]
        except (ValueError, RuntimeError) as error:
            raise refusal(artifact, error) from error

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        try:
            for index, tensor in zip(self._input_indices, tensors, strict=True):
                self._interpreter.set_tensor(index, tensor)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._output_indices]
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"LiteRT failed: {error}", "the tensor or the file does not fit: see edgecnn info FILE"
            ) from error

    def tensor_bytes(self) -> int:
        """Return the bytes of all tensors that the operators make, as if none shared its place with another."""
        made = {int(index) for operator in self._interpreter._get_ops_details() for index in operator["outputs"]}
        details = (detail for detail in self._interpreter.get_tensor_details() if detail["index"] in made)
        return sum(int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize for detail in details)


def open_model(artifact: Artifact, *, threads: int, trust: bool) -> LiteRT:
    """Open a ``.tflite`` file (``trust`` has no meaning here: the format holds no code)."""
    return LiteRT(artifact, threads)
