"""Every tensor between the layers of a file while it runs, not its output alone.

For finding where a quantized file goes wrong; what is measured for speed never runs this way. This
module must not know Keras, layers or why anyone looks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError
from edgecnn.quiet import quiet
from edgecnn.runtimes import open_runtime
from edgecnn.runtimes.litert import import_engine
from edgecnn.tensors import DTYPES, INTEGER_RANGES, QuantParams


@dataclass(frozen=True)
class Tap:
    """One tensor that can be looked at.

    Args:
        name: as the file names it.
        op: the operator that makes it; ``INPUT`` for the model's input.
        quant: how it is quantized; ``None`` for a float tensor.
    """

    name: str
    op: str
    quant: QuantParams | None = None

    def real(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the values that the stored ones stand for."""
        return self.quant.dequantize(raw) if self.quant is not None else np.asarray(raw, np.float32)


@dataclass(frozen=True)
class Tapped:
    """What one call gave: the output tensor, and the stored values of every tap."""

    output: npt.NDArray[Any]
    values: list[npt.NDArray[Any]]


class TappedModel(Protocol):
    """A file opened so that every tensor can be read.

    ``taps`` are in the order in which the file computes them, ``input_tap`` is the index of the one
    that holds the input as the first layer sees it; ``integers`` says whether anything in the file,
    weights included, is stored as integers; ``batch`` is as a runtime's.
    """

    taps: tuple[Tap, ...]
    input_tap: int
    integers: bool
    batch: int | None

    def run(self, tensor: npt.NDArray[Any]) -> Tapped:
        """Run once on an input tensor."""
        ...


class TappedLiteRT:
    """A ``.tflite`` file in LiteRT's plain kernels: its XNNPACK would keep the tensors to itself.

    Raises:
        EngineError: the engine refuses the file.
    """

    def __init__(self, artifact: Artifact) -> None:
        interpreter_class, _ = import_engine()
        resolver = import_module(interpreter_class.__module__).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.batch: int | None = 1
        try:
            with quiet(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # keeping every tensor costs memory, it warns: that is the point
                self._interpreter = interpreter_class(
                    model_path=str(artifact.path),
                    num_threads=1,
                    experimental_op_resolver_type=resolver,
                    experimental_preserve_all_tensors=True,
                )
                self._interpreter.allocate_tensors()
            self._read_graph()
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"LiteRT refuses {str(artifact.path)!r}: {error}", "the file may be damaged: export it again"
            ) from error

    def _read_graph(self) -> None:
        details = {detail["index"]: detail for detail in self._interpreter.get_tensor_details()}
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self.integers = any(np.dtype(detail["dtype"]).name in INTEGER_RANGES for detail in details.values())
        indices, taps = [self._input], [Tap(details[self._input]["name"], "INPUT", _quant(details[self._input]))]
        self.input_tap = 0
        # Which operator makes a tensor is told by no public function; all packages have this one.
        for operator in self._interpreter._get_ops_details():
            for index in operator["outputs"]:
                detail = details.get(index)
                if detail is None or np.dtype(detail["dtype"]).name not in DTYPES:
                    continue
                if operator["op_name"] == "QUANTIZE" and self._input in operator["inputs"]:
                    self.input_tap = len(taps)
                indices.append(index)
                taps.append(Tap(detail["name"], operator["op_name"], _quant(detail)))
        self._indices, self.taps = indices, tuple(taps)

    def run(self, tensor: npt.NDArray[Any]) -> Tapped:
        try:
            self._interpreter.set_tensor(self._input, tensor)
            self._interpreter.invoke()
            values = [self._interpreter.get_tensor(index) for index in self._indices]
            return Tapped(self._interpreter.get_tensor(self._output), values)
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"LiteRT failed: {error}", "the tensor or the file does not fit: see edgecnn info FILE"
            ) from error


def _quant(detail: dict[str, Any]) -> QuantParams | None:
    """Return the quantization of one of LiteRT's tensors; of weights quantized per channel, none."""
    found, dtype = detail["quantization_parameters"], np.dtype(detail["dtype"]).name
    if dtype not in INTEGER_RANGES or len(found["scales"]) != 1:
        return None
    return QuantParams(float(found["scales"][0]), int(found["zero_points"][0]), dtype)


class TappedSession:
    """A copy of an ``.onnx`` file whose inner tensors were made outputs, in its usual engine.

    Args:
        artifact: the copy; its own output comes first among its ``outputs``.
        taps: the input, then the inner tensors.
        edges: for each tap, the name of the output, or the input, that holds it.
        integers: as :class:`TappedModel` has it.
    """

    input_tap = 0

    def __init__(self, artifact: Artifact, taps: Sequence[Tap], edges: Sequence[str], *, integers: bool) -> None:
        self._runtime = open_runtime(artifact)
        self.taps, self.integers, self.batch = tuple(taps), integers, self._runtime.batch
        self._edges, self._input = tuple(edges), artifact.inputs[0].name

    def run(self, tensor: npt.NDArray[Any]) -> Tapped:
        given = self._runtime.invoke([tensor])
        found = dict(zip((info.name for info in self._runtime.outputs), given, strict=True), **{self._input: tensor})
        return Tapped(given[0], [found[edge] for edge in self._edges])
