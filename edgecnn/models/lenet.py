"""LeNet-5, in the form that textbooks use today and in the form of 1998.

This module must not know data sets or training.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from edgecnn.errors import InputError

#: The retina of the paper: its convolutions without padding end on a 1x1 map from here.
_CLASSIC_SIDE = 32
#: Two poolings by 2 must leave one pixel.
_SMALLEST_SIDE = 4


def lenet5(input_shape: tuple[int, int, int], classes: int) -> Any:
    """Return LeNet-5 as textbooks build it: "same" convolutions, ReLU, max pooling, softmax.

    At 28x28x1 and 10 classes it has 545,546 parameters. Input: float32 (N, height, width,
    channels) of 0..1; output: float32 (N, classes), probabilities.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings
    of the IEEE 1998, section II.B, for the number of maps and units.

    Raises:
        InputError: the picture is smaller than 4x4 pixels.
    """
    if min(input_shape[:2]) < _SMALLEST_SIDE:
        raise InputError(
            f"lenet5 cannot take {input_shape[0]}x{input_shape[1]} pixels",
            f"at least {_SMALLEST_SIDE}x{_SMALLEST_SIDE}",
        )
    return keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            layers.Conv2D(6, 5, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(16, 5, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Conv2D(120, 5, padding="same", activation="relu", name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Dense(84, activation="relu", name="dense1"),
            layers.Dense(classes, activation="softmax", name="probabilities"),
        ],
        name="lenet5",
    )


def lenet5_classic(input_shape: tuple[int, int, int], classes: int) -> Any:
    """Return LeNet-5 as published, but for three simplifications that its successors all make.

    Convolutions without padding on 32x32 pixels (28x28 is zero-padded inside the model), tanh,
    average pooling. Simplified: every map of the second convolution sees all six maps (the
    paper's table I leaves 3 to 6), pooling trains no coefficient and bias, and the output is a
    softmax, not a Euclidean distance. At 10 classes and one channel it has 61,706 parameters.
    Input: float32 (N, 28, 28, channels) or (N, 32, 32, channels) of 0..1; output: float32
    (N, classes), probabilities.

    Source: LeCun et al. 1998, section II.B and figure 2.

    Raises:
        InputError: the picture is neither 28x28 nor 32x32.
    """
    height, width = input_shape[:2]
    if height != width or height not in (28, _CLASSIC_SIDE):
        raise InputError(f"lenet5_classic takes 28x28 or 32x32 pixels, not {height}x{width}", "--input-size 28")
    margin = (_CLASSIC_SIDE - height) // 2
    return keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            *([layers.ZeroPadding2D(margin, name="pad")] if margin else []),
            layers.Conv2D(6, 5, activation="tanh", name="c1"),
            layers.AveragePooling2D(2, name="s2"),
            layers.Conv2D(16, 5, activation="tanh", name="c3"),
            layers.AveragePooling2D(2, name="s4"),
            layers.Conv2D(120, 5, activation="tanh", name="c5"),
            layers.Flatten(name="flatten"),
            layers.Dense(84, activation="tanh", name="f6"),
            layers.Dense(classes, activation="softmax", name="probabilities"),
        ],
        name="lenet5_classic",
    )
