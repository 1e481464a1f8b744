"""Axes have round ticks, and names stand where they cover nothing."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.pictures.drawing import SMALL, Text, fitted, text_width
from edgecnn.bench.pictures.labels import Spot, placed_labels
from edgecnn.bench.pictures.scales import Scale, log_scale, tick_text

INSIDE = (0.0, 0.0, 500.0, 350.0)
Rectangle = tuple[float, float, float, float]


def rectangles(spots: list[Spot]) -> tuple[list[Rectangle], int]:
    marks, unnamed = placed_labels(spots, range(len(spots)), INSIDE)
    texts = [mark for mark in marks if isinstance(mark, Text)]
    widths = [text_width(text.words, SMALL) for text in texts]
    found = [
        (text.x - width / 2, text.y - SMALL * 0.8, text.x + width / 2, text.y)
        for text, width in zip(texts, widths, strict=True)
    ]
    return found, unnamed


def overlapping(found: list[Rectangle]) -> int:
    return sum(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in combinations(found, 2))


@pytest.mark.parametrize("count", [1, 5, 20, 60])
def test_names_cover_neither_each_other_nor_a_circle(count: int) -> None:
    dice = random.Random(count)  # noqa: S311 the same places in every run
    spots = [
        Spot(dice.uniform(20, 480), dice.uniform(20, 330), dice.uniform(3, 20), f"name_{number}_int8")
        for number in range(count)
    ]
    found, unnamed = rectangles(spots)
    assert len(found) + unnamed == count
    assert found
    assert overlapping(found) == 0
    for left, top, right, bottom in found:
        assert left >= INSIDE[0] - 1
        assert right <= INSIDE[2] + 1
        for spot in spots:
            x, y = min(max(spot.x, left), right), min(max(spot.y, top), bottom)
            assert (x - spot.x) ** 2 + (y - spot.y) ** 2 >= (spot.radius - 1) ** 2


def test_what_finds_no_room_is_counted_and_overlap_is_seen() -> None:
    """Negative control of the test above: names at one place would overlap."""
    found, unnamed = rectangles([Spot(250, 175, 5, "n" * 20)] * 200)
    assert unnamed > 100
    assert overlapping(found) == 0
    assert overlapping([found[0], found[0]]) == 1


@given(st.floats(1e-6, 1e6), st.floats(1.0, 1e9), st.integers(3, 9))
def test_ticks_of_a_logarithmic_axis(low: float, factor: float, most: int) -> None:
    scale = log_scale([low, low * factor], 10, 410)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(9 <= scale(tick) <= 411 for tick in ticks)


@given(st.floats(-100, 100), st.floats(0.01, 1000), st.integers(3, 9))
def test_ticks_of_an_even_axis(low: float, span: float, most: int) -> None:
    scale = Scale(low, low + span, 400, 10)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assert scale(low) == 400
    assert scale(low + span) == pytest.approx(10)
    assert scale(low - 1) == 400  # beyond an end is at that end


def test_long_words_lose_their_middle() -> None:
    words = "mobilenet_v2_int8_per_channel.tflite"
    assert fitted(words, 1000) == words
    short = fitted(words, 120)
    assert short.startswith("mo")
    assert short.endswith("tflite")
    assert text_width(short) <= 120
    assert tick_text(2500) == "2,500"
