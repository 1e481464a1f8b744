"""Real engines on the golden models, each in its worker."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgecnn import formats
from edgecnn.artifact import contract_document, open_artifact
from edgecnn.bench import HostState, Protocol, rounds
from edgecnn.bench.process import run_worker
from edgecnn.bench.results import STAGES
from edgecnn.bench.runner import benchmark, model_files, plan
from edgecnn.errors import InputError
from edgecnn.spec import Head, ModelSpec
from tests.golden.make import save_data

QUICK = Protocol(rounds=3, runs=40, warmup=2, max_seconds=1, timeout_s=120, limit=60)
ONE_ROUND = replace(QUICK, rounds=1)
Golden = Callable[[str], Path]


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(save_data(tmp_path / "stripes.npz", 60))


def test_files_stand_beside_the_float_reference(golden: Golden, tmp_path: Path, data: str) -> None:
    folder = tmp_path / "out"
    (folder / "rejected").mkdir(parents=True)
    for name in ("tiny_float32.tflite", "tiny_int8.tflite", "tiny_float32.onnx"):
        shutil.move(golden(name), folder / name)
    shutil.copy(folder / "tiny_int8.tflite", folder / "rejected" / "tiny_bad.tflite")
    reference = golden("tiny.keras")
    report = benchmark([folder], protocol=QUICK, reference=reference, data=data)

    assert not report.failed, [row.reason for row in report.failed]
    assert [row.name for row in report.results] == ["tiny_float32.tflite", "tiny_int8.tflite", "tiny_float32.onnx"]
    assert [row.runtime for row in report.results] == ["litert", "litert", "onnxruntime"]
    assert report.pictures == 60
    assert report.reference is not None
    assert report.reference.threads is None  # Keras' backend chooses
    assert report.reference.device
    assert report.reference.agreement is None
    for row in report.results:
        assert [taken.number for taken in row.rounds] == [0, 1, 2]
        assert all(taken.state_before and taken.state_after for taken in row.rounds)
        assert all(taken.latency["invoke"].count == 40 for taken in row.rounds)
        assert all(taken.warmup.calls >= 2 for taken in row.rounds)
        assert row.p50_ms is not None
        assert row.invoke is not None
        assert row.invoke.percentile_ms(99) is None
        assert any("p99 not told" in text for text in row.warnings)
        assert set(row.latency) == set(STAGES)
        assert row.latency["end_to_end"].median_ms > row.latency["invoke"].median_ms
        assert row.agreement is not None
        assert row.agreement >= 95
        assert row.accuracy is not None
        assert row.memory is not None
        assert 0 < row.memory.model_rss_bytes < row.memory.peak_rss_bytes
    assert report.results[0].agreement == 100.0
    assert report.results[0].max_drift is not None
    assert report.results[0].max_drift < 1e-3
    (verdict,) = (found for found in report.verdicts() if found["against"].endswith(".tflite"))
    assert [Path(found["against"]).name for found in report.verdicts()].count("tiny.keras") == 3
    assert verdict["path"].endswith("tiny_int8.tflite")
    assert verdict["against"].endswith("tiny_float32.tflite")
    assert verdict["word"] in ("faster", "slower", "no difference shown")
    assert report.reference.pictures_per_s is not None
    assert report.reference.rounds[0].throughput is not None  # Keras takes any number of pictures
    assert report.reference.rounds[0].throughput.batch == 32
    assert report.results[0].rounds[0].throughput is None  # this file takes one
    assert report.results[0].memory is not None
    assert report.results[0].memory.tensor_bytes


def test_labels_off_by_one_show_in_accuracy_and_in_a_warning(golden: Golden, data: str) -> None:
    """Negative control: figures that ignore the contract would not notice."""
    right, wrong = golden("tiny_float32.tflite"), golden("tiny_float32.onnx")
    spec = open_artifact(wrong).require_spec()
    formats.embed(wrong, "onnx", contract_document(replace(spec, labels=("green", "blue", "red")), None, {}))
    report = benchmark([wrong], protocol=ONE_ROUND, reference=right, data=data)
    assert report.reference is not None
    assert report.reference.accuracy is not None
    assert report.reference.accuracy > 90
    assert report.results[0].accuracy is not None
    assert report.results[0].accuracy < 10
    assert "its labels are not those of the reference" in report.results[0].warnings


def test_without_data_only_time_and_memory_are_told(golden: Golden) -> None:
    (row,) = benchmark([golden("tiny_int8.tflite")], protocol=ONE_ROUND).results
    assert row.ok
    assert (row.accuracy, row.agreement, row.max_drift) == (None, None, None)


def test_a_file_of_others_needs_to_be_told_its_contract(golden: Golden, tmp_path: Path, data: str) -> None:
    bare = tmp_path / "theirs.tflite"
    bare.write_bytes(golden("tiny_float32.tflite").read_bytes())
    formats.embed(bare, "tflite", {"provenance": {}})
    (row,) = benchmark([bare], protocol=ONE_ROUND, data=data).results
    assert row.status == "failed"
    assert "--spec FILE" in str(row.reason)
    told = {"input": {"scale": "1/255", "color": "rgb"}, "head": {"kind": "probabilities"}}
    (row,) = benchmark([bare], protocol=ONE_ROUND, data=data, told=told).results
    assert row.ok, row.reason
    assert row.accuracy is not None
    assert row.accuracy > 90


def test_other_classes_than_the_models_fail_the_row(golden: Golden, tmp_path: Path) -> None:
    data = tmp_path / "other.npz"
    np.savez(data, x_test=np.zeros((9, 8, 8, 3), np.uint8), y_test=np.arange(9))
    (row,) = benchmark([golden("tiny_int8.tflite")], protocol=ONE_ROUND, data=str(data)).results
    assert row.status == "failed"
    assert "9 classes" in str(row.reason)
    assert row.invoke is None  # found out before it was timed
    told = {"labels": ["a", "b", "c"]}
    (row,) = benchmark([golden("tiny_int8.tflite")], protocol=ONE_ROUND, data=str(data), told=told).results
    assert "9 classes" in str(row.reason)
    assert row.invoke is None


def test_another_model_than_the_reference_fails_its_row(golden: Golden, tmp_path: Path) -> None:
    binary = tmp_path / "binary.keras"
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.save(binary)
    image = open_artifact(golden("tiny.keras")).require_spec().input
    spec = ModelSpec("binary", "classify", image, Head("probabilities"), ("no", "yes"))
    formats.embed(binary, "keras", contract_document(spec, None, {}))
    report = benchmark([golden("tiny_int8.tflite")], protocol=ONE_ROUND, reference=binary)
    (row,) = report.results
    assert (row.status, row.invoke) == ("failed", None)
    assert row.reason == "it has 3 classes, the reference has 2 (compare files of one model)"


def test_a_lambda_layer_runs_only_in_files_that_are_trusted(golden: Golden) -> None:
    model = keras.saving.load_model(golden("tiny.keras"))
    image = keras.Input((8, 8, 3))
    path = golden("tiny.keras")
    spec = open_artifact(path).require_spec()
    keras.Model(image, model(keras.layers.Lambda(lambda values: values * 1.0)(image))).save(path)
    formats.embed(path, "keras", contract_document(spec, None, {}))
    (refused,) = benchmark([path], protocol=ONE_ROUND).results
    assert (refused.status, refused.invoke) == ("failed", None)
    assert "--trust" in str(refused.reason)
    (row,) = benchmark([path], protocol=replace(ONE_ROUND, trust=True)).results
    assert row.ok, row.reason


def test_damaged_files_are_rows(golden: Golden, tmp_path: Path) -> None:
    cut = golden("tiny_float32.tflite")
    cut.write_bytes(cut.read_bytes()[:200])
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "words.tflite").write_text("no model at all")
    rows = benchmark([cut, tmp_path / "empty.onnx", tmp_path / "words.tflite"], protocol=ONE_ROUND).results
    assert [row.status for row in rows] == ["failed"] * 3
    assert all(row.reason and "\n" not in row.reason for row in rows)


def test_engines_are_chosen_by_format_and_name(golden: Golden) -> None:
    files = [golden("tiny_float32.tflite"), golden("tiny_float32.onnx")]

    def chosen(*names: str) -> list[tuple[str, str | None]]:
        return [(job.path.suffix, job.runtime) for job in plan(files, names)]

    assert chosen() == [(".tflite", "litert"), (".onnx", "onnxruntime")]
    assert chosen("all") == [(".tflite", "litert"), (".onnx", "onnxruntime"), (".onnx", "opencv_dnn")]
    assert chosen("opencv_dnn") == [(".tflite", None), (".onnx", "opencv_dnn")]
    assert "opencv_dnn cannot open .tflite files" in str(plan(files, ["opencv_dnn"])[0].refusal)
    twice = plan(files[:1], threads=(1, 2))
    assert [(job.runtime, job.threads) for job in twice] == [("litert", 1), ("litert", 2)]
    assert [job.threads for job in plan([golden("tiny.keras")], threads=(1, 2))] == [1]  # it chooses its own
    with pytest.raises(InputError, match="did you mean 'onnxruntime'"):
        plan(files, ["onnxruntim"])


def test_paths_that_name_nothing_are_refused(golden: Golden, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for paths in (["absent.tflite"], [tmp_path / "bare"]):
        with pytest.raises(InputError):
            model_files(paths)
    with pytest.raises(InputError, match="is no file"):
        benchmark([golden("tiny_int8.tflite")], reference=tmp_path)


def test_the_reference_is_not_measured_twice(golden: Golden) -> None:
    model = golden("tiny_float32.tflite")
    report = benchmark([model, golden("tiny_int8.tflite")], protocol=ONE_ROUND, reference=model)
    assert [row.name for row in report.rows] == ["tiny_float32.tflite", "tiny_int8.tflite"]


def test_each_round_goes_through_the_files_in_another_order(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [Path(shutil.copy(golden("tiny_int8.tflite"), tmp_path / f"{name}.tflite")) for name in "abc"]
    asked: list[str] = []

    def spy(request: Mapping[str, Any], *rest: Any) -> Any:
        asked.append(Path(request["path"]).stem)
        return run_worker(request, *rest)

    monkeypatch.setattr(rounds, "run_worker", spy)
    benchmark(files, protocol=replace(QUICK, runs=5), reference=golden("tiny_float32.onnx"))
    orders = ["".join(asked[start + 1 : start + 4]) for start in (0, 4, 8)]
    assert asked[::4] == ["tiny_float32"] * 3  # the reference first: the others need its answers
    assert [sorted(order) for order in orders] == [list("abc")] * 3
    assert len(set(orders)) == 3


def test_a_busy_machine_taints_rounds_and_they_are_repeated(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()
    busy_until = 6  # readings: two a round, so that the first three rounds are tainted

    def state() -> HostState:
        reading = next(readings)
        others_s = 1e6 * min(reading, busy_until)
        return HostState(0.1, None, None, None, busy_s=others_s, clock_s=float(reading))

    monkeypatch.setattr(rounds, "read_state", state)
    (row,) = benchmark([golden("tiny_int8.tflite")], protocol=replace(QUICK, until_clean=True)).results
    assert [bool(taken.taints) for taken in row.rounds] == [True] * 3 + [False] * 3
    assert [taken.number for taken in row.trusted_rounds] == [3, 4, 5]
    assert any(text.startswith("3 rounds tainted and left out: others") for text in row.warnings)
    readings = itertools.count()
    (row,) = benchmark([golden("tiny_int8.tflite")], protocol=QUICK).results
    assert [bool(taken.taints) for taken in row.rounds] == [True] * 3  # negative control: not asked to repeat
    assert len(row.trusted_rounds) == 3


def test_importing_bench_needs_no_engine() -> None:
    heavy = ("ai_edge_litert", "onnxruntime", "cv2", "keras", "tensorflow", "matplotlib", "scipy", "pandas")
    script = (
        "import sys, edgecnn.bench.runner, edgecnn.bench.worker, edgecnn.bench.tables, edgecnn.cli.bench\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
