"""A file may do anything to its worker: it costs its own row, and no process stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgecnn.bench import BenchmarkResult, Protocol, Report, process, tables
from edgecnn.bench.runner import benchmark
from tests.bench.misbehaving import BOOT, PLANTED_BYTES
from tests.golden.make import save_data

QUICK = Protocol(rounds=1, runs=30, warmup=1, max_seconds=0.2, timeout_s=60)
Golden = Callable[[str], Path]


@pytest.fixture
def named(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Path]]:
    """Return model files of the given names, and let workers open them in the misbehaving engine."""
    monkeypatch.setattr(process, "BOOT", BOOT)
    model = golden("tiny_float32.tflite")
    return lambda *names: [Path(shutil.copy(model, tmp_path / f"{name}.tflite")) for name in names]


def rows_of(paths: list[Path], protocol: Protocol = QUICK, data: Path | None = None) -> list[BenchmarkResult]:
    return list(benchmark(paths, protocol=protocol, data=str(data) if data else None).results)


def test_every_way_to_die_costs_its_own_row(named: Callable[..., list[Path]]) -> None:
    files = named("crash", "killed", "exits", "raises", "refuses", "garbage", "good")
    found = {row.name.removesuffix(".tflite"): row for row in rows_of(files)}
    assert {name: row.status for name, row in found.items()} == {
        "crash": "crashed",
        "killed": "crashed",
        "exits": "failed",
        "raises": "failed",
        "refuses": "failed",
        "garbage": "ok",
        "good": "ok",
    }
    assert "SIGSEGV (segmentation fault)" in str(found["crash"].reason)
    assert "SIGKILL" in str(found["killed"].reason)
    assert found["exits"].reason == "the worker ended with exit code 7 and no result: out of ?[31mluck"
    assert "ZeroDivisionError: a bug in the engine" in str(found["raises"].reason)
    assert found["refuses"].reason == "it does not like this file (give another)"
    for row in found.values():
        assert row.size_bytes == files[0].stat().st_size
        assert (row.invoke is not None) == row.ok
    assert found["good"].runtime_version == "misbehaving 1"


def test_a_hanging_file_is_ended_with_its_children(named: Callable[..., list[Path]], tmp_path: Path) -> None:
    protocol = replace(QUICK, timeout_s=6, rounds=2)
    hung, good = rows_of(named("hang", "good"), protocol)
    assert (len(hung.rounds), len(good.rounds)) == (0, 2)  # what hung once is not waited for again
    assert hung.status == "timeout"
    assert "6 s" in str(hung.reason)
    assert good.ok
    assert_all_ended(tmp_path / "hang.pids")


def test_what_was_timed_outlives_the_evaluation(named: Callable[..., list[Path]], tmp_path: Path) -> None:
    files = named("crash_evaluated", "hang_evaluated", "exits_evaluated", "refuses_evaluated", "good")
    report = benchmark(
        files[1:], protocol=replace(QUICK, timeout_s=6), reference=files[0], data=str(save_data(tmp_path / "data.npz"))
    )
    found = {row.name.partition("_")[0]: row for row in report.rows}
    assert [row.status for row in found.values()] == ["crashed", "timeout", "failed", "failed", "ok"]
    for row in report.failed:
        assert str(row.reason).startswith("during evaluation: ")
        assert row.invoke is not None
        assert row.invoke.count == 30
        assert row.memory is not None
        assert row.accuracy is None
        assert row.runtime_version == "misbehaving 1"
    assert str(found["exits"].reason).endswith("exit code 7: out of ?[31mluck")
    assert found["good.tflite"].accuracy is not None
    assert found["good.tflite"].agreement is None  # the reference gave no answers
    shown = tables.text_table(report)[3]
    assert shown.startswith("crash_")
    assert "±" in shown  # the median
    assert "crashed" in shown  # in place of the accuracy
    restored = Report.from_dict(json.loads(json.dumps(report.to_dict(raw=True))))
    assert restored == report
    assert_all_ended(tmp_path / "hang_evaluated.pids")


def assert_all_ended(pids: Path) -> None:
    for word in pids.read_text().split():
        for _ in range(100):
            if not is_running(int(word)):
                break
            time.sleep(0.1)
        assert not is_running(int(word))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_run(named: Callable[..., list[Path]], tmp_path: Path, blow: signal.Signals) -> None:
    models, out = named("good", "hang", "never"), tmp_path / "out"
    words = ["bench", *map(str, models), "--rounds", "1", "--runs", "30", "--out", str(out)]
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        f"from edgecnn.bench import process; process.BOOT = {BOOT!r}\n"
        f"from edgecnn.cli.main import main; sys.exit(main({words!r}))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # a run ended by SIGKILL cannot remove its folder
    )
    pids = tmp_path / "hang.pids"
    try:
        for _ in range(600):
            if pids.exists() and pids.read_text().count(" "):
                break
            time.sleep(0.1)
        workers = pids.read_text().split()
        assert is_running(int(workers[0]))
        run.send_signal(blow)
        _, said = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(blow, -blow)
    assert b"Traceback" not in said
    if blow == signal.SIGKILL:  # nobody is left to end the engine's own children
        pids.write_text(workers[0])
        os.kill(int(workers[1]), signal.SIGKILL)
    else:
        rows = Report.from_dict(json.loads((out / "results.json").read_text())).results
        assert [row.ok for row in rows] == [True, False, False]
        assert [row.reason for row in rows[1:]] == ["the run was interrupted before its end"] * 2
        assert "interrupted" in (out / "results.md").read_text()
    assert_all_ended(pids)


def test_planted_memory_is_found(named: Callable[..., list[Path]]) -> None:
    good, big = rows_of(named("good", "big"))
    assert good.memory is not None
    assert big.memory is not None
    assert big.memory.model_rss_bytes == pytest.approx(PLANTED_BYTES, rel=0.05)
    assert big.memory.peak_rss_bytes - good.memory.peak_rss_bytes == pytest.approx(PLANTED_BYTES, rel=0.05)


def test_a_planted_leak_is_told_and_a_tight_file_is_not_accused(named: Callable[..., list[Path]]) -> None:
    protocol = replace(QUICK, leak_invokes=20_000)
    leaky, good = rows_of(named("leaks", "good"), protocol)
    assert leaky.leak is not None
    assert leaky.leak.found
    assert leaky.leak.bytes_per_call == pytest.approx(1024, rel=0.15)
    assert any("a leak" in text for text in leaky.warnings)
    assert good.leak is not None
    assert not good.leak.found
    assert not any("a leak" in text for text in good.warnings)


def test_evaluation_data_is_not_taken_for_memory_of_the_model(named: Callable[..., list[Path]], tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x_test=np.full((2000, 128, 128, 3), 9, np.uint8), y_test=np.zeros(2000, np.int64))
    (bare,), (fed,) = rows_of(named("good")), rows_of(named("good"), data=data)
    assert fed.accuracy == 100.0
    assert bare.memory is not None
    assert fed.memory is not None
    assert fed.memory.peak_rss_bytes - bare.memory.peak_rss_bytes < 16 * 1024 * 1024  # the data is 98 MB


@pytest.mark.parametrize(
    ("written", "status", "said"),
    [
        ("{'not': json", "failed", "no JSON"),
        ("[1, 2]", "failed", "a list, not a mapping"),
        ('{"error": "it is broken"}', "failed", "it is broken"),
    ],
)
def test_damaged_responses_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, status: str, said: str
) -> None:
    boot = f"import json, sys; open(json.load(sys.stdin)['response_path'], 'w').write({written!r})"
    monkeypatch.setattr(process, "BOOT", boot)
    outcome = process.run_worker({}, tmp_path, 30)
    assert outcome.status == status
    assert said in str(outcome.reason)


def test_a_response_that_lacks_figures_is_a_failed_row(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"labels": ["a"], "runtime_version": 1})
    boot = f"import json, sys; open(json.load(sys.stdin)['response_path'], 'w').write({answer!r})"
    monkeypatch.setattr(process, "BOOT", boot)
    (row,) = rows_of([golden("tiny_float32.tflite")])
    assert row.status == "failed"
    assert "damaged" in str(row.reason)


def test_no_module_is_taken_from_the_current_folder(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = golden("tiny_float32.tflite")
    (tmp_path / "numpy.py").write_text("raise SystemExit('code of the current folder ran')")
    monkeypatch.chdir(tmp_path)
    assert not {"", ".", str(tmp_path)} & set(sys.path)
    (row,) = rows_of([model])
    assert row.ok, row.reason
