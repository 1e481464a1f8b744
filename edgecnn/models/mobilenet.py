"""MobileNet, version 1: depthwise separable convolutions, batch normalization and ReLU6.

This module must not know data sets or training.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from edgecnn.errors import InputError, unknown
from edgecnn.models.normalization import MOMENTUM

#: (filters at alpha 1, stride) of the thirteen separable blocks: table 1 of the paper. (The last
#: stride of 2 in that table is known to be a misprint: its output size asks for 1.)
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1),
    (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_STEM_FILTERS, _STEM_STRIDE = 32, 2
#: From this side on the strides of the paper are kept: 96 / 32 = 3 pixels, as in MLPerf Tiny's model.
_PAPER_SIDE = 96
_SMALLEST_LAST_MAP = 4
_SMALLEST_SIDE = 8
DOWNSAMPLES = ("late", "early")


def strides_for(height: int, width: int, downsample: str = "late") -> tuple[int, ...]:
    """Return the strides of the stem and the thirteen blocks for a picture of this size.

    The paper's strides divide the picture by 32. Below 96 pixels that leaves a last map of one or
    two pixels, so strides of 2 become 1, one after another, until the last map is at least 4 pixels
    on its shorter side: 28 and 32 pixels keep three strides (4x4), 64 keep four. Downsampling
    ``late``, they do so from the front: large maps, more accurate at little width. ``early``, the
    stem's goes first and then the last ones: at 32 pixels a third of the multiply-accumulates.
    """
    strides = [_STEM_STRIDE, *(stride for _, stride in _BLOCKS)]
    shorter = min(height, width)
    if shorter >= _PAPER_SIDE:
        return tuple(strides)
    positions = range(len(strides)) if downsample == "late" else (0, *range(len(strides) - 1, 0, -1))
    for position in positions:
        if math.ceil(shorter / math.prod(strides)) >= _SMALLEST_LAST_MAP:
            break
        strides[position] = 1
    return tuple(strides)


def _normalized(tensor: Any, name: str) -> Any:
    tensor = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn")(tensor)
    # ReLU6 bounds the range, so one int8 scale covers it without waste.
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(tensor)


def mobilenet(input_shape: tuple[int, int, int], classes: int, alpha: float = 0.25, downsample: str = "late") -> Any:
    """Return a MobileNet v1.

    Args:
        input_shape: height, width (8 pixels or more), channels.
        classes: of the softmax.
        alpha: width multiplier, over 0 and up to 2: every layer has ``int(filters * alpha)``
            filters, at least 1.
        downsample: where a small picture is made smaller, ``late`` or ``early``.

    Input: float32 (N, height, width, channels) of 0..1; output: float32 (N, classes),
    probabilities. At 224x224x3, 1000 classes and alpha 1 it has 4,253,864 parameters and 569
    million multiply-accumulates, the paper's 4.2 and 569 million.

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications", 2017, table 1 and section 3.3; see :func:`strides_for` for small pictures.

    Raises:
        InputError: the picture is too small or alpha impossible.
    """
    height, width = input_shape[:2]
    if min(height, width) < _SMALLEST_SIDE:
        raise InputError(
            f"mobilenet cannot take {height}x{width} pixels", f"at least {_SMALLEST_SIDE}x{_SMALLEST_SIDE}"
        )
    if not (math.isfinite(alpha) and 0 < alpha <= 2):
        raise InputError(f"alpha must be over 0 and up to 2, not {alpha!r}", "--alpha 0.25, 0.5 or 1")
    if downsample not in DOWNSAMPLES:
        raise unknown("downsample", downsample, DOWNSAMPLES)
    stem_stride, *strides = strides_for(height, width, downsample)
    pixels = keras.Input(input_shape, name="pixels")
    # No bias before a batch normalization: its beta does that work.
    tensor = layers.Conv2D(
        max(1, int(_STEM_FILTERS * alpha)), 3, strides=stem_stride, padding="same", use_bias=False, name="conv1"
    )(pixels)
    tensor = _normalized(tensor, "conv1")
    for number, ((filters, _), stride) in enumerate(zip(_BLOCKS, strides, strict=True), start=1):
        tensor = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"dw{number}")(tensor)
        tensor = _normalized(tensor, f"dw{number}")
        tensor = layers.Conv2D(max(1, int(filters * alpha)), 1, use_bias=False, name=f"pw{number}")(tensor)
        tensor = _normalized(tensor, f"pw{number}")
    tensor = layers.GlobalAveragePooling2D(name="pool")(tensor)
    return keras.Model(
        pixels, layers.Dense(classes, activation="softmax", name="probabilities")(tensor), name="mobilenet"
    )
