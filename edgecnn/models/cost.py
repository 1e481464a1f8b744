"""What one prediction costs: multiply-accumulates, counted from the layers of a built model.

Convention: one multiply-accumulate for every product of a weight and an activation in a
convolution or dense layer, for one picture. Not counted: bias additions, normalization,
activations, pooling and additions of branches. This is the count of the MobileNet paper (Howard
et al. 2017, section 3.1: height * width * kernel area * channels in * channels out of the output
map). This module must not know the models that it counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _map_pixels(layer: Any) -> int:
    """Return height * width of the output map."""
    _, *sides = layer.output.shape
    pixels: int = math.prod(sides[1:] if layer.data_format == "channels_first" else sides[:-1])
    return pixels


def _layer_macs(layer: Any) -> int:
    if isinstance(layer, keras.layers.SeparableConv2D):
        # In Keras a SeparableConv2D is no DepthwiseConv2D: its two kernels have names of their own.
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return int(_map_pixels(layer) * kernels)
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        # A kernel is (height, width, channels in / groups, filters): groups are counted by its shape;
        # a depthwise one is (height, width, channels, multiplier).
        return int(_map_pixels(layer) * math.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Dense):
        # On a map, a dense layer works at every position but the last axis.
        return int(math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape))
    return 0


def multiply_accumulates(model: Any) -> int:
    """Return the multiply-accumulates of one prediction on one picture.

    Counts Conv2D (with groups), DepthwiseConv2D, SeparableConv2D and Dense, in nested models too;
    the convention is in the module's docstring.

    Args:
        model: a built Keras model with a fixed input size.
    """
    return sum(_layer_macs(layer) for layer in _leaves(model))
