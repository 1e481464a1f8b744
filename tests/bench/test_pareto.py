"""What is on the Pareto front no other point beats; what is not on it, one does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.pareto import Objective, objectives_of, pareto_front, results_front
from edgecnn.errors import InputError
from tests.bench.made import failed, row


def test_a_front_is_found() -> None:
    points = [(1.0, 9.0), (2.0, 5.0), (3.0, 5.0), (4.0, 1.0), (5.0, 5.0), (2.0, 5.0)]
    assert pareto_front(points) == [0, 1, 3, 5]
    assert pareto_front([]) == []
    assert pareto_front([(3,), (1,), (2,), (1,)]) == [1, 3]


def test_a_point_that_is_worse_in_one_thing_alone_leaves_the_front() -> None:
    """Negative control: the same points with one figure turned for the worse."""
    assert pareto_front([(1, 2, 3), (3, 2, 1)]) == [0, 1]
    assert pareto_front([(1, 2, 3), (3, 2, 4)]) == [0]


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[st.integers(0, 5)] * width), max_size=12)))
def test_the_definition_holds(points: list[tuple[int, ...]]) -> None:
    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    front = pareto_front(points)
    assert front == sorted(set(front))
    for place, point in enumerate(points):
        assert (place in front) == (not any(beats(other, point) for other in points))
        assert place in front or any(beats(points[other], point) for other in front)


@pytest.mark.parametrize("points", [[(1, 2), (1,)], [(1.0, float("nan")), (1.0, 2.0)]])
def test_points_that_do_not_compare_are_refused(points: list[tuple[float, ...]]) -> None:
    with pytest.raises(InputError):
        pareto_front(points)


def test_rows_are_placed_by_latency_accuracy_and_size() -> None:
    rows = [
        row("quick", 1, accuracy=80.0, size_bytes=300),
        row("small", 2, accuracy=80.0, size_bytes=100),
        row("accurate", 9, accuracy=92.0, size_bytes=900),
        row("beaten", 9.5, accuracy=91.0, size_bytes=950),
        failed("crashed"),
        row("unknown", 0.5, accuracy=None, size_bytes=50),
    ]
    assert [one.name for one in objectives_of(rows)] == ["p50_ms", "accuracy", "size_bytes"]
    assert results_front(rows) == [0, 1, 2]
    assert results_front([*rows, row("all", 0.5, accuracy=93.0, size_bytes=50)]) == [6]


def test_what_no_row_has_is_no_objective() -> None:
    rows = [row("a", 1, accuracy=None, agreement=98.0), row("b", 2, accuracy=None, agreement=99.0)]
    assert [one.name for one in objectives_of(rows)] == ["p50_ms", "agreement", "size_bytes"]
    assert results_front(rows) == [0, 1]
    assert results_front([row("a", 1, accuracy=None), row("b", 2, accuracy=None)]) == [0]
    assert results_front([failed("a")]) == []


def test_other_objectives_can_be_asked_for() -> None:
    rows = [row("a", 1, peak=90_000_000), row("b", 2, peak=60_000_000)]
    memory = Objective("peak_rss_bytes", lambda one: one.memory.peak_rss_bytes if one.memory else None)
    assert results_front(rows) == [0]
    assert results_front(rows, [memory]) == [1]
