"""The operators of a ``.tflite`` file: which of them the delegate takes, and how long each one runs.

LiteRT tells Python no times (its C profiler counts whole microseconds, makes a small model three times
as slow and knows no names of layers). So each operator becomes a graph of its own in a copy of the
file, beside the whole graph, in one interpreter: the same engine, kernels and delegate. In each
round all run once in the file's order, each on what the ones before it gave. This module must not
know what its figures are used for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError
from edgecnn.runtimes.litert import import_engine, open_interpreter, refusal
from edgecnn.runtimes.litert_pieces import Piece, SplitFile, present, split
from edgecnn.runtimes.operators import Operator, Operators, Timer, shown_name

#: The one delegate that LiteRT applies by itself on a CPU.
DELEGATE = "XNNPACK"
#: How LiteRT calls the node that stands for what a delegate took.
_DELEGATE_NODE = "DELEGATE"
_WARMUP_ROUNDS = 3
#: Of the span of the output: so near the operators one by one must come to what the whole model gives.
_TOLERANCE = 0.01
_METHOD = "each operator ran as a graph of its own, in turns with the whole model, on what those before it gave"
_MERGED = (
    "an operator without a time is part of the one that reads it: XNNPACK merges the two, or it works on constants"
)


def operators_of(artifact: Artifact, threads: int) -> Operators:
    """Open a file as its runtime does and tell who computes each operator.

    Raises:
        EngineError: the engine refuses the file.
    """
    interpreter = open_interpreter(artifact, threads)
    try:
        names = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
        # Which operators there are is told by no public function; all packages have this one.
        nodes = interpreter._get_ops_details()
    except (ValueError, RuntimeError) as error:
        raise refusal(artifact, error) from error
    taken = taken_by_delegate(nodes)
    operators = []
    for index, node in enumerate(nodes):
        if node["op_name"] != _DELEGATE_NODE:
            name = next((names.get(tensor, "") for tensor in present(node["outputs"])), "")
            delegate = DELEGATE if index in taken else None
            operators.append(Operator(shown_name(name) or node["op_name"], node["op_name"], delegate))
    return Operators(DELEGATE, tuple(operators))


def taken_by_delegate(nodes: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the positions of the operators that stand behind a delegate's nodes.

    The engine lists the file's operators and then, for each part of the graph that a delegate took, one node
    with the edges of that part: what leads from its outputs back to its inputs was taken.
    """
    makers = {
        tensor: index
        for index, node in enumerate(nodes)
        if node["op_name"] != _DELEGATE_NODE
        for tensor in present(node["outputs"])
    }
    taken: set[int] = set()
    for part in nodes:
        if part["op_name"] == _DELEGATE_NODE:
            given = set(present(part["inputs"]))
            waiting = present(part["outputs"])
            while waiting:
                maker = makers.get(waiting.pop())
                if maker is not None and maker not in taken:
                    taken.add(maker)
                    waiting += [tensor for tensor in present(nodes[maker]["inputs"]) if tensor not in given]
    return taken


def time_operators(
    artifact: Artifact, threads: int, tensor: npt.NDArray[Any], *, runs: int, max_seconds: float, timer: Timer
) -> Operators:
    """Tell the operators of a file with the time of each, as the module says.

    Where the file cannot be taken apart, no operator has a time, and the notes say why.

    Raises:
        EngineError: the engine refuses the file.
    """
    found = operators_of(artifact, threads)
    ops = [operator.op for operator in found.operators]
    taken = {index for index, operator in enumerate(found.operators) if operator.delegate}
    try:
        schema = _schema()
    except ImportError:
        return _untimed(found, "this package of LiteRT has no schema: pip install ai-edge-litert")
    try:
        rounds, error = _Pieces(artifact, threads, split(artifact.path.read_bytes(), schema, ops, taken)).run(
            tensor, runs, max_seconds, timer
        )
    except (ValueError, RuntimeError, EngineError) as failure:  # what runs as a whole may refuse to run in parts
        return _untimed(found, str(failure).partition("\n")[0])
    times = _median_times(rounds)
    notes = [_METHOD, *([_MERGED] if len(times) < len(ops) else [])]
    if not error <= _TOLERANCE:
        notes.append(f"one by one the operators gave another output, off by {error:.1%} of its span: doubt the times")
    return replace(
        found,
        operators=tuple(replace(operator, time_ns=times.get(i)) for i, operator in enumerate(found.operators)),
        calls=len(rounds),
        whole_ns=float(median(one.whole_ns for one in rounds)),
        notes=tuple(notes),
    )


