"""Models that are hard to quantize on purpose: what a network computes is left alone, its ranges are not.

The case is documented: depthwise layers of trained MobileNets have channels whose ranges differ by
orders of magnitude, and one scale for all of them erases the small ones (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", 2019, section 3.1 and figure 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Every so many-th channel is made large.
EVERY = 8


def with_wide_range(model: Any, layer: str, norm: str, activation: str, reader: str, ratio: float = 1000.0) -> Any:
    """Return a copy of a Keras model in which every eighth channel of one layer is ``ratio`` times larger.

    The layer that reads them has its weights divided accordingly, so the scores stay the same: a
    ReLU lets a positive factor pass. A ReLU6 would cut it off and is replaced by a ReLU.

    Args:
        model: functional.
        layer: a depthwise convolution.
        norm: the batch normalization after it.
        activation: the ReLU or ReLU6 after that.
        reader: the 1x1 convolution after that, the only reader.
        ratio: of the large channels.
    """
    import keras

    def unbounded(original: Any) -> Any:
        if original.name != activation:
            return original.__class__.from_config(original.get_config())
        return keras.layers.ReLU(name=activation)

    planted = keras.models.clone_model(model, clone_function=unbounded)
    planted.set_weights(model.get_weights())
    gamma, beta, mean, variance = planted.get_layer(norm).get_weights()
    factors = np.where(np.arange(len(gamma)) % EVERY == 0, ratio, 1.0).astype(np.float32)
    planted.get_layer(norm).set_weights([gamma * factors, beta * factors, mean, variance])
    kernel, *bias = planted.get_layer(reader).get_weights()
    planted.get_layer(reader).set_weights([kernel / factors[:, None], *bias])
    assert layer in {item.name for item in planted.layers}
    return planted
