"""Engines behind one small interface, one module per engine, each imported only when opened.

A runtime knows tensors; it must not know labels, thresholds or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError, unknown
from edgecnn.spec import ModelFacts
from edgecnn.tensors import TensorInfo


class Runtime(Protocol):
    """An opened model. Making it opens and allocates; it is not warmed up.

    ``name`` and ``version`` say which engine; ``device`` says in words what computes; ``batch``
    is the number of samples that one call takes, ``None`` where any.
    """

    name: str
    version: str
    device: str
    batch: int | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def invoke(self, tensors: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run once: input tensors in, output tensors out (valid until the next call)."""
        ...


@dataclass(frozen=True)
class Engine:
    """One row of the table of engines: its module, and which formats it opens."""

    module: str
    formats: tuple[str, ...]


ENGINES: dict[str, Engine] = {
    "litert": Engine("edgecnn.runtimes.litert", ("tflite",)),
    "onnxruntime": Engine("edgecnn.runtimes.onnxruntime", ("onnx",)),
    "opencv_dnn": Engine("edgecnn.runtimes.opencv_dnn", ("onnx",)),
    "keras": Engine("edgecnn.runtimes.keras_reference", ("keras", "h5")),
}


#: Engines start as many as they are told, and crash when the system has no more.
MOST_THREADS = 256


def engines_for(artifact: Artifact) -> list[str]:
    """Return the names of the engines that open a format, the default one first."""
    return [name for name, engine in ENGINES.items() if artifact.format in engine.formats]


def import_engine(name: str) -> None:
    """Import what an engine needs, without opening a model.

    Raises:
        InputError: no such engine.
        MissingDependency: it is not installed.
    """
    if name not in ENGINES:
        raise unknown("runtime", name, ENGINES)
    import_module(ENGINES[name].module).import_engine()


def facts_of(runtime: Runtime, artifact: Artifact) -> ModelFacts:
    """Return what a model tells about its input and output: a Keras file to its runtime, others by their tensors.

    Raises:
        InputError: it does not take one picture.
    """
    told: ModelFacts | None = getattr(runtime, "facts", None)  # only Keras sees inside a Keras file
    return artifact.facts() if told is None else told


def open_runtime(artifact: Artifact, engine: str | None = None, *, threads: int = 1, trust: bool = False) -> Runtime:
    """Open a model file in an engine.

    Args:
        artifact: the file.
        engine: a name of :data:`ENGINES`; the format's own engine when ``None``.
        threads: that the engine may use, from 1.
        trust: let a Keras file run code of its own (Lambda layers). Never for files of others.

    Raises:
        InputError: unknown engine, or one that does not open this format.
        MissingDependency: the engine is not installed.
        EngineError: the engine refuses the file.
    """
    names = engines_for(artifact)
    chosen = engine or names[0]
    if chosen not in ENGINES:
        raise unknown("runtime", chosen, ENGINES)
    if chosen not in names:
        raise InputError(f"runtime {chosen!r} does not open .{artifact.format} files", f"use {' or '.join(names)}")
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(
            f"threads must be 1 to {MOST_THREADS}, not {threads}", "1 is the default; more than cores is slower"
        )
    opened: Runtime = import_module(ENGINES[chosen].module).open_model(artifact, threads=threads, trust=trust)
    return opened
