"""Who computes each operator, and for how long: asked of the real engines, beside files made to be refused."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.artifact import Artifact, open_artifact
from edgecnn.errors import EngineError, InputError
from edgecnn.formats.onnx import read_graph
from edgecnn.runtimes import litert_operators, onnxruntime_operators
from edgecnn.runtimes.litert import import_engine
from edgecnn.runtimes.litert_pieces import SplitFile, split
from edgecnn.runtimes.operators import Operators, operators_of, time_operators
from edgecnn.vision.preprocess import Preprocessor
from tests.conftest import GOLDEN
from tests.golden.make import pictures
from tests.runtimes.onnx_files import SHAPE, qdq_conv
from tests.runtimes.tflite_files import CHANNELS, SIDE, Builder, swish_net

TFLITE = sorted(path.name for path in GOLDEN.glob("tiny_*.tflite"))
ONNX = sorted(path.name for path in GOLDEN.glob("tiny_*.onnx"))


def one_call(call: Callable[[], object]) -> int:
    call()
    return 1000


def feed(artifact: Artifact) -> np.ndarray:
    return Preprocessor(artifact.require_spec().input, artifact.inputs[0])(pictures(1, seed=3)[0][0]).copy()


def timed(path: Path, tensor: np.ndarray | None = None, timer: Callable[..., int] = one_call) -> Operators:
    artifact = open_artifact(path)
    fed = feed(artifact) if tensor is None else tensor
    return time_operators(artifact, tensor=fed, runs=4, max_seconds=60, timer=timer)


def random_picture() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(1, SIDE, SIDE, CHANNELS)).astype(np.float32)


# --- LiteRT


def test_the_delegate_takes_a_float_file_whole() -> None:
    found = operators_of(open_artifact(GOLDEN / "tiny_float32.tflite"))
    assert [one.name for one in found.operators][:2] == ["means", "pool"]  # the layers of the Keras model
    assert {one.delegate for one in found.operators} == {found.delegate} == {"XNNPACK"}


@pytest.mark.parametrize("last", [None, "FLOOR_MOD"])
def test_what_the_delegate_cannot_take_is_left(tmp_path: Path, last: str | None) -> None:
    found = operators_of(open_artifact(swish_net(tmp_path / "net.tflite", last=last)))
    assert [one.op for one in found.operators if one.delegate is None] == ([last] if last else [])
    assert [one.op for one in found.operators if one.delegate] == ["PAD", "CONV_2D", "LOGISTIC", "MUL"]


def test_the_delegate_takes_no_int16_file() -> None:
    found = operators_of(open_artifact(GOLDEN / "tiny_int16x8.tflite"))
    assert [one.delegate for one in found.operators] == [None] * 6


def test_without_the_delegate_nothing_was_taken(tmp_path: Path) -> None:
    """Negative control: the same graph in an interpreter that was told to have none."""
    path = swish_net(tmp_path / "net.tflite")
    interpreter_class, _ = import_engine()
    resolvers = import_module(interpreter_class.__module__).OpResolverType
    taken = []
    for resolver in (resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES, resolvers.AUTO):
        interpreter = interpreter_class(model_path=str(path), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        taken.append(litert_operators.taken_by_delegate(interpreter._get_ops_details()))
    assert taken == [set(), {0, 1, 2, 3}]


def test_parts_on_both_sides_of_an_operator() -> None:
    """Two parts of a graph, and one operator between them that neither part holds."""
    nodes = [
        {"op_name": "CONV_2D", "inputs": [0, 10, -1], "outputs": [1]},
        {"op_name": "ADD", "inputs": [1, 0], "outputs": [2]},
        {"op_name": "FLOOR_MOD", "inputs": [2, 1], "outputs": [3]},
        {"op_name": "MUL", "inputs": [3, 2], "outputs": [4]},
        {"op_name": "DELEGATE", "inputs": [0, 10], "outputs": [1, 2]},
        {"op_name": "DELEGATE", "inputs": [2, 3], "outputs": [4]},
    ]
    assert litert_operators.taken_by_delegate(nodes) == {0, 1, 3}
    assert litert_operators.taken_by_delegate(nodes[:4]) == set()
    assert litert_operators.taken_by_delegate([*nodes[:4], nodes[5]]) == {3}


@pytest.mark.parametrize("name", TFLITE)
def test_one_by_one_the_operators_give_the_models_output(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not nearly: the same kernels on the same values give the same bits."""
    monkeypatch.setattr(litert_operators, "_TOLERANCE", 0.0)
    found = timed(GOLDEN / name)
    assert found.calls == 4
    assert not [note for note in found.notes if "doubt" in note]
    assert {one.op for one in found.operators if one.time_ns is None} <= {"DEQUANTIZE"}  # of weights


