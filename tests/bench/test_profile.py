"""The profile as data and as people read it, and the profiles of real files in real engines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.bench.profile import CSV_COLUMNS, OperatorTime, Profile, profile_csv, profile_lines, reasons
from edgecnn.bench.profiling import PROFILED, placement, profile
from edgecnn.errors import InputError
from edgecnn.runtimes import ENGINES, engines_for, open_runtime
from edgecnn.vision.preprocess import Preprocessor
from tests.conftest import GOLDEN
from tests.golden.make import pictures
from tests.runtimes.onnx_files import SHAPE, qdq_conv
from tests.runtimes.tflite_files import CHANNELS, SIDE, swish_net

FILES = sorted(path.name for path in GOLDEN.glob("tiny_*") if path.suffix in (".tflite", ".onnx"))


def example(**changes: object) -> Profile:
    operators = (
        OperatorTime("first", "CONV_2D", 9, 600_000.0, 60.0, "XNNPACK"),
        OperatorTime("second", "PAD", 0, None, None, "XNNPACK"),
        OperatorTime("third", "FLOOR_MOD", 9, 300_000.0, 30.0, None),
        OperatorTime("fourth", "MEAN", 9, 100_000.0, 10.0, "XNNPACK"),
    )
    whole = Profile("some/net.tflite", "litert", 1, "XNNPACK", operators, 1_050_000.0, ("measured so",))
    return replace(whole, **changes)  # type: ignore[arg-type]


def real(path: Path, runs: int = 3) -> Profile:
    artifact = open_artifact(path)
    tensor = Preprocessor(artifact.require_spec().input, artifact.inputs[0])(pictures(1, seed=3)[0][0]).copy()
    return profile(artifact, tensor=tensor, runs=runs, max_seconds=300)


# --- as data


def test_what_follows_from_the_operators() -> None:
    made = example()
    assert [one.name for one in made.costliest] == ["first", "third", "fourth"]
    assert [one.name for one in made.delegate_taken] == ["first", "second", "fourth"]
    assert [one.name for one in made.delegate_left] == ["third"]
    assert made.unfused == ()
    assert made.sum_ns == 1_000_000
    assert made.is_timed
    assert made.name == "net.tflite"


def test_a_profile_comes_back_from_its_document() -> None:
    document = json.loads(json.dumps(example().to_dict(), allow_nan=False))
    assert document["delegate_left"] == ["third"]
    assert Profile.from_dict(document) == example()
    for key in ("operators", "delegate", "notes"):
        with pytest.raises(InputError, match="incomplete"):
            Profile.from_dict({name: value for name, value in document.items() if name != key})
    with pytest.raises(InputError, match="incomplete"):
        Profile.from_dict({**document, "operators": [{"name": "first"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""}, {"op": ""}, {"calls": -1}, {"calls": 0}, {"time_ns": None}, {"time_ns": -1.0},
        {"time_ns": math.nan}, {"time_ns": math.inf}, {"share_percent": None}, {"share_percent": 101.0},
        {"share_percent": math.nan}, {"time_ns": None, "share_percent": None},
    ],
)  # fmt: skip
def test_impossible_operators_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="impossible"):
        replace(example().operators[0], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"threads": 0}, {"engine": ""}, {"delegate": ""}, {"whole_ns": -1.0}, {"whole_ns": math.nan}]
)
def test_impossible_profiles_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="impossible"):
        example(**changes)


def test_shares_make_a_whole() -> None:
    with pytest.raises(InputError, match="70 % together"):
        example(operators=example().operators[:1] + example().operators[3:])


# --- as people read it


def test_the_lines_of_a_terminal() -> None:
    lines = profile_lines(example(), most=2)
    assert lines[0] == "operators of net.tflite in litert, 1 thread"
    assert [line.split() for line in lines[4:7]] == [
        ["first", "CONV_2D", "600.0", "60.0", "%", "XNNPACK"],
        ["third", "FLOOR_MOD", "300.0", "30.0", "%", "litert"],
        ["1", "more", "100.0", "10.0", "%"],
    ]
    assert lines[8] == "all operators 1.000 ms, a whole call 1.050 ms"
    assert lines[9] == "XNNPACK did not take 1 of 4 operators (30.0 % of the time): third (FLOOR_MOD)"
    assert lines[10:] == ["note: measured so"]
    assert all(line == line.rstrip() for line in lines)


def test_a_sum_that_is_no_whole_call_is_told() -> None:
    assert "they do not agree" in "\n".join(profile_lines(example(whole_ns=2_000_000.0)))
    assert "they do not agree" not in "\n".join(profile_lines(example()))


def test_long_names_are_shortened_from_the_front() -> None:
    long = replace(example().operators[0], name="module/" * 20 + "conv2d_7")
    lines = profile_lines(example(operators=(long, *example().operators[1:])))
    assert lines[4].startswith("…")
    assert "conv2d_7  CONV_2D" in lines[4]
    assert max(map(len, lines)) < 120


def test_reasons_are_none_where_all_was_taken() -> None:
    taken = tuple(replace(one, delegate="XNNPACK") for one in example().operators)
    assert reasons(example(operators=taken)) == []
    assert "XNNPACK took all of 4 operators" in profile_lines(example(operators=taken))


def test_reasons_name_what_was_not_applied() -> None:
    left = tuple(replace(one, delegate=None) for one in example().operators)
    assert reasons(example(operators=left)) == ["delegate not applied: XNNPACK took none of 4 operators"]
    unfused = (replace(example().operators[0], unfused=True), *example().operators[1:])
    assert reasons(example(operators=unfused))[0] == (
        "QDQ not fused: quantized in the file, computed in float (60.0 % of the time): first (CONV_2D)"
    )


def test_many_names_are_counted() -> None:
    many = tuple(OperatorTime(f"layer{i}", "CONV_2D", 0, None, None, None) for i in range(8))
    (sentence,) = reasons(example(operators=(*many, example().operators[1]), whole_ns=None))
    assert sentence.startswith("XNNPACK did not take 8 of 9 operators: layer0 (CONV_2D), layer1")
    assert sentence.endswith("layer4 (CONV_2D) and 3 more")


def test_csv_has_every_operator_of_every_file() -> None:
    other = example(path="other, with a comma.onnx", engine="onnxruntime")
    rows = list(csv.DictReader(io.StringIO(profile_csv([example(), other]))))
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert [row["file"] for row in rows] == ["some/net.tflite"] * 4 + ["other, with a comma.onnx"] * 4
    assert [row["position"] for row in rows[:4]] == ["0", "1", "2", "3"]
    assert [row["taken"] for row in rows[:4]] == ["True", "True", "False", "True"]
    assert rows[0]["time_ns"] == "600000.0"
    assert (rows[1]["time_ns"], rows[1]["share_percent"], rows[1]["calls"]) == ("", "", "0")
    assert rows[2]["delegate"] == ""
    assert profile_csv([]).splitlines() == [",".join(CSV_COLUMNS)]


# --- of real files


@pytest.mark.parametrize("name", FILES)
def test_every_golden_file_has_a_profile(name: str) -> None:
    found = real(GOLDEN / name)
    assert found.engine == engines_for(open_artifact(GOLDEN / name))[0]
    assert found.is_timed
    assert found.whole_ns is not None
    assert found.whole_ns > 0
    assert math.isclose(sum(one.share_percent or 0 for one in found.operators), 100, abs_tol=1e-6)
    assert {one.calls for one in found.operators} <= {0, 3}
    assert Profile.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    unquantized = placement(open_artifact(GOLDEN / name))
    assert not unquantized.is_timed
    assert [one.name for one in unquantized.operators] == [one.name for one in found.operators]
    assert len(reasons(unquantized)) == len(reasons(found))


def test_the_reasons_of_real_files(tmp_path: Path) -> None:
    """And their absence: each kind of file beside its twin in which the engine has nothing to complain of."""

    def told(path: Path) -> list[str]:
        return reasons(placement(open_artifact(path)))

    assert told(swish_net(tmp_path / "taken.tflite")) == []
    assert told(swish_net(tmp_path / "left.tflite", last="FLOOR_MOD")) == [
        "XNNPACK did not take 1 of 5 operators: floor_mod (FLOOR_MOD)"
    ]
    assert told(GOLDEN / "tiny_int16x8.tflite") == ["delegate not applied: XNNPACK took none of 6 operators"]
    assert told(qdq_conv(tmp_path / "fused.onnx")) == []
    assert told(qdq_conv(tmp_path / "unfused.onnx", requantized=False)) == [
        "QDQ not fused: quantized in the file, computed in float: conv (FusedConv)"
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_asked_for(tmp_path: Path, threads: int) -> None:
    artifact = open_artifact(swish_net(tmp_path / "net.tflite"))
    tensor = np.zeros((1, SIDE, SIDE, CHANNELS), np.float32)
    found = profile(artifact, tensor=tensor, runs=2, threads=threads)
    assert found.threads == threads
    assert f"{threads} thread" in profile_lines(found)[0]


def test_a_profile_leaves_an_opened_model_as_it_was(golden: Callable[[str], Path]) -> None:
    """The worker has the file open while it is profiled: the same answer before and after."""
    for name in ("tiny_int8.tflite", "tiny_int8.onnx"):
        artifact = open_artifact(golden(name))
        content = artifact.path.read_bytes()
        runtime = open_runtime(artifact)
        tensor = Preprocessor(artifact.require_spec().input, artifact.inputs[0])(pictures(1, seed=3)[0][0]).copy()
        before = runtime.invoke([tensor])[0].copy()
        profile(artifact, tensor=tensor, runs=2)
        assert np.array_equal(runtime.invoke([tensor])[0], before)
        assert artifact.path.read_bytes() == content
        assert [path.name for path in artifact.path.parent.iterdir() if name in path.name] == [name]


def test_time_ends_a_profile(tmp_path: Path) -> None:
    artifact = open_artifact(qdq_conv(tmp_path / "net.onnx"))
    found = profile(artifact, tensor=np.zeros(SHAPE, np.float32), runs=10**6, max_seconds=1e-6)
    assert {one.calls for one in found.operators} == {1}


@pytest.mark.parametrize(("runs", "max_seconds"), [(0, 1.0), (5, 0.0), (5, math.nan)])
def test_impossible_counts(runs: int, max_seconds: float) -> None:
    artifact = open_artifact(GOLDEN / "tiny_int8.onnx")
    with pytest.raises(InputError, match="cannot profile"):
        profile(artifact, tensor=np.zeros((1, 8, 8, 3), np.uint8), runs=runs, max_seconds=max_seconds)


def test_the_engines_that_tell_are_engines() -> None:
    assert set(PROFILED) <= set(ENGINES)
    with pytest.raises(InputError, match="tells no operators"):
        placement(open_artifact(GOLDEN / "tiny.keras"))
