"""The layer that hurts most is found."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.fakequant import FakeQuantizedModel, harm, predicted_classes
from tests.golden.make import pictures


def brightest_channel(largest: float) -> keras.Model:
    """A network, written by hand, that tells which of red, green and blue is brightest.

    Its depthwise layer makes channels of 1 to ``largest`` times their size, and the next layer
    undoes that: to no effect in float.
    """
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(3, 1, activation="relu", name="first"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu", name="planted"),
            layers.Conv2D(3, 1, activation="relu", name="next"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="logits"),
        ]
    )
    sizes = np.geomspace(1, largest, 3)
    kernels = {
        "first": np.eye(3)[None, None],
        "planted": np.broadcast_to(sizes[:, None] / 9, (3, 3, 3, 1)),
        "next": np.diag(1 / sizes)[None, None],
        "logits": 10 * (np.eye(3) - 1 / 3),
    }
    for name, kernel in kernels.items():
        model.get_layer(name).set_weights([kernel, np.zeros(3)])
    return model


def samples() -> tuple[np.ndarray, np.ndarray]:
    shown, classes = pictures(90, seed=5)
    return shown.astype(np.float32) / 255, classes


@pytest.mark.parametrize("with_classes", [True, False])
def test_a_planted_layer_comes_first(with_classes: bool) -> None:
    x, classes = samples()
    quantized = FakeQuantizedModel(brightest_channel(1000))
    lost = harm(quantized, x, classes if with_classes else None, quantized.calibrate(x))
    assert list(lost) == ["first", "planted", "next", "pool", "logits"]
    assert lost.pop("planted") > 30
    assert max(lost.values()) < 3
    # Negative control: the same network unscaled has no such layer.
    plain = brightest_channel(1)
    assert harm(plain, x, classes, FakeQuantizedModel(plain).calibrate(x))["planted"] < 3


def test_points_are_of_accuracy() -> None:
    x, classes = samples()
    quantized = FakeQuantizedModel(brightest_channel(1000))
    ranges = quantized.calibrate(x)
    wrong = (classes + 1) % 3  # a float model that is never right loses nothing
    assert max(harm(quantized, x, wrong, ranges).values()) <= 0
    assert quantized.enabled == ()


def test_classes_of_one_output() -> None:
    assert predicted_classes(np.array([[0.2], [0.5], [0.7]])).tolist() == [0, 0, 1]
    assert predicted_classes(np.array([[0.2, 0.5], [0.7, 0.1]])).tolist() == [1, 0]
