"""Makes keras2.h5, keras2.keras and keras2.npz: a model of Keras 2, and what Keras 2 computes with it.

    python -m tests.golden.make_keras2

Needs tf_keras, which is Keras 2 under another name and no dependency of edgecnn (2.21 made the files).
The model holds what Keras 3 refuses: DepthwiseConv2D with groups, batch_input_shape, arithmetic as
TFOpLambda, a frozen model inside the model, names with a slash.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def main() -> None:
    """Write the three files."""
    import tf_keras as keras

    layers, rng = keras.layers, np.random.default_rng(0)
    taken = keras.Input((8, 8, 4))
    hidden = layers.DepthwiseConv2D(3, padding="same", name="inner/depthwise")(taken)
    hidden = layers.BatchNormalization(axis=3)(hidden)
    inner = keras.Model(taken, layers.SeparableConv2D(6, 3)(layers.LeakyReLU(0.2)(hidden)), name="inner")
    inner.trainable = False
    picture = keras.Input((8, 8, 3))
    hidden = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2")(picture / 127.5 - 1.0)
    hidden = layers.add([hidden, layers.Conv2DTranspose(4, 3, padding="same")(hidden)])
    hidden = layers.GlobalAveragePooling2D()(inner(hidden, training=False))
    model = keras.Model(picture, layers.Dense(3, activation="softmax")(layers.Dropout(0.2)(hidden)))
    for weight in model.weights:
        values = rng.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)
    pictures = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
    np.savez(HERE / "keras2.npz", pictures=pictures, probabilities=model(pictures, training=False).numpy())
    model.save(HERE / "keras2.h5")
    model.save(HERE / "keras2.keras")


if __name__ == "__main__":
    main()
