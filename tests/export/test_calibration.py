"""Calibration pictures that are not of the data's kind are refused; those that are pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import Dataset, load_data
from edgecnn.errors import InputError
from edgecnn.export import Calibration
from tests.golden.make import pictures


def photographs(count: int, seed: int) -> np.ndarray:
    """Return smooth uint8 (N, 16, 16, 3) pictures: neighbouring pixels are alike, as in photographs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3))
    smooth = coarse.repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def drawn(array: np.ndarray) -> Calibration:
    return Calibration.draw(Dataset("calibration", array), 100, seed=0)


def test_other_photographs_pass() -> None:
    drawn(photographs(100, seed=1)).require_likeness(Dataset("data", photographs(100, seed=2)))


def test_noise_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 16, 16, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="look like noise") as caught:
        drawn(noise).require_likeness(Dataset("data", photographs(100, seed=2)))
    assert "--calibration" in caught.value.remedy


@pytest.mark.parametrize("change", [lambda p: p // 255, lambda p: p // 8, lambda p: 200 + p // 8])
def test_another_range_is_refused(change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Pictures stored as 0..1, dark ones, bright ones: their ranges would cut the data's off."""
    with pytest.raises(InputError, match="another range"):
        drawn(change(photographs(100, seed=1))).require_likeness(Dataset("data", photographs(100, seed=2)))


def test_pictures_that_are_noise_themselves_may_calibrate_noise() -> None:
    """The data says what is normal: the golden pictures are noise on a flat ground."""
    drawn(pictures(60, seed=1)[0]).require_likeness(Dataset("data", pictures(60, seed=2)[0]))
    noise = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3)).astype(np.uint8)
    drawn(noise).require_likeness(Dataset("data", pictures(60, seed=2)[0]))


def test_pictures_of_one_colour_and_of_one_pixel() -> None:
    flat = np.full((20, 8, 8), 100, np.uint8)
    drawn(flat).require_likeness(Dataset("data", flat))
    drawn(flat[:, :1, :1]).require_likeness(Dataset("data", flat[:, :1, :1]))


@pytest.mark.parametrize("name", ["cifar10", "mnist/mnist.npz", "flowers", "cats_vs_dogs"])
def test_real_training_pictures_are_like_the_test_pictures(
    test_data: Callable[[str], Path], request: pytest.FixtureRequest, name: str
) -> None:
    path = str(request.getfixturevalue("cifar10") if name == "cifar10" else test_data(name))
    Calibration.draw(load_data(path, "train"), 100, seed=0).require_likeness(load_data(path, "test"))


def test_real_pictures_and_noise(cifar10: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="noise"):
        drawn(noise).require_likeness(load_data(str(cifar10), "test"))


def test_the_method_travels_in_the_record() -> None:
    record = Calibration.draw(Dataset("data", photographs(10, seed=1)), 300, 7, "entropy").record
    assert (record.samples, record.seed, record.method) == (10, 7, "entropy")
    with pytest.raises(InputError, match="calibration method"):
        Calibration.draw(Dataset("data", photographs(10, seed=1)), 300, 7, "guess")
