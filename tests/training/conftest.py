"""Data that a small model learns in seconds: bright bars at one of three places, grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 pictures (count, 28, 28) of three classes and int64 classes."""
    generator = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    pictures = generator.integers(0, 120, (count, 28, 28)).astype(np.uint8)
    for picture, class_id in zip(pictures, classes, strict=True):
        picture[:, 4 + 8 * class_id : 8 + 8 * class_id] += 90
    return pictures, classes


@pytest.fixture
def bars_npz(tmp_path: Path) -> Path:
    path = tmp_path / "bars.npz"
    x_train, y_train = bars(120, seed=1)
    x_test, y_test = bars(60, seed=2)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=["left", "mid", "right"])
    return path
