"""Makes the golden files: one tiny CNN whose weights are written by hand, exported by every recipe.

    python -m tests.golden.make

Make them with the oldest supported Python: Keras reads files of earlier versions, not of later ones.

It tells which of red, green and blue is brightest in an 8x8 picture, so a swapped channel order, a
wrong scale or a shifted label shows at once.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
LABELS = ("red", "green", "blue")
SIDE = 8


def pictures(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return uint8 (N, 8, 8, 3) RGB pictures and their classes: one channel 40 brighter, on soft noise."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % len(LABELS)
    base = rng.integers(20, 180, (count, 1, 1, 1)) + rng.integers(-15, 16, (count, SIDE, SIDE, 3))
    base[np.arange(count), :, :, classes] += 40
    return np.clip(base, 0, 255).astype(np.uint8), classes.astype(np.int64)


def save_data(path: Path, count: int = 300) -> Path:
    """Write an .npz with x_train, y_train, x_test, y_test and class_names."""
    (x_train, y_train), (x_test, y_test) = pictures(count, seed=1), pictures(count, seed=2)
    names = np.array(LABELS)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=names)
    return path


def save_model(path: Path) -> Path:
    """Write the Keras model, with its contract: a 3x3 mean per channel, global pooling, a dense layer."""
    from edgecnn import formats
    from edgecnn.artifact import contract_document
    from edgecnn.models.loading import import_keras
    from edgecnn.spec import Head, InputSpec, ModelSpec

    keras = import_keras()
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="picture"),
            keras.layers.Conv2D(3, 3, padding="same", activation="relu", kernel_initializer="zeros", name="means"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros", name="scores"),
        ]
    )
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        kernel[:, :, channel, channel] = 1 / 9
    model.get_layer("means").set_weights([kernel, np.zeros(3, np.float32)])
    model.get_layer("scores").set_weights([10 * (np.eye(3) - 1 / 3).astype(np.float32), np.zeros(3, np.float32)])
    model.save(path)
    spec = ModelSpec("tiny", "classify", InputSpec(SIDE, SIDE, 3, "rgb", scale=1 / 255), Head("probabilities"), LABELS)
    formats.embed(path, "keras", contract_document(spec, None, {}))
    return path


def main() -> int:
    """Make the golden files anew, by the exporter itself."""
    from edgecnn.cli.main import run

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data, model = save_data(work / "stripes.npz"), save_model(work / "tiny.keras")
        code = run(["export", str(model), "--data", str(data), "--out", str(work / "out")])
        for made in (model, *sorted((work / "out").glob("tiny_*"))):
            shutil.copy(made, HERE / made.name)
    return code


if __name__ == "__main__":
    sys.exit(main())
