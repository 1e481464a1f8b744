"""Small models whose normalizations have something to normalize."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgecnn.models import build_model


def unsettled(model: Any, seed: int = 0) -> Any:
    """Return ``model`` with random statistics in every normalization, those of nested models too."""
    generator = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    generator.uniform(0.5, 1.5, gamma.shape),
                    generator.normal(0, 0.3, beta.shape),
                    generator.normal(0, 0.3, mean.shape),
                    generator.uniform(0.3, 2.0, variance.shape),
                ]
            )
    return model


def zoo(name: str, side: int = 16, channels: int = 3) -> Any:
    keras.utils.set_random_seed(0)
    return unsettled(build_model(name, (side, side, channels), 10))


def pixels(count: int, *shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, *shape)).astype(np.float32)


def normalizations(model: Any) -> int:
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers())
