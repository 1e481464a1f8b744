"""Fine-tuning for int8: what it wins, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.artifact import Artifact, open_artifact
from edgecnn.errors import InputError
from edgecnn.fakequant import FakeQuantizedModel, predicted_classes
from edgecnn.files import sha256_of
from edgecnn.spec import Head, InputSpec, ModelSpec
from edgecnn.training import QuantizeAwareResult, TrainingPlan, train_quantize_aware
from edgecnn.training.callbacks import KeepBest
from edgecnn.training.save import save_model
from edgecnn.training.splits import load_splits

from .conftest import bars

LABELS = ("left", "mid", "right")
SIDE = 28


def contract(kind: str = "probabilities", labels: tuple[str, ...] = LABELS, layout: str = "nhwc") -> ModelSpec:
    image = InputSpec(SIDE, SIDE, 1, "gray", layout, scale=1 / 255)
    return ModelSpec("bars", "classify", image, Head(kind), labels)


def ignores_first(kernel):  # type: ignore[no-untyped-def]
    """Keep the weights of the first input channel at 0."""
    return kernel * np.array([0, 1, 1, 1, 1, 1, 1, 1], np.float32)[:, None]


def wide(largest: float, activation: str | None = "softmax", outputs: int = 3) -> keras.Model:
    """A trained network whose depthwise layer has one channel of ``largest`` that nobody reads.

    The float model knows nothing of it; int8 has few steps left for the seven others.
    """
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(8, 3, strides=2, use_bias=False, name="first"),
            layers.BatchNormalization(momentum=0.5, name="first_bn"),
            layers.ReLU(name="first_relu"),
            layers.DepthwiseConv2D(3, strides=2, activation="relu", name="wide"),
            layers.Conv2D(8, 1, activation="relu", kernel_constraint=ignores_first, name="next"),
            layers.Flatten(name="flat"),
            layers.Dense(outputs, activation=activation, name="scores"),
        ]
    )
    pictures, classes = bars(240, seed=9)
    targets = classes if outputs > 1 else (classes == 2).astype(np.int64)
    loss = {
        "softmax": keras.losses.SparseCategoricalCrossentropy(),
        None: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "sigmoid": keras.losses.BinaryCrossentropy(),
    }[activation]
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(pictures[..., None].astype(np.float32) / 255, targets, epochs=12, batch_size=32, verbose=0)
    reader, channel = model.get_layer("next"), model.get_layer("wide")
    reader.kernel_constraint = reader.kernel.constraint = None  # a file cannot hold it
    kernel, bias = channel.get_weights()
    kernel[:, :, 0], bias[0] = 0, largest
    channel.set_weights([kernel, bias])
    return model


def saved(model: keras.Model, path: Path, spec: ModelSpec) -> Artifact:
    save_model(model, path, spec, {})
    return open_artifact(path)


def fine_tuned(
    folder: Path, data: Path, model: keras.Model, spec: ModelSpec, plan: TrainingPlan
) -> QuantizeAwareResult:
    source = saved(model, folder / "float.keras", spec)
    splits = load_splits(str(data), limit=None, seed=plan.seed)
    return train_quantize_aware(model, source, spec, splits, str(data), folder / "out", plan)


PLAN = TrainingPlan(epochs=8, batch_size=32, learning_rate=5e-4)


def harmful(model: keras.Model) -> float:
    """Return the smallest of the unread channel's values at which int8 loses 8 points."""
    pictures, classes = bars(60, seed=2)
    x = pictures[..., None].astype(np.float32) / 255
    quantized = FakeQuantizedModel(model, (0.0, 1.0))
    quantized.set_ranges(quantized.calibrate(x))
    quantized.enable_all()
    for largest in np.geomspace(10, 1e4, 80):
        quantized.set_ranges({"wide": (0.0, float(largest))})
        if 100 * np.mean(predicted_classes(quantized.predict(x)) == classes) <= 92:
            return float(largest)
    raise AssertionError("no range does harm")


def test_it_wins_back_what_calibration_loses(tmp_path: Path) -> None:
    data = tmp_path / "many.npz"  # a dozen validation pictures would not tell one epoch from another
    (x_train, y_train), (x_test, y_test) = bars(900, seed=1), bars(150, seed=2)
    np.savez(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=LABELS)
    largest = harmful(wide(1))
    result = fine_tuned(tmp_path, data, wide(largest), contract(), PLAN)
    assert result.float_before > 95
    assert result.quantized_before <= 92  # the planted range does its harm
    assert result.test_accuracy > result.quantized_before + 5
    assert result.best_epoch > 0


