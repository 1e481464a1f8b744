"""The float reference: a Keras file run by Keras itself, on whatever backend and device it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError, InputError
from edgecnn.models.loading import facts_of, import_keras, open_keras_model
from edgecnn.spec import ModelFacts
from edgecnn.tensors import TensorInfo


def _tensorflow_device() -> tuple[str, str]:
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    details = tensorflow.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return f"GPU {details.get('device_name', '')}".strip() if gpus else "CPU", tensorflow.__version__


def _jax_device() -> tuple[str, str]:
    import jax

    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else f"{device.platform.upper()} {device.device_kind}", jax.__version__


def _torch_device() -> tuple[str, str]:
    import torch

    return f"GPU {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "CPU", torch.__version__


def _tensorflow_peak() -> int | None:
    import tensorflow

    gpus = tensorflow.config.list_logical_devices("GPU")
    return int(tensorflow.config.experimental.get_memory_info(gpus[0].name)["peak"]) if gpus else None


def _jax_peak() -> int | None:
    import jax

    told = jax.devices()[0].memory_stats() or {}  # the CPU tells nothing
    return int(told["peak_bytes_in_use"]) if "peak_bytes_in_use" in told else None


def _torch_peak() -> int | None:
    import torch

    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None


_PEAKS: dict[str, Callable[[], int | None]] = {"tensorflow": _tensorflow_peak, "jax": _jax_peak, "torch": _torch_peak}
_DEVICES: dict[str, Callable[[], tuple[str, str]]] = {
    "tensorflow": _tensorflow_device,
    "jax": _jax_device,
    "torch": _torch_device,
}


def import_engine() -> Any:
    """Return the module ``keras``, its backend with it.

    Raises:
        MissingDependency: it is not installed.
    """
    return import_keras()


class KerasReference:
    """One float model, run through Keras' own compiled prediction function.

    ``facts`` says what the model tells about its input and output, ``notes`` what was repaired to open it.
    """

    name = "keras"
    batch: int | None = None

    def __init__(self, artifact: Artifact, *, trust: bool) -> None:
        opened = open_keras_model(artifact, trust=trust)
        self._model, self.notes = opened.model, opened.notes
        keras = import_engine()
        self.facts: ModelFacts = facts_of(self._model)
        self.version = f"keras {keras.__version__}"
        backend = keras.backend.backend()
        if backend not in _DEVICES:
            raise InputError(f"Keras runs on {backend!r}", f"set KERAS_BACKEND to {', '.join(_DEVICES)}")
        where, version = _DEVICES[backend]()
        self.device = f"{where} ({backend} {version})"
        self._backend = backend
        (input_tensor,), (output_tensor,) = self._model.inputs, self._model.outputs
        self.inputs = (TensorInfo("input", _free_shape(input_tensor.shape), "float32"),)
        self.outputs = (TensorInfo("output", _free_shape(output_tensor.shape), "float32"),)

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        try:
            return [np.asarray(self._model.predict_on_batch(tensors[0]), np.float32)]
        except Exception as error:  # each backend has its own exceptions
            first_line = str(error).strip().partition("\n")[0]
            raise EngineError(
                f"Keras failed: {type(error).__name__}: {first_line}", "check the model with Keras itself"
            ) from error

    def device_peak_bytes(self) -> int | None:
        """Return the most that was taken of the GPU's memory in this process; ``None`` without a GPU."""
        return _PEAKS[self._backend]()


def _free_shape(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if side is None else int(side) for side in shape)


def open_model(artifact: Artifact, *, threads: int, trust: bool) -> KerasReference:
    """Open a Keras file. Its threads are the backend's own affair: the reference runs as fast as it can."""
    return KerasReference(artifact, trust=trust)
