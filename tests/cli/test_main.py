"""The frame around every verb: help, misspelt words, exit codes, errors as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn import __version__
from edgecnn.cli.console import Console, format_table, human_bytes
from edgecnn.cli.main import VERBS, main
from tests.conftest import GOLDEN, Finished

Run = Callable[..., Finished]


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {verb} " in told for verb in VERBS)


def test_no_words_is_wrong_usage() -> None:
    assert main([]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgecnn {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert f"edgecnn {verb}" in capsys.readouterr().out


def test_misspelt_words_get_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exprot"]) == 2
    assert "did you mean 'export'" in capsys.readouterr().err
    assert main(["info", "x", "--jsn"]) == 2
    assert "did you mean '--json'" in capsys.readouterr().err


def test_errors_are_one_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "missing.tflite", "--json"]) == 2
    seen = capsys.readouterr()
    error = json.loads(seen.out)["error"]
    assert error["exit_code"] == 2
    assert error["remedy"]
    assert "missing.tflite" in error["message"]


def test_a_bug_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import edgecnn.cli.info

    monkeypatch.setattr(edgecnn.cli.info, "run", lambda *_: 1 / 0)
    monkeypatch.delenv("EDGECNN_DEBUG", raising=False)
    assert main(["info", "x"]) == 4
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "Traceback" not in told


def test_info_and_a_reader_that_leaves(tmp_path: Path) -> None:
    """``edgecnn info | head -1`` ends quietly."""
    command = [sys.executable, "-m", "edgecnn", "info", str(GOLDEN / "tiny_int8.tflite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("redirect", "code"), [(">&-", 0), (">/dev/full", 4)])
def test_an_output_that_is_closed_or_full(redirect: str, code: int) -> None:
    command = f"{sys.executable} -m edgecnn info {GOLDEN / 'tiny_int8.tflite'} --json {redirect}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert ("No space left" in done.stderr) == (code == 4)


def test_a_terminal_that_cannot_spell_a_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", "predict", str(GOLDEN / "tiny_int8.tflite"), "ü 图.png"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "\\xfc" in done.stderr


def test_labels_of_others_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say("a \x1b[31mred\x07 label\n\tin two lines")
    assert capsys.readouterr().out == "a ?[31mred? label\n\tin two lines\n"


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx", "tiny.keras"])
def test_info(edgecnn: Run, name: str) -> None:
    done = edgecnn("info", GOLDEN / name)
    assert done.code == 0
    assert "8x8 rgb, stretch, pixel * 0.00392157" in done.out
    document = edgecnn("info", GOLDEN / name, "--json").document
    assert document["spec"]["labels"] == ["red", "green", "blue"]
    if name != "tiny.keras":
        assert document["recipe"]["calibration"]["samples"] == 300
        assert document["inputs"][0]["quant"]["scale"] == pytest.approx(1 / 255)


def test_info_of_a_file_of_others(edgecnn: Run, test_data: Callable[[str], Path]) -> None:
    done = edgecnn("info", test_data("onnx/yolox_nano.onnx"))
    assert done.code == 0
    assert "images: float32 1x3x416x416" in done.out
    assert "none inside" in done.out


def test_doctor(edgecnn: Run) -> None:
    done = edgecnn("doctor", "--json")
    assert done.code == 0
    document = done.document
    assert {row["extra"] for row in document["packages"]} >= {"tflite", "onnx", "edge", "export", "train"}
    assert all(row["cure"] == "" or "pip install" in row["cure"] for row in document["packages"])


def test_doctor_sees_what_is_broken(tmp_path: Path) -> None:
    """A cv2 that fails as it does on a system without libGL, and a second OpenCV beside it."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    for name in ("opencv_python", "opencv_python_headless"):
        info = tmp_path / f"{name}-5.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 5.0\n")
    boot = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    script = f"{boot}; from edgecnn.cli.main import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no libGL" in done.stdout
    assert "edge-headless" in done.stdout
    assert "overwrite each other" in done.stdout


def test_tables_put_figures_right_and_words_left() -> None:
    assert format_table(["name", "size", "note"], [["a", "1", "x"], ["long", "10", "-"]]) == [
        "name  size  note",
        "----  ----  ----",
        "a        1  x",
        "long    10  -",
    ]
    assert [human_bytes(size) for size in (999, 98_344, 2.2e6, 3e9)] == ["999 B", "98.3 kB", "2.2 MB", "3.00 GB"]
