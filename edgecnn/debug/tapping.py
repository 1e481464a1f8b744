"""Opening a quantized file so that every tensor in it can be read, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError
from edgecnn.runtimes.taps import Tap, TappedLiteRT, TappedModel, TappedSession

_EXPOSER = "converters.tap_onnx"


@contextmanager
def tapped(artifact: Artifact) -> Iterator[TappedModel]:
    """Yield the file, opened with a tap at every tensor; a scratch copy that needs is gone afterwards.

    Raises:
        InputError: it is a Keras file.
        MissingDependency: its engine is not installed.
        EngineError: the engine refuses it.
    """
    if artifact.format == "tflite":
        yield TappedLiteRT(artifact)
    elif artifact.format == "onnx":
        with TemporaryDirectory(prefix="edgecnn-debug-") as folder:
            yield _session(artifact, Path(folder, "tapped.onnx"))
    else:
        raise InputError(f"{str(artifact.path)!r} is a Keras file", "give the quantized .tflite or .onnx file")


def _session(artifact: Artifact, copy: Path) -> TappedSession:
    known = {info.name: info.quant for info in (*artifact.inputs, *artifact.outputs) if info.quant is not None}
    exposure = import_module(_EXPOSER).expose(artifact.path, copy, known)
    present = {info.name for info in (*artifact.inputs, *artifact.outputs)}
    edges = {item.edge.name: item.edge for item in exposure.tensors if item.edge.name not in present}
    opened = replace(artifact, path=copy, outputs=(*artifact.outputs, *edges.values()))
    taps = [Tap(item.name, item.op, item.edge.quant) for item in exposure.tensors]
    return TappedSession(opened, taps, [item.edge.name for item in exposure.tensors], integers=exposure.integers)
