"""``edgecnn choose`` as people and programs call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from edgecnn.files import write_json
from tests.bench.made import failed, report, row
from tests.conftest import GOLDEN, Finished

Run = Callable[..., Finished]
REFERENCE = row("m.keras", 20, runtime="keras", threads=None, accuracy=92.0)


def test_a_real_run_has_a_best_file(edgecnn: Run, measured: Path) -> None:
    done = edgecnn("choose", measured, "--max-drop", 1, "--max-ms", 1000, "--max-mb", 50, "--json")
    assert done.code == 0, done.err
    document = done.document
    names = {"tiny_float32.tflite", "tiny_int8.tflite"}
    best = Path(document["best"]["path"]).name
    assert best in names
    assert {Path(one["path"]).name for one in document["losers"]} == names - {best}
    assert document["losers"][0]["inside_budget"] is True
    assert document["baseline"] == "tiny_float32.onnx, 100.00 % (the reference)"
    assert document["pareto"]
    assert f"next: edgecnn predict {GOLDEN / best} IMAGE" in done.err


def test_a_person_sees_why_and_what_the_others_lost_by(edgecnn: Run, tmp_path: Path) -> None:
    rows = [
        row("q.tflite", 2, accuracy=91.5),
        row("f.tflite", 9),
        row("g.tflite", 1, accuracy=80.0),
        failed("h.tflite"),
    ]
    write_json(tmp_path / "results.json", report(*rows, reference=REFERENCE).to_dict(raw=True))
    done = edgecnn("choose", "results.json", "--max-drop", 3)
    assert done.code == 0, done.err
    assert "budget: 3 points lost" in done.out
    assert "best: q.tflite*: 2.00 ms (" in done.out
    assert "91.50 % accurate, 300.0 kB, 70.0 MB of memory" in done.out
    assert "  every other file inside the budget is slower than it\n" in done.out
    assert "\n  g.tflite*: loses 12 points, 3 allowed\n" in done.out
    assert "\n  f.tflite: slower than q.tflite (4." in done.out
    assert "\n  h.tflite: crashed: it died of SIGSEGV\n" in done.out
    assert "* on the Pareto front: q.tflite, g.tflite" in done.out
    assert done.out.endswith("next: edgecnn predict files/q.tflite IMAGE\n")


def test_nothing_inside_is_exit_code_1_and_names_the_nearest(edgecnn: Run, measured: Path) -> None:
    """The negative control of the first test: the same run, a budget that no file keeps."""
    done = edgecnn("choose", measured, "--max-mb", 0.001, "--json")
    assert done.code == 1, done.err
    assert done.document["best"] is None
    assert "0.001 MB allowed" in done.document["nearest"]["reason"]
    assert "no file keeps the budget\nnearest: " in done.err
    assert f"next: edgecnn choose {measured}" in done.err


def test_several_reports_and_other_hosts(edgecnn: Run, tmp_path: Path, measured: Path) -> None:
    write_json(tmp_path / "a.json", report(row("a")).to_dict(raw=True))
    write_json(tmp_path / "b.json", report(row("b", 0.5)).to_dict(raw=True))
    assert edgecnn("choose", "a.json", "b.json", "--json").document["best"]["path"] == "files/b"
    refused = edgecnn("choose", "a.json", measured)
    assert refused.code == 2
    assert "different hosts" in refused.err
    assert "--across-hosts" in refused.err


def test_wrong_usage_is_one_line_with_a_remedy(edgecnn: Run, tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text("no report")
    (tmp_path / "other.json").write_text(json.dumps({"schema_version": 1}))
    write_json(tmp_path / "bare.json", report(row("a", accuracy=None, recipe="int8")).to_dict(raw=True))
    for words, told in (
        (("absent",), "cannot read 'absent'"),
        (("words.json",), "'words.json' is no JSON"),
        (("other.json",), "'other.json' cannot be read: the report has schema version 1"),
        (("bare.json", "--max-ms", "0"), "--max-ms must be a positive number"),
        (("bare.json", "--max-ms", "quick"), "invalid float value"),
        (("bare.json", "--max-drop", "1"), "nothing to count a loss of accuracy from"),
        (("bare.json", "--max-dropp", "1"), "did you mean '--max-drop'"),
        ((), "required"),
    ):
        done = edgecnn("choose", *words)
        assert done.code == 2, (words, done.err)
        assert told in done.err
        assert "remedy: " in done.err
        assert "Traceback" not in done.err
