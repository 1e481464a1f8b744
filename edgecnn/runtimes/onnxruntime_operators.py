"""The operators of an ``.onnx`` file after ONNX Runtime's optimizer, and how long each one runs.

The times are those of the engine's own profiler, the graph is the one that it writes when asked for
the optimized model. This module must not know what its figures are used for.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.errors import EngineError
from edgecnn.formats.onnx import Graph, Node, read_graph
from edgecnn.runtimes.onnxruntime import open_model, open_session, session_options
from edgecnn.runtimes.operators import Operator, Operators, Timer, shown_name

#: The only provider that a runtime of edgecnn opens.
_PROVIDER = "CPUExecutionProvider"
_WARMUP_CALLS = 3
#: An event has some 700 bytes of JSON: a profile that a small board can hold.
_MOST_EVENTS = 20_000
_EVENT_SUFFIX = "_kernel_time"
#: What the optimizer adds to the name of a node that it rewrites.
_REWRITTEN = re.compile(r"(_nchwc|_token_\d+)+$")

_OTHER_VERSION = "profile with another version of onnxruntime"

#: Operators that multiply weights in float; their integer twins have other names (QLinearConv, ConvInteger ...).
_FLOAT_KERNELS = {
    "Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul",
}  # fmt: skip
#: Operators that leave the values of their first input what they are, or clip them.
_PASSING = {
    "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Pad", "MaxPool", "Relu", "Clip",
    "ReorderInput", "ReorderOutput",
}  # fmt: skip
#: Their time contains that of the operators in their bodies, which are told too.
_CONTROL = {"If", "Loop", "Scan"}


def operators_of(artifact: Artifact, threads: int) -> Operators:
    """Open a file as its runtime does and tell what the optimizer made of it.

    Raises:
        EngineError: the engine refuses the file.
    """
    with TemporaryDirectory(prefix="edgecnn-profile-") as folder:
        optimized = Path(folder, "optimized.onnx")
        options = session_options(threads)
        options.optimized_model_filepath = str(optimized)
        open_session(artifact, options)
        graph = read_graph(optimized)
    unfused = unfused_nodes(graph, read_graph(artifact.path))
    return Operators(
        _PROVIDER, tuple(Operator(_name(node), node.op, _PROVIDER, node in unfused) for node in graph.nodes)
    )


def _name(node: Node) -> str:
    return shown_name(_layer(node.name) or next(filter(None, node.outputs), "") or node.op)


def _layer(name: str) -> str:
    """Return the name that a node had before the optimizer; ``""`` where it had none."""
    return _REWRITTEN.sub("", name)


def unfused_nodes(optimized: Graph, original: Graph) -> set[Node]:
    """Return the nodes that the file wants computed in integers, and that stayed in float.

    Those multiply, in float, what a DequantizeLinear made of the values of another operator by what one made
    of weights. A float layer between quantized ones has float weights; a file with integer weights only,
    float values: neither is meant.
    """
    makers, made_first = _makers(optimized), _makers(original)
    first = {node.name: node for node in original.nodes if node.name}

    def from_integers(node: Node, place: int, graph: Mapping[str, Node]) -> Node | None:
        tensor = node.inputs[place] if place < len(node.inputs) else ""
        maker = graph.get(tensor)
        while maker is not None and maker.op in _PASSING and maker.inputs:
            maker = graph.get(maker.inputs[0])
        return maker if maker is not None and maker.op == "DequantizeLinear" and maker.inputs else None

    found = set()
    for node in optimized.nodes:
        if node.op in _FLOAT_KERNELS:
            values = from_integers(node, 0, makers)
            before = first.get(_layer(node.name))
            # The optimizer may have made float weights of integer ones already.
            weights = from_integers(node, 1, makers) or (before and from_integers(before, 1, made_first))
            if values is not None and weights and values.inputs[0] not in optimized.constants:
                found.add(node)
    return found


def _makers(graph: Graph) -> dict[str, Node]:
    return {tensor: node for node in graph.nodes for tensor in node.outputs if tensor}


def time_operators(
    artifact: Artifact, threads: int, tensor: npt.NDArray[Any], *, runs: int, max_seconds: float, timer: Timer
) -> Operators:
    """Tell the operators of a file with the time of each, from calls in turns with calls without the profiler.

    Raises:
        EngineError: the engine refuses the file, fails, or writes no profile.
    """
    placed = operators_of(artifact, threads)
    plain, names = open_model(artifact, threads=threads, trust=False), [info.name for info in artifact.inputs]
    runs = min(runs, max(1, _MOST_EVENTS // max(1, len(placed.operators)) - _WARMUP_CALLS))
    wholes_ns: list[int] = []
    with TemporaryDirectory(prefix="edgecnn-profile-") as folder:
        options = session_options(threads)
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder, "profile"))
        session = open_session(artifact, options)
        deadline = time.monotonic() + max_seconds
        for number in range(_WARMUP_CALLS + runs):
            whole_ns = timer(lambda: plain.invoke([tensor]))
            session.run(None, {names[0]: tensor})
            if number >= _WARMUP_CALLS:
                wholes_ns.append(whole_ns)
                if time.monotonic() >= deadline:
                    break
        calls = _read_profile(Path(session.end_profiling()))[-len(wholes_ns) :]
    if not calls:
        raise EngineError("ONNX Runtime's profile holds no call", _OTHER_VERSION)
    return _told(placed, calls, float(median(wholes_ns)))


@dataclass(frozen=True)
class _Event:
    """One node in one call; ``took_us`` is its duration in microseconds."""

    op: str
    provider: str
    took_us: int


@dataclass(frozen=True)
class _Call:
    """One call of the model in the profile; a node goes by its number and its name."""

    whole_us: int
    events: Mapping[tuple[str, str], _Event]


def _read_profile(path: Path) -> list[_Call]:
    """Return the calls of a profile: nodes end before the call that they belong to.

    Raises:
        EngineError: it is not what a profile was so far.
    """
    calls: list[_Call] = []
    events: dict[tuple[str, str], _Event] = {}
    try:
        for event in json.loads(path.read_bytes()):
            if event["name"] == "model_run":
                calls.append(_Call(event["dur"], events))
                events = {}
            elif event["cat"] == "Node" and event["name"].endswith(_EVENT_SUFFIX):
                told = event["args"]
                if told["op_name"] not in _CONTROL:
                    key = told["node_index"], event["name"].removesuffix(_EVENT_SUFFIX)
                    before = events[key].took_us if key in events else 0  # the body of a loop runs more than once
                    events[key] = _Event(told["op_name"], told["provider"], before + event["dur"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"ONNX Runtime's profile cannot be read: {type(error).__name__}: {error}", _OTHER_VERSION
        ) from error
    return calls


def midmean(values: Sequence[float]) -> float:
    """Return the mean of the middle half of the values.

    It is as deaf to outliers as wanted, and sees between the whole microseconds that the profiler counts in
    (Tukey, "Exploratory Data Analysis", 1977).
    """
    ordered = sorted(values)
    cut = len(ordered) // 4
    return fmean(ordered[cut : len(ordered) - cut])


def _told(placed: Operators, calls: Sequence[_Call], whole_ns: float) -> Operators:
    """Return the operators of the profile; what the profiler itself costs is taken off evenly.

    It notes sizes and shapes inside of what it measures: what the sum of the operators exceeds a call
    without it by cannot be the operators'.
    """
    keys = list(dict.fromkeys(key for call in calls for key in call.events))
    taken = {key: [call.events[key] for call in calls if key in call.events] for key in keys}
    raw_ns = {key: 1e3 * midmean([event.took_us for event in events]) for key, events in taken.items()}
    own_ns = max(0.0, (sum(raw_ns.values()) - whole_ns) / max(1, len(raw_ns)))
    named = _named([(key[1], events[0]) for key, events in taken.items()], placed.operators)
    profiled_us = midmean([call.whole_us for call in calls])
    note = f"ONNX Runtime's profiler: a call took {profiled_us:.0f} us with it, {whole_ns / 1e3:.0f} us without"
    if own_ns:
        note += f"; {own_ns / 1e3:.1f} us of its own were taken off each operator"
    return replace(
        placed,
        operators=tuple(
            replace(operator, time_ns=max(0.0, took_ns - own_ns))
            for operator, took_ns in zip(named, raw_ns.values(), strict=True)
        ),
        calls=len(calls),
        whole_ns=whole_ns,
        notes=(note,),
    )


def _named(events: Sequence[tuple[str, _Event]], placed: Sequence[Operator]) -> list[Operator]:
    """Return the operator behind each node of the profile, which knows nodes without a name by a number alone."""
    if [event.op for _, event in events] == [operator.op for operator in placed]:
        return [replace(operator, delegate=event.provider) for operator, (_, event) in zip(placed, events, strict=True)]
    # Bodies of loops are in the profile and not in the main graph: then only names are left.
    unfused = {operator.name for operator in placed if operator.unfused}
    found = []
    for name, event in events:
        layer = shown_name(_layer(name)) or event.op
        found.append(Operator(layer, event.op, event.provider, layer in unfused and event.op in _FLOAT_KERNELS))
    return found
