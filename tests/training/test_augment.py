"""Augmentation: what is drawn, that it is seeded, and that pictures stay pictures."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import InputError
from edgecnn.training.augment import AUGMENTATIONS, augment
from edgecnn.training.plan import TrainingPlan

PIXELS = np.random.default_rng(0).integers(1, 256, (64, 16, 24, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_draws_the_same(name: str) -> None:
    first, second, other = (augment(PIXELS, [name], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == PIXELS.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_mirror_turns_about_half_of_them_left_to_right_and_no_other_way() -> None:
    mirrored = augment(PIXELS, ["mirror"], np.random.default_rng(0))
    turned = [np.array_equal(new, old[:, ::-1]) for new, old in zip(mirrored, PIXELS, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(mirrored, PIXELS, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True))
    assert 20 < sum(turned) < 44  # of 64: three standard deviations around a half


def test_shift_moves_by_up_to_an_eighth_and_fills_with_black() -> None:
    shifted = augment(PIXELS, ["shift"], np.random.default_rng(0))
    for new, old in zip(shifted, PIXELS, strict=True):
        rows, columns = np.flatnonzero(new.any(axis=(1, 2))), np.flatnonzero(new.any(axis=(0, 2)))
        height, width = len(rows), len(columns)
        assert height >= 16 - 2
        assert width >= 24 - 3
        # Where it lies in the new picture tells from where of the old one it was taken.
        top = 16 - height if rows[0] == 0 else 0
        left = 24 - width if columns[0] == 0 else 0
        inner = new[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_array_equal(inner, old[top : top + height, left : left + width])


def test_an_unknown_change_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'mirror'"):
        TrainingPlan(augment=("miror",))
    assert TrainingPlan(augment=("shift", "shift")).augment == ("shift",)
