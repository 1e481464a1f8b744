"""A results.json that others wrote, or that was damaged, is read or refused: never a bug of edgecnn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edgecnn.bench import Report
from edgecnn.bench.documents import typed
from edgecnn.bench.html import page, sections
from edgecnn.errors import EdgecnnError, InputError
from tests.bench.reports import BOARD, DESK, STATE, failed, report, row

Place = tuple[str | int, ...]
WRONG: tuple[object, ...] = ("<b>text", -1, 1e400, float("nan"), [], {}, True, None, 10**30, "\udc80")


def places(document: Any, above: Place = ()) -> Iterator[Place]:
    """Yield every place in a document; of a list its first entry."""
    inside: Any = document.items() if isinstance(document, dict) else enumerate(document[:1])
    for key, value in inside:
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, key))


def altered(text: str, place: Place, value: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return document


def is_shown(document: dict[str, Any]) -> bool:
    """Return whether there is a page of it; that it is refused is fine too, and nothing else is."""
    try:
        page(sections([Report.from_dict(document)])).encode()
    except EdgecnnError:
        return False
    return True


def test_whatever_stands_anywhere_is_read_or_refused() -> None:
    rows = (row("a_int8.tflite", count=8, rounds=1, stages=False), failed("b.onnx"))
    reference = row("r.keras", 9, recipe=None, count=8, rounds=1, stages=False, runtime="keras")
    whole = report(*rows, reference=reference, reference_host=DESK)
    text = json.dumps(whole.to_dict(raw=True))
    refused = shown = 0
    for place in places(json.loads(text)):
        for value in WRONG[len(place) % 2 :: 2]:
            if is_shown(altered(text, place, value)):
                shown += 1
            else:
                refused += 1
    assert refused > 200
    assert shown > 200  # what is derived anew, such as percentiles, is not read


@pytest.mark.parametrize(
    ("name", "value"),
    [("usable_cores", 2.5), ("cpu_limit", "2"), ("memory_bytes", True), ("features", ("avx2", 3)), ("board", 5)],
)
def test_fields_have_their_types(name: str, value: object) -> None:
    assert typed(BOARD) is BOARD
    assert typed(STATE) is STATE
    with pytest.raises(InputError, match=name):
        typed(type(BOARD)(**{**vars(BOARD), name: value}))
