"""``edgecnn report`` and the page that ``edgecnn bench --out`` writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecnn.bench import Report
from edgecnn.bench.pictures import PICTURES
from edgecnn.files import write_json
from tests.bench.reports import DESK, several
from tests.test_imports import ENGINES, HEAVY, loaded_after

QUICK = ("--rounds", 1, "--runs", 30, "--max-seconds", 0.3)


def stored(folder: Path, shown: Report) -> Path:
    folder.mkdir()
    write_json(folder / "results.json", shown.to_dict(raw=True))
    return folder


def test_a_page_and_pictures(edgecnn: Callable[..., Any], tmp_path: Path) -> None:
    bench = stored(tmp_path / "a bench", several())
    done = edgecnn("report", bench, "--out", "the report.html", "--png", "pictures", "--json")
    assert done.code == 0, done.err
    assert done.document["report"] == "the report.html"
    assert done.document["verdicts"][0]["path"] == "out/net_int8.tflite"
    assert "is the fastest file that loses no more than 1 point of accuracy" in done.err
    assert "net_int8.tflite" in (tmp_path / "the report.html").read_text()
    assert {path.stem for path in (tmp_path / "pictures").iterdir()} == set(PICTURES)
    again = edgecnn("report", bench / "results.json", "--out", "the report.html")
    assert again.code == 0
    assert "next: xdg-open 'the report.html'" in again.out


def test_machines_are_kept_apart(edgecnn: Callable[..., Any], tmp_path: Path) -> None:
    board, desk = stored(tmp_path / "board", several()), stored(tmp_path / "desk", replace(several(), host=DESK))
    refused = edgecnn("report", board, desk)
    assert refused.code == 2
    assert "--across-hosts" in refused.err
    assert not (tmp_path / "report.html").exists()
    assert edgecnn("report", board, desk, "--across-hosts").code == 0
    assert (tmp_path / "report.html").read_text().count('class="host"') == 2


def test_bench_writes_it(edgecnn: Callable[..., Any], golden: Callable[[str], Path], tmp_path: Path) -> None:
    done = edgecnn("bench", golden("tiny_int8.tflite"), *QUICK, "--out", "bench", "--png")
    assert done.code == 0, done.err
    assert "tiny_int8.tflite" in (tmp_path / "bench" / "report.html").read_text()
    assert (tmp_path / "bench" / "latency.png").stat().st_size > 5_000
    assert edgecnn("bench", golden("tiny_int8.tflite"), "--png").code == 2  # where to?


def test_it_needs_nothing_but_the_base_install(tmp_path: Path) -> None:
    bench, page = str(stored(tmp_path / "bench", several())), str(tmp_path / "report.html")
    code = f"from edgecnn.cli.main import main; assert main(['report', {bench!r}, '--out', {page!r}]) == 0"
    assert loaded_after(code) & (HEAVY | ENGINES | {"cv2"}) == set()


def test_png_without_matplotlib_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bench = stored(tmp_path / "bench", several())
    code = (
        "import sys; sys.modules['matplotlib'] = None\nfrom edgecnn.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["report", bench, "--out", tmp_path / "report.html", "--png", tmp_path]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "edgecnn[train]" in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_wrong_usage(edgecnn: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text("no report")
    (tmp_path / "empty").mkdir()
    for words in (("absent.json",), ("words.json",), ("empty",), ()):
        done = edgecnn("report", *words)
        assert done.code == 2, (words, done.err)
        assert "remedy: " in done.err
        assert "Traceback" not in done.err
