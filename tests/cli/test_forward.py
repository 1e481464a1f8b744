"""The user's own words travel to the board: those that name files, changed; those of this machine, left out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn.bench.parcel import Parcel
from edgecnn.cli.forward import DATA, FILES, KEPT_HERE, REFERENCE, forwarded, occurrences
from edgecnn.cli.main import parser_for
from edgecnn.reporter import PROGRESS_VARIABLE, told_progress
from tests.conftest import GOLDEN
from tests.golden.make import save_data


def words_there(parser: argparse.ArgumentParser, words: list[str], parcel: Parcel) -> list[str]:
    arguments = parser.parse_args(words)
    arguments.command = ("edgecnn", "bench", *words)
    return forwarded(parser, arguments, parcel)


def test_words_are_forwarded_as_they_were_said(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    data = save_data(tmp_path / "data.npz", 9)
    parser, _ = parser_for("bench")
    words = [
        str(GOLDEN / "tiny_int8.tflite"), str(GOLDEN / "tiny_int8.onnx"), "--runs=0030", "--mean", "-0", "--trust",
        "--host", "board", "--out", "o", "--json", f"--labels={tmp_path / 'labels.txt'}", "--data", str(data),
        "--reference", str(GOLDEN / "tiny_float32.onnx"), "--host-python=py", "--runtime", "litert", "all",
    ]  # fmt: skip
    told = words_there(parser, words, Parcel(tmp_path))
    assert [word.rpartition("/")[2] for word in told[:2]] == ["tiny_int8.tflite", "tiny_int8.onnx"]
    assert told[2:5] == ["--runs=0030", "--mean=-0", "--trust"]
    assert [word.partition("=")[0] for word in told[5:8]] == ["--labels", "--data", "--reference"]
    assert told[8:] == ["--runtime", "litert", "all"]
    here = str(tmp_path), str(GOLDEN)
    assert not any(place in word for word in told for place in here)
    parsed = parser.parse_args(told)
    assert (parsed.runs, parsed.runtime, parsed.host, parsed.out) == (30, ["litert", "all"], None, None)


def test_an_option_of_tomorrow_travels_too(tmp_path: Path) -> None:
    parser, _ = parser_for("bench")
    parser.add_argument("--patience", type=int, default=1)
    parser.add_argument("--until-dawn", action="store_true")
    parser.add_argument("--floor", action="append", type=float)
    parser.add_argument("--tell", nargs="?", const="all", choices=["all", "some"])
    parser.add_argument("--steady", action=argparse.BooleanOptionalAction, default=True)
    words = [
        str(GOLDEN / "tiny_int8.tflite"),
        *["--floor", "-1", "--patience", "5", "--floor=2", "--until-dawn", "--tell", "--no-steady"],
    ]
    told = words_there(parser, words, Parcel(tmp_path))
    assert told[1:] == ["--floor=-1", "--patience=5", "--floor=2", "--until-dawn", "--tell", "--no-steady"]


def test_every_option_that_names_a_place_is_known() -> None:
    """A new one must be sent, or kept here: as plain words it would name a file that the board does not have."""
    parser, _ = parser_for("bench")
    places = {"FILE", "FILE|auto", "DIR", "PATH", "MODEL"}
    naming = {
        action.option_strings[0] for action in parser._actions if action.option_strings and action.metavar in places
    }
    assert naming <= {*FILES, REFERENCE, DATA, *KEPT_HERE}
    assert naming


def test_words_after_two_hyphens_are_paths() -> None:
    parser, _ = parser_for("bench")
    (told,) = occurrences(parser, ["--", "-a.tflite", "b.onnx"])
    assert (told.option, told.values) == (None, ("-a.tflite", "b.onnx"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "-oProxyCommand=x"), "expected one argument"),
        (("--host=-oProxyCommand=x",), "ssh would take it for an option"),
        (("--host", "a b"), "is no name of a host"),
        (("--host-python", "python3"), "there is no --host"),
        (("--host", "nowhere.invalid", "--spec", "auto"), "--spec auto needs labelled pictures"),
        (("--host", "nowhere.invalid", "--reference", "absent.json"), "'absent.json' is no file"),
        (("--host", "nowhere.invalid", "--data", "cifar"), "did you mean 'cifar10'"),
        (("--host", "nowhere.invalid", "--labels", "absent.txt"), "cannot read labels"),
        (("--host", "nowhere.invalid", "--runs", "0"), "runs must be 1 or more"),
    ],
)
def test_wrong_words_are_told_before_a_connection_is_made(
    edgecnn: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    done = edgecnn("bench", GOLDEN / "tiny_int8.tflite", *words)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_progress_is_told_in_lines_where_they_are_wanted(edgecnn: Callable[..., Any]) -> None:
    words = ("bench", GOLDEN / "tiny_int8.tflite", GOLDEN / "tiny_int8.onnx", "--rounds", 1, "--runs", 30)
    done = edgecnn(*words, env={PROGRESS_VARIABLE: "1"})
    told = [told_progress(line) for line in done.err.splitlines()]
    assert [step for step in told if step] == [("round 1/1", 1, 2), ("round 1/1", 2, 2)]
    assert "progress" not in edgecnn(*words).err
