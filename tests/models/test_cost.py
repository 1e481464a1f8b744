"""Multiply-accumulates against numbers counted by hand."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from edgecnn.models import build_model
from edgecnn.models.cost import multiply_accumulates


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 6 * 3 * 3 * 4 * 5),
        (layers.Conv2D(5, 3, padding="same", use_bias=False), 8 * 6 * 3 * 3 * 4 * 5),  # a bias costs nothing
        (layers.Conv2D(5, 3, padding="valid"), 6 * 4 * 3 * 3 * 4 * 5),
        (layers.Conv2D(6, 3, padding="same", strides=2), 4 * 3 * 3 * 3 * 4 * 6),
        (layers.Conv2D(6, 3, padding="same", groups=2), 8 * 6 * 3 * 3 * 2 * 6),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 8 * 6 * 3 * 3 * 4 * 2),
        (layers.SeparableConv2D(7, 3, padding="same"), 8 * 6 * (3 * 3 * 4 + 4 * 7)),
        (layers.Dense(9), 8 * 6 * 4 * 9),  # at every pixel
        (layers.MaxPooling2D(2), 0),
        (layers.BatchNormalization(), 0),
    ],
)
def test_one_layer(layer: object, macs: int) -> None:
    assert multiply_accumulates(keras.Sequential([keras.Input((8, 6, 4)), layer])) == macs


def test_nested_models_are_counted() -> None:
    inner = keras.Sequential([keras.Input((12,)), layers.Dense(7)])
    outer = keras.Sequential([keras.Input((2, 2, 3)), layers.Flatten(), inner, layers.Dense(5)])
    assert multiply_accumulates(outer) == 12 * 7 + 7 * 5


def test_lenet5_by_hand() -> None:
    by_hand = 28 * 28 * 5 * 5 * 1 * 6 + 14 * 14 * 5 * 5 * 6 * 16 + 7 * 7 * 5 * 5 * 16 * 120 + 7 * 7 * 120 * 84 + 84 * 10
    assert by_hand == 3_434_760
    assert multiply_accumulates(build_model("lenet5")) == by_hand


def test_lenet5_classic_by_hand() -> None:
    by_hand = 28 * 28 * 25 * 6 + 10 * 10 * 25 * 6 * 16 + 25 * 16 * 120 + 120 * 84 + 84 * 10
    assert multiply_accumulates(build_model("lenet5_classic")) == by_hand


def test_mobilenet_is_the_papers_569_million() -> None:
    assert multiply_accumulates(build_model("mobilenet", (224, 224, 3), 1000, alpha=1.0)) == 568_740_352


def test_resnet8_is_mlperf_tinys_twelve_and_a_half_million() -> None:
    assert multiply_accumulates(build_model("resnet8")) == 12_501_632
