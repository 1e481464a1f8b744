"""Names are as short as they can be, figures have three digits that count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecnn.bench.wording import bytes_text, ms_text, points_text, row_labels
from tests.bench.made import failed, row


def test_a_label_is_the_shortest_that_is_one_row_alone() -> None:
    one = row("a.tflite")
    rows = [
        one,
        row("b.tflite"),
        row("b.tflite", threads=4),
        row("c.tflite"),
        replace(row("c.tflite"), path="d/c.tflite"),
    ]
    assert row_labels([*rows, failed("e", runtime=None)]) == [
        "a.tflite",
        "b.tflite (litert, 1 thread)",
        "b.tflite (litert, 4 threads)",
        "files/c.tflite (litert, 1 thread)",
        "d/c.tflite (litert, 1 thread)",
        "e",
    ]
    assert row_labels([]) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (bytes_text(640), "640 B"),
        (bytes_text(98_344), "98.3 kB"),
        (bytes_text(3.12e6), "3.12 MB"),
        (bytes_text(60.23e6), "60.2 MB"),
        (points_text(2.314), "2.31 points"),
        (points_text(1.0), "1 point"),
        (points_text(10.0), "10 points"),
        (ms_text(0.0022834), "0.00228"),
        (ms_text(12.34), "12.3"),
        (ms_text(None), "-"),
    ],
)
def test_figures(text: str, shown: str) -> None:
    assert text == shown