def test_the_file_is_a_float_model_that_the_ranges_turn_into_the_trained_one(bars_npz: Path, tmp_path: Path) -> None:
    result = fine_tuned(tmp_path, bars_npz, wide(1), contract(), TrainingPlan(epochs=2, batch_size=32))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.png", "history.json", "model.keras"]
    artifact = open_artifact(result.model)
    assert artifact.require_spec() == result.spec
    assert (result.spec.name, result.spec.input) == ("bars_qat", contract().input)
    assert artifact.trained_ranges == result.trained_ranges
    assert list(artifact.trained_ranges) == ["first", "wide", "next", "scores", "scores/2"]
    assert artifact.provenance["source"] == "float.keras"
    assert artifact.provenance["source_sha256"] == sha256_of(tmp_path / "float.keras")

    model = keras.saving.load_model(result.model)
    assert [type(layer).__name__ for layer in model.layers] == [
        "InputLayer", "Conv2D", "ReLU", "DepthwiseConv2D", "Conv2D", "Flatten", "Dense",
    ]  # fmt: skip
    pictures, classes = bars(60, seed=2)
    x = pictures[..., None].astype(np.float32) / 255
    outputs = keras.ops.convert_to_numpy(model(x, training=False))
    assert 100 * np.mean(outputs.argmax(axis=1) == classes) == pytest.approx(result.float_after)
    again = FakeQuantizedModel(model, result.spec.input.value_range)
    again.set_ranges(artifact.trained_ranges)
    again.enable_all()
    reached = 100 * np.mean(predicted_classes(again.predict(x)) == classes)
    assert reached == pytest.approx(result.test_accuracy)

    history = json.loads(result.history.read_text())
    assert history["quantized_before"] == result.quantized_before
    assert [len(values) for values in history["per_epoch"].values()] == [2, 2, 2, 2]


@pytest.mark.parametrize(("kind", "activation", "outputs"), [("logits", None, 3), ("binary", "sigmoid", 1)])
def test_other_heads(tmp_path: Path, kind: str, activation: str | None, outputs: int) -> None:
    (x_train, y_train), (x_test, y_test) = bars(120, seed=1), bars(60, seed=2)
    if kind == "binary":
        y_train, y_test = (y_train == 2).astype(np.int64), (y_test == 2).astype(np.int64)
    np.savez(tmp_path / "d.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    labels = LABELS if kind == "logits" else ("other", "right")
    model, spec = wide(1, activation, outputs), contract(kind, labels)
    result = fine_tuned(tmp_path, tmp_path / "d.npz", model, spec, TrainingPlan(epochs=1, batch_size=32))
    assert result.float_before > 95
    assert result.test_accuracy > 90


def test_equal_seeds_write_equal_files(bars_npz: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plan = TrainingPlan(epochs=1, batch_size=32, seed=4)
        made.append(fine_tuned(tmp_path / name, bars_npz, wide(1), contract(), plan))
    weights = [[w.tobytes() for w in keras.saving.load_model(result.model).get_weights()] for result in made]
    assert weights[0] == weights[1]
    assert made[0].trained_ranges == made[1].trained_ranges


def test_training_that_only_harms_leaves_the_calibrated_model(bars_npz: Path, tmp_path: Path) -> None:
    model = wide(1)
    plan = TrainingPlan(epochs=2, batch_size=32, learning_rate=1.0)
    result = fine_tuned(tmp_path, bars_npz, model, contract(), plan)
    assert result.best_epoch == 0
    assert result.test_accuracy == result.quantized_before
    assert result.float_after == pytest.approx(result.float_before)


def test_the_start_is_kept_unless_an_epoch_is_better() -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    for accuracy, kept in ((0.7, 0.0), (0.9, 5.0)):
        model.set_weights([np.zeros((1, 1))])
        keeper = KeepBest(3, start=(0.8, 1.0))
        keeper.set_model(model)
        keeper.on_train_begin()
        model.set_weights([np.full((1, 1), 5.0)])
        keeper.on_epoch_end(0, {"val_accuracy": accuracy, "val_loss": 1.0})
        keeper.on_train_end()
        assert float(np.asarray(model.get_weights()[0]).item()) == kept


def test_channels_first_is_refused(bars_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="channels first"):
        fine_tuned(tmp_path, bars_npz, wide(1), contract(layout="nchw"), PLAN)
