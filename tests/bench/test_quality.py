"""An accuracy is called lower only where the pictures show it, however the answers overlap."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.bench.quality import quality_name, shown_lower
from tests.bench.made import failed, row


def sign_test(won: int, lost: int) -> float:
    """The two-sided probability of a split at least as uneven (McNemar's exact test)."""
    total = won + lost
    tail = sum(comb(total, count) for count in range(min(won, lost) + 1)) / 2**total
    return min(1.0, 2 * tail)


@pytest.mark.parametrize(("lost", "shown"), [(5, False), (6, True)])
def test_five_pictures_are_never_enough(lost: int, shown: bool) -> None:
    """The better file makes no mistake, so every difference is one way."""
    best, worse = row("a", accuracy=100.0), row("b", accuracy=100 - lost / 10)
    assert shown_lower(worse, best, "accuracy", 1000) == shown
    assert not shown_lower(best, worse, "accuracy", 1000)
    assert not shown_lower(best, best, "accuracy", 1000)


def test_agreement_shows_what_accuracy_alone_does_not() -> None:
    better, worse = row("a", accuracy=87.0), row("b", accuracy=86.0)
    assert not shown_lower(worse, better, "accuracy", 10_000)  # 2,700 mistakes may all be of other pictures
    near = [row(name, accuracy=value, agreement=99.0) for name, value in (("a", 87.0), ("b", 86.0))]
    assert shown_lower(near[1], near[0], "accuracy", 10_000)  # at most 200 pictures are answered otherwise


def test_what_is_not_known_shows_nothing() -> None:
    better, worse = row("a", accuracy=99.0), row("b", accuracy=1.0)
    assert shown_lower(worse, better, "accuracy", 1000)
    assert not shown_lower(worse, better, "accuracy", None)
    assert not shown_lower(worse, better, None, 1000)
    assert not shown_lower(row("c", accuracy=None), better, "accuracy", 1000)


@settings(deadline=None, max_examples=300)
@given(
    pictures=st.integers(10, 400),
    rates=st.tuples(*[st.floats(0, 0.5)] * 3),
    has_agreement=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_called_lower_is_so_by_the_answers_themselves(
    pictures: int, rates: tuple[float, float, float], has_agreement: bool, seed: int
) -> None:
    """The answers, which rows do not keep, are made here; the exact test on them must agree."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, pictures)
    reference, one, two = (np.where(rng.random(pictures) < rate, (truth + 1) % 3, truth) for rate in rates)
    rows = [
        row(
            name,
            rounds=1,
            count=20,
            accuracy=float((answers == truth).mean() * 100),
            agreement=float((answers == reference).mean() * 100) if has_agreement else None,
        )
        for name, answers in (("one", one), ("two", two))
    ]
    won = int(((one == truth) & (two != truth)).sum())
    lost = int(((one != truth) & (two == truth)).sum())
    if shown_lower(rows[0], rows[1], "accuracy", pictures):
        assert lost > won
        assert sign_test(won, lost) <= 0.05


def test_the_figure_is_accuracy_where_any_row_that_ran_has_it() -> None:
    assert quality_name([row("a", accuracy=None, agreement=99.0), row("b")]) == "accuracy"
    assert quality_name([row("a", accuracy=None, agreement=99.0), failed("b")]) == "agreement"
    assert quality_name([row("a", accuracy=None)]) is None
