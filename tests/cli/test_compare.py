"""``edgecnn compare`` as people and CI call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn.files import write_json
from tests.bench.made import failed, report, row
from tests.conftest import GOLDEN, Finished

Run = Callable[..., Finished]


def changed(measured: Path, destination: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a copy of a real report with something planted in it."""
    document = json.loads((measured / "results.json").read_bytes())
    change(document)
    write_json(destination, document)
    return destination


def slow_down(document: dict[str, Any]) -> None:
    """Every sample of the first file takes three times as long: more than the interval of three rounds may hide."""
    for taken in document["results"][0]["rounds"]:
        taken["samples_ns"]["invoke"] = [3 * ns for ns in taken["samples_ns"]["invoke"]]


def test_a_real_run_beside_itself_is_no_regression(edgecnn: Run, measured: Path) -> None:
    done = edgecnn("compare", measured, measured / "results.json")
    assert done.code == 0, done.err
    assert done.out.count("no difference shown") == 2
    assert "did not take turns" in done.out
    assert "\nno regression\n" in done.out
    assert f"next: edgecnn choose {measured / 'results.json'}" in done.out


def test_a_planted_slow_down_is_one(edgecnn: Run, measured: Path, tmp_path: Path) -> None:
    """The negative control: the same samples, longer in one file."""
    slower = changed(measured, tmp_path / "slower.json", slow_down)
    done = edgecnn("compare", measured, slower, "--json")
    assert done.code == 1, done.err
    (told,) = done.document["failures"]
    assert told.startswith("tiny_float32.tflite: ")
    assert "% slower (95 %), 5 allowed" in told
    assert [one["outcome"] for one in done.document["rows"]] == ["slower", "no difference shown"]
    assert f"FAILED {told}" in done.err
    assert "next: edgecnn bench " in done.err
    assert edgecnn("compare", measured, slower, "--max-slower", 1000).code == 0
    assert edgecnn("compare", slower, measured).code == 0


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lambda document: document["results"].pop(0), "tiny_float32.tflite: missing from the new run"),
        (lambda document: document["results"][0].update(accuracy=98.0), "accuracy is 2 points lower, 1 allowed"),
        (
            lambda document: document["results"][0].update(status="timeout", reason="60 s"),
            "ok before, timeout now: 60 s",
        ),
    ],
)
def test_other_planted_regressions(
    edgecnn: Run, measured: Path, tmp_path: Path, plant: Callable[[dict[str, Any]], None], told: str
) -> None:
    done = edgecnn("compare", measured, changed(measured, tmp_path / "new.json", plant))
    assert done.code == 1, done.err
    assert told in done.out


def test_floors_and_ceilings_of_one_report(edgecnn: Run, measured: Path) -> None:
    kept = ("--floor", "accuracy=86.5", "--ceiling", "*_int8.tflite:p50_ms=1000", "--ceiling", "peak_rss_bytes=1e9")
    done = edgecnn("compare", measured, *kept)
    assert done.code == 0, done.err
    assert "floor accuracy=86.5: 2 files, kept" in done.out
    assert "ceiling *_int8.tflite:p50_ms=1000: 1 file, kept" in done.out
    assert "\nevery limit is kept\n" in done.out
    broken = edgecnn("compare", measured, *kept, "--ceiling", "size_bytes=3200", "--json")
    assert broken.code == 1
    assert broken.document["old"] is None
    size = (GOLDEN / "tiny_float32.tflite").stat().st_size
    assert broken.document["failures"] == [f"tiny_float32.tflite: size_bytes {size} is above the ceiling 3200"]
    assert [one["kept"] for one in broken.document["limits"]] == [True, True, True, False]


def test_a_figure_that_a_row_lacks_breaks_its_floor(edgecnn: Run, tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", report(row("a", accuracy=None), failed("b")).to_dict(raw=True))
    done = edgecnn("compare", "r.json", "--floor", "accuracy=1")
    assert done.code == 1
    assert "FAILED a: no accuracy (it needs pictures with classes: bench --data)" in done.out
    assert "FAILED b: no accuracy (crashed: it died of SIGSEGV)" in done.out


def test_the_table_fits_120_columns(edgecnn: Run, tmp_path: Path) -> None:
    names = [f"mobilenet_v2_1.0_224_a_very_long_name_{recipe}.tflite" for recipe in ("float32", "int8_float_io")]
    for name, factor in (("a", 1.0), ("b", 1.37)):
        write_json(tmp_path / f"{name}.json", report(*(row(one, 123 * factor) for one in names)).to_dict(raw=True))
    done = edgecnn("compare", "a.json", "b.json")
    assert done.code == 1
    table = done.out.partition("\n\n")[0].splitlines()
    assert len(table) == 4
    assert max(map(len, table)) <= 120


def test_wrong_usage_is_one_line_with_a_remedy(edgecnn: Run, measured: Path, tmp_path: Path) -> None:
    other = report(row("a"), data_sha256="b" * 64)
    write_json(tmp_path / "a.json", report(row("a")).to_dict(raw=True))
    write_json(tmp_path / "b.json", other.to_dict(raw=True))
    for words, told in (
        (("a.json",), "nothing to be compared with"),
        (("a.json", "a.json", "a.json"), "takes two reports, not 3"),
        (("a.json", "--floor", "acuracy=1"), "did you mean 'accuracy'"),
        (("a.json", "--ceiling", "p50_ms"), "is no limit"),
        (("a.json", "absent.json"), "cannot read 'absent.json'"),
        (("a.json", "a.json", "--max-slower", "-1"), "--max-slower must be 0 or more"),
        (("a.json", "b.json"), "accuracies do not compare"),
        (("a.json", measured, "--ignore-accuracy"), "different hosts"),
    ):
        done = edgecnn("compare", *words)
        assert done.code == 2, (words, done.err)
        assert told in done.err
        assert "remedy: " in done.err
        assert "Traceback" not in done.err
    assert edgecnn("compare", "a.json", "b.json", "--ignore-accuracy").code == 0
    assert edgecnn("compare", "a.json", measured, "--ignore-accuracy", "--across-hosts").code == 1  # rows are missing
