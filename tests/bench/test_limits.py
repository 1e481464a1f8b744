"""Floors and ceilings: how they are written, which rows they are about, and what breaks them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecnn.bench.limits import FIGURES, Limit, check_limits, parse_limit
from edgecnn.errors import InputError
from tests.bench.made import failed, row

ROWS = [
    row("a_float32.tflite", 4, accuracy=87.0, agreement=99.0, max_drift=0.01),
    row("a_int8.tflite", 1, accuracy=86.0, agreement=98.0, max_drift=0.2),
]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("accuracy=86.5", Limit("floor", "accuracy", 86.5)),
        ("*_int8.tflite:p50_ms=2", Limit("floor", "p50_ms", 2, "*_int8.tflite")),
        ("odd:na=me:load_ms=1e1", Limit("floor", "load_ms", 10, "odd:na=me")),
    ],
)
def test_spellings(text: str, limit: Limit) -> None:
    assert parse_limit(text, "floor") == limit
    assert parse_limit(str(limit), "floor") == limit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("acuracy=86", "did you mean 'accuracy'"),
        ("p50ms=2", "did you mean 'p50_ms'"),
        ("accuracy", "is no limit"),
        ("accuracy=", "'' is no number"),
        ("accuracy=many", "'many' is no number"),
        ("accuracy=nan", "is no limit"),
        ("=3", "is no limit"),
        (":accuracy=3", "is no limit"),
    ],
)
def test_what_is_misspelt_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        parse_limit(text, "floor")
    assert told in str(error.value)


def broken(text: str, kind: str = "floor", rows: list = ROWS) -> list[str]:  # type: ignore[type-arg]
    (checked,) = check_limits(rows, [parse_limit(text, kind)])  # type: ignore[arg-type]
    return list(checked.broken)


def test_every_figure_can_be_limited_both_ways() -> None:
    rows = [replace(ROWS[0], rounds=row("many", count=1000).rounds)]
    for name, figure in FIGURES.items():
        value = figure.read(rows[0])
        assert value is not None, name
        for kind, kept, not_kept in (("floor", value, value + 1), ("ceiling", value, value - 1)):
            assert not broken(f"{name}={kept!r}", kind, rows), name
            assert len(broken(f"{name}={not_kept!r}", kind, rows)) == 1, name


def test_a_broken_limit_is_told_with_both_figures() -> None:
    assert broken("accuracy=86.5") == ["a_int8.tflite: accuracy 86 is below the floor 86.5"]
    assert (
        broken("size_bytes=200000", "ceiling")[0] == "a_float32.tflite: size_bytes 300000 is above the ceiling 200000"
    )
    close = [row("x", accuracy=86.4999999)]
    assert broken("accuracy=86.5", rows=close) == ["x: accuracy 86.4999999 is below the floor 86.5"]


def test_a_glob_chooses_the_rows() -> None:
    assert broken("p50_ms=2", "ceiling") != []
    assert broken("*_int8.tflite:p50_ms=2", "ceiling") == []
    assert broken("files/*_float32.tflite:p50_ms=2", "ceiling") != []
    assert check_limits(ROWS, [parse_limit("*int8*:accuracy=1", "floor")])[0].rows == 1


def test_a_limit_about_no_row_is_broken() -> None:
    assert broken("a_int.tflite:accuracy=1") == [
        "floor a_int.tflite:accuracy=1: no file has such a name (did you mean 'a_int8.tflite'?)"
    ]
    assert broken("accuracy=1", rows=[]) != []


def test_a_row_that_failed_or_lacks_the_figure_does_not_keep_it() -> None:
    assert broken("accuracy=0", rows=[failed("x")]) == ["x: no accuracy (crashed: it died of SIGSEGV)"]
    assert broken("max_drift=1", "ceiling", [row("x")])[0].startswith("x: no max_drift (it needs a reference")
    assert broken("p99_ms=9", "ceiling", [row("x", count=20)]) == [
        "x: no p99_ms (100 samples, 1000 needed: bench with more --runs or --max-seconds)"
    ]
