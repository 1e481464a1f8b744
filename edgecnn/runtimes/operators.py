"""The operators of a model file as its engine runs them: which part of the engine computes each, and for how long.

For finding where the time goes; what is measured for a result never runs this way. This module must
not know tables, shares, or how a duration is sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError
from edgecnn.runtimes import ENGINES, engines_for

#: Runs what it is given once and returns for how long, in nanoseconds.
Timer = Callable[[Callable[[], object]], int]

#: Engine -> module with its ``operators_of`` and ``time_operators``.
_MODULES = {
    "litert": "edgecnn.runtimes.litert_operators",
    "onnxruntime": "edgecnn.runtimes.onnxruntime_operators",
}
#: Engines that tell their operators.
PROFILED = tuple(_MODULES)


@dataclass(frozen=True)
class Operator:
    """One operator of a file, as it was opened by an engine.

    Args:
        name: of the layer or tensor that it makes.
        op: its kind, in the engine's words.
        delegate: the part of the engine that computes it; ``None`` where that is the plain interpreter.
        unfused: the file has it between QuantizeLinear and DequantizeLinear, to be computed in
            integers, and the engine computes it in float.
        time_ns: what it takes of one call, in nanoseconds; ``None`` where it was not timed.
    """

    name: str
    op: str
    delegate: str | None
    unfused: bool = False
    time_ns: float | None = None


@dataclass(frozen=True)
class Operators:
    """All operators of a file, in the order in which they run.

    Args:
        delegate: the part of the engine that is to compute them.
        operators: what the file consists of for the engine.
        calls: calls of the model behind each time; 0 where nothing was timed.
        whole_ns: the median of whole calls between those, in nanoseconds.
        notes: how the times came about and what is wrong with them, in plain sentences.
    """

    delegate: str
    operators: tuple[Operator, ...]
    calls: int = 0
    whole_ns: float | None = None
    notes: tuple[str, ...] = ()


class _Module(Protocol):
    def operators_of(self, artifact: Artifact, threads: int) -> Operators: ...

    def time_operators(
        self,
        artifact: Artifact,
        threads: int,
        tensor: npt.NDArray[Any],
        *,
        runs: int,
        max_seconds: float,
        timer: Timer,
    ) -> Operators: ...


def operators_of(artifact: Artifact, engine: str | None = None, *, threads: int = 1) -> Operators:
    """Open a file and tell its operators, without running them.

    Args:
        artifact: the file.
        engine: one of :data:`PROFILED`; the format's own engine when ``None``.
        threads: that the engine may use.

    Raises:
        InputError: the engine does not tell its operators, or does not open this format.
        MissingDependency: it is not installed.
        EngineError: it refuses the file.
    """
    return _module(artifact, engine).operators_of(artifact, threads)


def time_operators(
    artifact: Artifact,
    engine: str | None = None,
    *,
    threads: int = 1,
    tensor: npt.NDArray[Any],
    runs: int,
    max_seconds: float,
    timer: Timer,
) -> Operators:
    """Open a file and tell its operators, with the time of each.

    Args:
        artifact, engine, threads: as :func:`operators_of` has them.
        tensor: what the model is fed, as its runtime takes it.
        runs: calls of the model, from 1; fewer where they take longer than ``max_seconds``.
        max_seconds: as said.
        timer: where this engine does not time its operators itself.

    Raises:
        InputError, MissingDependency, EngineError: as :func:`operators_of`.
    """
    module = _module(artifact, engine)
    return module.time_operators(artifact, threads, tensor, runs=runs, max_seconds=max_seconds, timer=timer)


def _module(artifact: Artifact, engine: str | None) -> _Module:
    names = engines_for(artifact)
    chosen = engine or names[0]
    if chosen not in _MODULES or chosen not in names:
        known = [name for name in _MODULES if artifact.format in ENGINES[name].formats]
        raise InputError(
            f"runtime {chosen!r} tells no operators of .{artifact.format} files",
            f"use {' or '.join(known)}" if known else "profile the exported .tflite or .onnx files",
        )
    module: Any = import_module(_MODULES[chosen])
    return module  # type: ignore[no-any-return]


def shown_name(name: str) -> str:
    """Return a name from a file so that a terminal can show it."""
    return "".join(character if character.isprintable() else "?" for character in name)