def test_another_output_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: where the second operator ran as the first one, the output is another."""
    net = Builder()
    path = net.save(tmp_path / "net.tflite", net.elementwise("TANH", net.elementwise("LOGISTIC", net.input)))

    def mistaken(content: bytes, *rest: Any) -> SplitFile:
        copy = split(content, *rest)
        first, second = copy.pieces
        return replace(copy, pieces=(first, replace(second, graph=first.graph)))

    assert not [note for note in timed(path, random_picture()).notes if "doubt" in note]
    monkeypatch.setattr(litert_operators, "split", mistaken)
    assert "another output, off by" in timed(path, random_picture()).notes[-1]


def test_pieces_that_cannot_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(content: bytes, *rest: Any) -> SplitFile:
        copy = split(content, *rest)
        return replace(copy, pieces=copy.pieces[1:])

    monkeypatch.setattr(litert_operators, "split", lacking)
    found = timed(GOLDEN / "tiny_float32.tflite")
    assert "could not be timed: an operator reads a tensor that none before it has made" in found.notes[0]
    assert [one.time_ns for one in found.operators] == [None] * 4


def test_differences_are_shares_of_the_span() -> None:
    difference = litert_operators._difference
    assert difference(np.array([0.0, 1.0]), np.array([0.0, 0.5])) == 1.0
    assert difference(np.array([3, 13], np.int8), np.array([3, 23], np.int8)) == 0.5
    assert difference(np.zeros(3, np.int8), np.zeros(3, np.int8)) == 0.0
    assert difference(np.ones(2), np.zeros(2)) == 1.0
    assert difference(None, np.zeros(3)) == difference(np.zeros(2), np.zeros(3)) == float("inf")


@pytest.mark.parametrize("half", [False, True])
def test_merged_operators_have_one_time(tmp_path: Path, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """PAD goes into the convolution, LOGISTIC into MUL, and the unpacking of a kernel has no time at all."""
    monkeypatch.setattr(litert_operators, "_TOLERANCE", 1e-6)
    found = timed(swish_net(tmp_path / "net.tflite", half=half), random_picture())
    assert [one.op for one in found.operators if one.time_ns is not None] == ["CONV_2D", "MUL"]
    assert "merges" in found.notes[1]
    assert len(found.notes) == 2


def test_operators_outside_of_the_delegate_are_not_merged(tmp_path: Path) -> None:
    """Negative control: only the delegate merges; and what two operators read is merged into neither."""
    content = swish_net(tmp_path / "net.tflite").read_bytes()
    schema = import_module("ai_edge_litert.schema_py_generated")
    ops = ["PAD", "CONV_2D", "LOGISTIC", "MUL"]
    assert [one.operator for one in split(content, schema, ops, {0, 1, 2, 3}).pieces] == [1, 3]
    assert [one.operator for one in split(content, schema, ops, {1, 2, 3}).pieces] == [0, 1, 3]
    assert [one.operator for one in split(content, schema, ops, ()).pieces] == [0, 1, 2, 3]
    net = Builder()
    logistic = net.elementwise("LOGISTIC", net.input)
    product = net.elementwise("MUL", net.input, logistic)
    path = net.save(tmp_path / "two.tflite", net.elementwise("MUL", product, logistic))
    pieces = split(path.read_bytes(), schema, ["LOGISTIC", "MUL", "MUL"], {0, 1, 2}).pieces
    assert [one.operator for one in pieces] == [0, 1, 2]


def test_a_time_is_the_timers_less_an_empty_call(tmp_path: Path) -> None:
    """A round is the whole model, an empty graph, then each operator: the times come back to where they belong."""
    durations = itertools.cycle([900, 100, 400, 350])

    def timer(call: Callable[[], object]) -> int:
        call()
        return next(durations)

    found = timed(swish_net(tmp_path / "net.tflite"), random_picture(), timer)
    assert found.whole_ns == 900
    assert {one.op: one.time_ns for one in found.operators} == {
        "PAD": None, "CONV_2D": 300, "LOGISTIC": None, "MUL": 250,
    }  # fmt: skip


def test_without_a_schema_only_the_placement_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tflite-runtime, which brings none."""

    def missing() -> None:
        raise ImportError("no schema")

    monkeypatch.setattr(litert_operators, "_schema", missing)
    found = timed(GOLDEN / "tiny_int8.tflite")
    assert [one.delegate for one in found.operators] == ["XNNPACK", "XNNPACK", "XNNPACK", None]
    assert found.calls == 0
    assert found.whole_ns is None
    assert "pip install" in found.notes[0]


