"""``edgecnn bench`` as people and programs call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgecnn.bench import Report
from tests.golden.make import save_data

QUICK = ("--rounds", 1, "--runs", 30, "--max-seconds", 0.5)


def test_json_is_one_document_and_files_are_written(
    edgecnn: Callable[..., Any], golden: Callable[[str], Path], tmp_path: Path
) -> None:
    data = save_data(tmp_path / "stripes.npz", 60)
    model, reference = golden("tiny_int8.tflite"), golden("tiny_float32.onnx")
    done = edgecnn(
        "bench", model, "--reference", reference, "--data", data, *QUICK, "--out", "report", "--trust", "--json"
    )
    assert done.code == 0, done.err
    document = done.document
    assert document["schema_version"] == 2
    assert document["command"][:2] == ["edgecnn", "bench"]
    assert document["protocol"]["trust"] is True
    (row,) = document["results"]
    assert row["path"] == str(model)
    assert row["latency"]["invoke"]["samples"] == 30
    assert row["agreement"] >= 95
    assert document["reference"]["device"] == "CPU"

    stored = json.loads((tmp_path / "report/results.json").read_text())
    assert len(stored["results"][0]["rounds"][0]["samples_ns"]["invoke"]) == 30
    restored = Report.from_dict(stored)
    assert restored.to_dict()["results"] == document["results"]
    assert "tiny_int8.tflite" in (tmp_path / "report/results.md").read_text()
    assert "tiny_int8.tflite" in (tmp_path / "report/results.csv").read_text()


def test_a_person_sees_a_table_and_the_next_command(edgecnn: Callable[..., Any], golden: Callable[[str], Path]) -> None:
    model = golden("tiny_int8.tflite")
    done = edgecnn("bench", model, *QUICK)
    assert done.code == 0, done.err
    assert "p50 ±95% CI" in done.out
    assert f"next: edgecnn predict {model} IMAGE" in done.out
    assert "p90 and p99 not told" in done.err


def test_threads_rounds_and_the_verdict(edgecnn: Callable[..., Any], golden: Callable[[str], Path]) -> None:
    files = [golden("tiny_float32.tflite"), golden("tiny_int8.tflite")]
    words = ("--rounds", 3, "--runs", 30, "--max-seconds", 0.5, "--threads", "1,2")
    done = edgecnn("bench", *files, *words, "--json")
    assert done.code == 0, done.err
    rows = done.document["results"]
    assert [(row["threads"], row["round_count"]) for row in rows] == [(1, 3), (2, 3), (1, 3), (2, 3)]
    assert [verdict["threads"] for verdict in done.document["verdicts"]] == [1, 2]
    assert "tiny_int8.tflite (litert) " in done.err
    assert "tiny_int8.tflite (litert, 2 threads)" in done.err


def test_a_failed_row_is_told_and_makes_the_exit_code_4(
    edgecnn: Callable[..., Any], golden: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "words.tflite").write_text("no model at all")
    done = edgecnn("bench", golden("tiny_int8.tflite"), "words.tflite", *QUICK, "--json")
    assert done.code == 4
    assert [row["status"] for row in done.document["results"]] == ["ok", "failed"]
    assert "FAILED words.tflite" in done.err
    assert "Traceback" not in done.err


def test_wrong_usage_is_one_line_with_a_remedy(edgecnn: Callable[..., Any], golden: Callable[[str], Path]) -> None:
    model = golden("tiny_int8.tflite")
    for words in (
        ("absent.tflite",),
        (model, "--runtime", "litrt"),
        (model, "--data", "cifar"),
        (model, "--reference", "absent.keras"),
        (model, "--runs", "0"),
        (model, "--threads", "many"),
        (model, "--threads", "1,0"),
        (model, "--rounds", "0"),
        (model, "--leak-check", "3"),
        (model, "--thread", "2"),
    ):
        done = edgecnn("bench", *words)
        assert done.code == 2, (words, done.err)
        assert done.err.startswith("error: ")
        assert "remedy: " in done.err
        assert "Traceback" not in done.err
