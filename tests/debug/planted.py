"""Small models with and without a planted fault, and their int8 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.golden.make import LABELS, SIDE, save_data

#: Of the channels behind the depthwise layer: red is drowned, blue fills the scale.
SPREAD = (1.0, 30.0, 1000.0)
LAYERS = ("stem", "spread", "gather", "scores")


def save_model(path: Path, spread: tuple[float, float, float]) -> Path:
    """Write a model that names the brightest of red, green and blue, as the golden one does, in four layers.

    The outputs of the depthwise layer ``spread`` are scaled by ``spread``, the weights of the next
    layer divided by it: in float the two cancel, in one 8-bit scale they do not.
    """
    from edgecnn import formats
    from edgecnn.artifact import contract_document
    from edgecnn.models.loading import import_keras
    from edgecnn.spec import Head, InputSpec, ModelSpec

    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="picture"),
            layers.Conv2D(3, 3, padding="same", use_bias=False, name="stem"),
            layers.ReLU(name="stem_relu"),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="spread"),
            layers.ReLU(name="spread_relu"),
            layers.Conv2D(3, 1, use_bias=False, activation="relu", name="gather"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )
    scales = np.array(spread, np.float32)
    blur = np.full((3, 3), 1 / 9, np.float32)
    model.get_layer("stem").set_weights([blur[..., None, None] * np.eye(3, dtype=np.float32)])
    model.get_layer("spread").set_weights([(blur[..., None] * scales)[..., None]])
    model.get_layer("gather").set_weights([(np.eye(3, dtype=np.float32) / scales[:, None])[None, None]])
    model.get_layer("scores").set_weights([10 * (np.eye(3) - 1 / 3).astype(np.float32), np.zeros(3, np.float32)])
    model.save(path)
    spec = ModelSpec(
        "spread", "classify", InputSpec(SIDE, SIDE, 3, "rgb", scale=1 / 255), Head("probabilities"), LABELS
    )
    formats.embed(path, "keras", contract_document(spec, None, {}))
    return path


def export(folder: Path, spread: tuple[float, float, float]) -> tuple[Path, Path, dict[str, Path]]:
    """Make the model, its data and its int8 files, passed or rejected; return model, data and {format: file}."""
    from edgecnn.cli.main import run

    folder.mkdir(parents=True, exist_ok=True)
    data, model = save_data(folder / "stripes.npz"), save_model(folder / "spread.keras", spread)
    words = ["--data", str(data), "--recipe", "int8", "--max-drop", "100", "--trials", "0"]
    run(["export", str(model), *words, "--out", str(folder / "out")])
    found = {path.suffix[1:]: path for path in (folder / "out").rglob("*_int8.*")}
    assert sorted(found) == ["onnx", "tflite"]
    return model, data, found