def test_names_from_a_file_can_be_shown(tmp_path: Path) -> None:
    net = Builder()
    inner = net.operator("LOGISTIC", "\x1b[31mred", [net.input], (1, SIDE, SIDE, CHANNELS))
    path = net.save(tmp_path / "net.tflite", net.elementwise("TANH", inner))
    assert [one.name for one in operators_of(open_artifact(path)).operators] == ["?[31mred", "tanh"]


# --- ONNX Runtime


@pytest.mark.parametrize(
    ("requantized", "integer_weights", "unfused"),
    [(True, True, []), (False, True, ["conv"]), (False, False, []), (True, False, [])],
)
@pytest.mark.parametrize("named", [True, False])
def test_an_unfused_convolution_is_found(
    tmp_path: Path, requantized: bool, integer_weights: bool, unfused: list[str], named: bool
) -> None:
    """Of four files, one wants integers and gets float: not the float layer between quantized ones."""
    path = qdq_conv(tmp_path / "net.onnx", requantized=requantized, integer_weights=integer_weights, named=named)
    placed = operators_of(open_artifact(path))
    found = timed(path, np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    for operators in (placed.operators, found.operators):
        names = [one.name for one in operators if one.unfused]
        assert len(names) == len(unfused)
        assert not named or names == unfused
    assert any(one.op == "QLinearConv" for one in found.operators) is requantized


@pytest.mark.parametrize("name", ONNX)
def test_of_the_recipes_only_int16_stays_in_float(name: str) -> None:
    found = operators_of(open_artifact(GOLDEN / name))
    assert [one.name for one in found.operators if one.unfused] == (["means"] if name == "tiny_int16x8.onnx" else [])
    assert {one.delegate for one in found.operators} == {found.delegate}


@pytest.mark.parametrize("name", ONNX)
def test_the_profile_tells_every_operator_of_the_optimized_graph(name: str) -> None:
    placed, found = operators_of(open_artifact(GOLDEN / name)), timed(GOLDEN / name)
    assert [one.op for one in found.operators] == [one.op for one in placed.operators]
    assert [one.name for one in found.operators] == [one.name for one in placed.operators]
    assert found.calls == 4
    assert all(one.time_ns is not None for one in found.operators)
    assert any(one.name.startswith("means") for one in found.operators)


def test_no_file_stays_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    timed(GOLDEN / "tiny_int8.onnx")
    operators_of(open_artifact(GOLDEN / "tiny_int8.onnx"))
    assert list(tmp_path.iterdir()) == []


def event(name: str, op: str, took_us: int, index: str = "0") -> dict[str, object]:
    arguments = {"op_name": op, "provider": "CPUExecutionProvider", "node_index": index}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": took_us, "args": arguments}


def test_the_profilers_own_cost_is_taken_off(tmp_path: Path) -> None:
    """Three operators of 12, 4 and 2 us make 18 where a call without the profiler takes 12: 2 us each are its own."""
    run = [event("a", "Conv", 12), event("b", "Conv", 4, "1"), event("c", "Relu", 2, "2")]
    whole = {"cat": "Session", "name": "model_run", "dur": 30}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([*run, whole] * 3))
    calls = onnxruntime_operators._read_profile(path)
    assert len(calls) == 3
    told = onnxruntime_operators._told(Operators("CPUExecutionProvider", ()), calls, 12_000.0)
    assert [(one.name, one.time_ns) for one in told.operators] == [("a", 10_000), ("b", 2_000), ("c", 0)]
    assert "a call took 30 us with it, 12 us without; 2.0 us of its own" in told.notes[0]
    exact = onnxruntime_operators._told(Operators("CPUExecutionProvider", ()), calls, 20_000.0)
    assert [one.time_ns for one in exact.operators] == [12_000, 4_000, 2_000]