def _untimed(found: Operators, why: str) -> Operators:
    return replace(found, notes=(f"the operators could not be timed: {why}",))


def _schema() -> Any:
    """Return the module of TFLite's schema that comes with the installed package."""
    package = import_engine()[0].__module__.rpartition(".")[0]
    return import_module(f"{package}.schema_py_generated")


@dataclass(frozen=True)
class _Round:
    """The durations of one round, in nanoseconds: the whole model, a graph without operators, each piece's operator."""

    whole_ns: int
    none_ns: int
    pieces_ns: Mapping[int, int]


def _median_times(rounds: Sequence[_Round]) -> dict[int, float]:
    """Return the time of each operator that has one, less what a call of a graph without operators takes."""
    own_ns = median(one.none_ns for one in rounds)
    return {
        operator: max(0.0, median(one.pieces_ns[operator] for one in rounds) - own_ns)
        for operator in rounds[0].pieces_ns
    }


class _Pieces:
    """The copy of a file opened, all its graphs allocated.

    Raises:
        EngineError: the engine refuses the copy.
    """

    def __init__(self, artifact: Artifact, threads: int, copy: SplitFile) -> None:
        self._interpreter = open_interpreter(artifact, threads, copy.content)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._pieces, self._empty = copy.pieces, copy.empty
        # Other graphs than the first are reached by signatures alone, which copy every tensor at each call.
        self._graphs = self._interpreter._interpreter
        for graph in (*(piece.graph for piece in self._pieces), self._empty):
            self._graphs.AllocateTensors(graph)

    def run(self, tensor: npt.NDArray[Any], runs: int, max_seconds: float, timer: Timer) -> tuple[list[_Round], float]:
        """Return the rounds after the warm-up, and how far the last one's output was off, as a share of its span."""
        rounds: list[_Round] = []
        values: dict[int, npt.NDArray[Any]] = {}
        deadline = time.monotonic() + max_seconds
        for number in range(_WARMUP_ROUNDS + runs):
            values[self._input] = tensor
            one, wanted = self._round(values, timer)
            if number >= _WARMUP_ROUNDS:
                rounds.append(one)
                if time.monotonic() >= deadline:
                    break
        return rounds, _difference(values.get(self._output), wanted)

    def _round(self, values: dict[int, npt.NDArray[Any]], timer: Timer) -> tuple[_Round, npt.NDArray[Any]]:
        self._graphs.SetTensor(self._input, values[self._input], 0)
        self._graphs.Invoke(0)  # the pieces have filled the caches; a model that runs again and again fills them itself
        whole_ns = timer(partial(self._graphs.Invoke, 0))
        wanted = self._graphs.GetTensor(self._output, 0)
        self._graphs.Invoke(self._empty)
        none_ns = timer(partial(self._graphs.Invoke, self._empty))
        pieces_ns = {piece.operator: self._run_piece(piece, values, timer) for piece in self._pieces}
        return _Round(whole_ns, none_ns, pieces_ns), wanted

    def _run_piece(self, piece: Piece, values: dict[int, npt.NDArray[Any]], timer: Timer) -> int:
        for outer, inner in piece.outputs.items():
            if outer in values:  # in the whole model the memory of an output was used shortly before
                self._graphs.SetTensor(inner, values[outer], piece.graph)
        for outer, inner in piece.inputs.items():
            if outer not in values:
                raise EngineError("an operator reads a tensor that none before it has made")
            self._graphs.SetTensor(inner, values[outer], piece.graph)
        duration_ns = timer(partial(self._graphs.Invoke, piece.graph))
        for outer, inner in piece.outputs.items():
            values[outer] = self._graphs.GetTensor(inner, piece.graph)
        return duration_ns


def _difference(found: npt.NDArray[Any] | None, wanted: npt.NDArray[Any]) -> float:
    """Return the largest difference as a share of the span of what was wanted; infinite for another shape."""
    if found is None or found.shape != wanted.shape:
        return float("inf")
    real, aim = found.astype(np.float64), wanted.astype(np.float64)
    off = float(np.abs(real - aim).max(initial=0.0))
    return off / (float(np.ptp(aim)) or off) if off else off
