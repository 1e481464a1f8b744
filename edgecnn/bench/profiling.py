"""Profiles of model files, taken with the one timing loop. Not for a process whose times are still to be measured.

This module must not know tables or an engine's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.bench.profile import OperatorTime, Profile
from edgecnn.bench.timing import measure
from edgecnn.errors import InputError
from edgecnn.runtimes import engines_for
from edgecnn.runtimes.operators import PROFILED, Operators, operators_of, time_operators

__all__ = ["PROFILED", "placement", "profile"]

DEFAULT_RUNS = 100
DEFAULT_MAX_SECONDS = 10.0


def profile(
    artifact: Artifact,
    *,
    runtime: str | None = None,
    threads: int = 1,
    tensor: npt.NDArray[Any],
    runs: int = DEFAULT_RUNS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> Profile:
    """Return which operators a file has in its engine, who computes each, and what each takes of a call.

    Opens the file anew, up to three times, and needs about as much memory as two of it. Where the
    operators cannot be timed, they have no times and a note says why.

    Args:
        artifact: the file.
        runtime: one of :data:`PROFILED`; the format's own engine when ``None``.
        threads: that the engine may use.
        tensor: what the model is fed, as its runtime takes it.
        runs: calls of the model behind each time, from 1.
        max_seconds: after it the calls end with fewer.

    Raises:
        InputError: the engine tells no operators, or a count is impossible.
        MissingDependency: the engine is not installed.
        EngineError: it refuses the file.
    """
    if runs < 1 or not max_seconds > 0:
        raise InputError(f"cannot profile {runs} runs in {max_seconds} s", "runs and seconds must be positive")
    found = time_operators(
        artifact, runtime, threads=threads, tensor=tensor, runs=runs, max_seconds=max_seconds, timer=_one_call
    )
    return _profile(artifact, runtime, threads, found)


def placement(artifact: Artifact, *, runtime: str | None = None, threads: int = 1) -> Profile:
    """Return the profile of a file without times: opening it tells who will compute each operator.

    Args:
        artifact, runtime, threads: as :func:`profile` has them.

    Raises:
        InputError, MissingDependency, EngineError: as :func:`profile`.
    """
    return _profile(artifact, runtime, threads, operators_of(artifact, runtime, threads=threads))


def _one_call(call: Callable[[], object]) -> int:
    return measure(call, warmup=0, runs=1, max_seconds=60.0, warmup_seconds=0.0).nanoseconds[0]


def _profile(artifact: Artifact, runtime: str | None, threads: int, found: Operators) -> Profile:
    sum_ns = sum(one.time_ns or 0.0 for one in found.operators)
    return Profile(
        path=str(artifact.path),
        engine=runtime or engines_for(artifact)[0],
        threads=threads,
        delegate=found.delegate,
        operators=tuple(
            OperatorTime(
                name=one.name,
                op=one.op,
                calls=0 if one.time_ns is None else found.calls,
                time_ns=one.time_ns,
                share_percent=None if one.time_ns is None else 100 * one.time_ns / sum_ns if sum_ns else 0.0,
                delegate=one.delegate,
                unfused=one.unfused,
            )
            for one in found.operators
        ),
        whole_ns=found.whole_ns,
        notes=found.notes,
    )
