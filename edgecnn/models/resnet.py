"""Small residual networks for small pictures: MLPerf Tiny's ResNet-8 and the ResNet-20 of CIFAR-10.

This module must not know data sets or training.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from edgecnn.errors import InputError, unknown
from edgecnn.models.normalization import MOMENTUM

_STACKS = (16, 32, 64)
_WEIGHT_DECAY = 1e-4
_SMALLEST_SIDE = 8
SHORTCUTS = ("projection", "identity")


def _conv(filters: int, size: int, stride: int, name: str, *, bias: bool) -> Any:
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(_WEIGHT_DECAY),
        name=name,
    )


def _identity_shortcut(tensor: Any, filters: int, stride: int, name: str) -> Any:
    """Option A of the paper: every second pixel, and zeros for the new channels; no parameters."""
    if stride > 1:
        tensor = layers.MaxPooling2D(1, strides=stride, name=f"{name}_skip_subsample")(tensor)
    if filters != tensor.shape[-1]:  # every stack doubles the channels
        # A copy scaled by 0: zeros of the right shape from a layer that every converter knows.
        zeros = layers.Rescaling(0.0, name=f"{name}_skip_zeros")(tensor)
        tensor = layers.Concatenate(name=f"{name}_skip_pad")([tensor, zeros])
    return tensor


def _unit(tensor: Any, filters: int, stride: int, name: str, *, bias: bool, shortcut: str) -> Any:
    """Two 3x3 convolutions beside a shortcut; where the shape changes, the shortcut does too."""
    skip = tensor
    changes = stride > 1 or tensor.shape[-1] != filters
    if changes and shortcut == "projection":
        skip = _conv(filters, 1, stride, f"{name}_skip", bias=bias)(tensor)
    elif changes:
        skip = _identity_shortcut(tensor, filters, stride, name)
    tensor = _conv(filters, 3, stride, f"{name}_conv1", bias=bias)(tensor)
    tensor = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn1")(tensor)
    tensor = layers.ReLU(name=f"{name}_relu1")(tensor)
    tensor = _conv(filters, 3, 1, f"{name}_conv2", bias=bias)(tensor)
    tensor = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn2")(tensor)
    tensor = layers.Add(name=f"{name}_add")([skip, tensor])
    return layers.ReLU(name=f"{name}_relu2")(tensor)


def _residual(
    input_shape: tuple[int, int, int], classes: int, *, units: int, bias: bool, shortcut: str, name: str
) -> Any:
    height, width = input_shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        raise InputError(f"{name} cannot take {height}x{width} pixels", f"at least {_SMALLEST_SIDE}x{_SMALLEST_SIDE}")
    pixels = keras.Input(input_shape, name="pixels")
    tensor = _conv(_STACKS[0], 3, 1, "conv1", bias=bias)(pixels)
    tensor = layers.BatchNormalization(momentum=MOMENTUM, name="bn1")(tensor)
    tensor = layers.ReLU(name="relu1")(tensor)
    for stack, filters in enumerate(_STACKS, start=1):
        for number in range(1, units + 1):
            stride = 2 if stack > 1 and number == 1 else 1
            tensor = _unit(tensor, filters, stride, f"stack{stack}_unit{number}", bias=bias, shortcut=shortcut)
    tensor = layers.GlobalAveragePooling2D(name="pool")(tensor)
    dense = layers.Dense(classes, activation="softmax", kernel_initializer="he_normal", name="probabilities")
    return keras.Model(pixels, dense(tensor), name=name)


def resnet8(input_shape: tuple[int, int, int], classes: int) -> Any:
    """Return the image classification model of MLPerf Tiny: one residual unit in each of three stacks.

    At 32x32x3 and 10 classes it has 78,666 parameters. Its convolutions keep their biases, its
    1x1 shortcuts have no batch normalization, and weights decay by L2 of 1e-4, as in the
    benchmark's model. The average over the last map is taken whatever its size. Input: float32
    (N, height, width, channels) of 0..1; output: float32 (N, classes), probabilities.

    Source: Banbury et al., "MLPerf Tiny Benchmark", 2021, section 4.3, and its reference model.

    Raises:
        InputError: the picture is smaller than 8x8 pixels.
    """
    return _residual(input_shape, classes, units=1, bias=True, shortcut="projection", name="resnet8")


def resnet20(input_shape: tuple[int, int, int], classes: int, shortcut: str = "projection") -> Any:
    """Return the 20-layer network of He et al. for CIFAR-10: three residual units in each of three stacks.

    Args:
        input_shape: height, width (8 pixels or more), channels.
        classes: of the softmax.
        shortcut: where the shape changes: ``projection`` (option B, a 1x1 convolution; 272,282
            trained parameters at 32x32x3 and 10 classes) or ``identity`` (option A, every second
            pixel and zeros for the new channels, as in the paper's CIFAR networks: 269,722
            trained parameters, its 0.27 million). Moving means and variances come on top: 1,376.

    Option B is the default because its nodes are plain convolutions, which every engine and every
    quantizer handles. Input: float32 (N, height, width, channels) of 0..1; output: float32
    (N, classes), probabilities.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2 and, for
    options A and B, section 4.1.

    Raises:
        InputError: the picture is too small or the shortcut unknown.
    """
    if shortcut not in SHORTCUTS:
        raise unknown("shortcut", shortcut, SHORTCUTS)
    return _residual(input_shape, classes, units=3, bias=False, shortcut=shortcut, name="resnet20")