def test_bodies_of_loops_are_counted_once(tmp_path: Path) -> None:
    run = [event("body", "Conv", 5, "7"), event("body", "Conv", 5, "7"), event("loop", "Loop", 11)]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([*run, {"cat": "Session", "name": "model_run", "dur": 12}]))
    (call,) = onnxruntime_operators._read_profile(path)
    assert [(key[1], one.took_us) for key, one in call.events.items()] == [("body", 10)]


@pytest.mark.parametrize("text", ["", "[", '[{"name": "x"}]', '[{"cat": "Node", "name": "a_kernel_time", "args": {}}]'])
def test_a_profile_of_another_form_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(EngineError, match="profile cannot be read"):
        onnxruntime_operators._read_profile(path)


def test_midmean() -> None:
    assert onnxruntime_operators.midmean([1, 2, 2, 3, 3, 3, 90, 1000]) == 2.75
    assert onnxruntime_operators.midmean([5]) == 5


# --- both


@pytest.mark.parametrize(("name", "engine"), [("tiny.keras", None), ("tiny_float32.onnx", "opencv_dnn")])
def test_engines_that_tell_nothing(name: str, engine: str | None) -> None:
    with pytest.raises(InputError, match="tells no operators") as caught:
        operators_of(open_artifact(GOLDEN / name), engine)
    assert ("onnxruntime" in caught.value.remedy) == (engine is not None)


def test_a_runtime_of_another_format() -> None:
    with pytest.raises(InputError, match=r"tells no operators of \.onnx files"):
        operators_of(open_artifact(GOLDEN / "tiny_int8.onnx"), "litert")


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx"])
def test_a_file_that_the_engine_refuses(golden: Callable[[str], Path], name: str) -> None:
    artifact = open_artifact(golden(name))
    artifact.path.write_bytes(artifact.path.read_bytes()[:300])
    with pytest.raises(EngineError, match="refuses"):
        operators_of(artifact)


@pytest.mark.parametrize("name", ONNX)
def test_the_graph_is_read_as_onnx_reads_it(name: str) -> None:
    import onnx

    graph, wanted = read_graph(GOLDEN / name), onnx.load(GOLDEN / name).graph
    assert [(n.op, n.name, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.op_type, n.name, tuple(n.input), tuple(n.output)) for n in wanted.node
    ]
    assert graph.constants == {tensor.name for tensor in wanted.initializer}


def test_a_damaged_graph_is_an_error(tmp_path: Path) -> None:
    content = (GOLDEN / "tiny_int8.onnx").read_bytes()
    for damage in (content[:200], content + content, b""):
        (tmp_path / "net.onnx").write_bytes(damage)
        with pytest.raises(InputError, match="no readable ONNX file"):
            read_graph(tmp_path / "net.onnx")
