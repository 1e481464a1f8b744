"""Files of Keras 1 and 2, and weights beside their architecture: opened, and computing what they did."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.data import load_data
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.metrics import top1_accuracy
from edgecnn.models.loading import facts_of, open_keras_model
from edgecnn.pipeline import Pipeline
from edgecnn.runtimes import open_runtime
from edgecnn.spec import complete_spec
from tests.conftest import GOLDEN
from tests.models.test_loading import HOSTILE_LAYERS, LAMBDA, with_config


def computed(path: Path) -> np.ndarray:
    with np.load(GOLDEN / "keras2.npz") as known:
        return np.asarray(open_keras_model(open_artifact(path)).model(known["pictures"], training=False))


def known() -> np.ndarray:
    """What Keras 2 itself computed."""
    with np.load(GOLDEN / "keras2.npz") as arrays:
        return np.asarray(arrays["probabilities"])


def change_config(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change the architecture inside an ``.h5`` file by hand."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def split(path: Path) -> tuple[Path, Path]:
    """Make a whole ``.h5`` file one of weights alone, as Keras 2's save_weights does, and its architecture beside."""
    weights = path.with_name("apart.h5")
    with h5py.File(path, "r") as whole, h5py.File(weights, "w") as apart:
        group = whole["model_weights"]
        for name in group:
            group.copy(name, apart)
        for key, value in group.attrs.items():
            apart.attrs[key] = value
        weights.with_suffix(".json").write_text(whole.attrs["model_config"])
    return weights, weights.with_suffix(".json")


@pytest.mark.parametrize("name", ["keras2.h5", "keras2.keras"])
def test_a_repaired_model_computes_what_keras_2_did(golden: Callable[[str], Path], name: str) -> None:
    opened = open_keras_model(open_artifact(golden(name)))
    (note,) = opened.notes
    assert "older Keras, repaired" in note
    for what in ("batch_input_shape", "DepthwiseConv2D groups", "'math.truediv' as Rescaling", "names with /"):
        assert what in note
    np.testing.assert_allclose(computed(golden(name)), known(), atol=1e-6)


def test_a_file_that_needs_nothing_is_told_nothing(golden: Callable[[str], Path]) -> None:
    assert open_keras_model(open_artifact(golden("tiny.keras"))).notes == ()


def test_weights_alone_take_the_json_beside_them(golden: Callable[[str], Path]) -> None:
    weights, architecture = split(golden("keras2.h5"))
    opened = open_keras_model(open_artifact(weights))
    assert "holds weights alone: its architecture is that of apart.json" in opened.notes[0]
    np.testing.assert_allclose(computed(weights), known(), atol=1e-6)
    architecture.write_text(json.dumps(architecture.read_text()))  # json.dump(model.to_json())
    np.testing.assert_allclose(computed(weights), known(), atol=1e-6)
    architecture.unlink()
    with pytest.raises(InputError, match="weights without a model") as caught:
        open_keras_model(open_artifact(weights))
    assert "apart.json" in caught.value.remedy


def test_weights_of_keras_3_take_the_json_beside_them(golden: Callable[[str], Path], tmp_path: Path) -> None:
    model = open_keras_model(open_artifact(golden("tiny.keras"))).model
    model.save_weights(tmp_path / "mine.weights.h5")
    (tmp_path / "mine.json").write_text(model.to_json())
    opened = open_keras_model(open_artifact(tmp_path / "mine.weights.h5"))
    picture = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(opened.model(picture), model(picture))
    assert "mine.json" in opened.notes[0]


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"', "null", "7", '{"class_name": "Sequential"}', "[" * 100_000])
def test_a_json_that_is_no_architecture_is_refused(golden: Callable[[str], Path], content: str) -> None:
    weights, architecture = split(golden("keras2.h5"))
    architecture.write_text(content)
    with pytest.raises(InputError):
        open_keras_model(open_artifact(weights))


def test_the_json_beside_is_screened(golden: Callable[[str], Path]) -> None:
    weights, architecture = split(golden("keras2.h5"))
    config = json.loads(architecture.read_text())
    config["config"]["layers"].append(LAMBDA)
    architecture.write_text(json.dumps(config))
    with pytest.raises(InputError, match="run code"):
        open_keras_model(open_artifact(weights))


@pytest.mark.parametrize("what", HOSTILE_LAYERS)
def test_no_repair_passes_what_the_screen_refuses(golden: Callable[[str], Path], what: str) -> None:
    def hide(config: dict[str, Any]) -> None:
        config["config"]["layers"].append(HOSTILE_LAYERS[what])

    for path in (change_config(golden("keras2.h5"), hide), with_config(golden("keras2.keras"), hide)):
        with pytest.raises(InputError, match="run code"):
            open_keras_model(open_artifact(path))


def test_what_keras_is_handed_was_screened_again(
    golden: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a repair that would bring in code is stopped, and tf_keras' own names are no way around."""
    monkeypatch.setattr("edgecnn.models.loading.repaired", lambda config: ({**config, "more": LAMBDA}, ("x",)))
    with pytest.raises(InputError, match="Lambda"):
        open_keras_model(open_artifact(golden("keras2.h5")))

    def rename(config: dict[str, Any]) -> None:
        config["config"]["layers"][1].update(module="tf_keras.config", class_name="enable_unsafe_deserialization")

    with pytest.raises(InputError, match="run code"):
        open_keras_model(open_artifact(with_config(golden("keras2.keras"), rename)))


def test_an_argument_that_computes_is_not_dropped(golden: Callable[[str], Path]) -> None:
    def regroup(config: dict[str, Any]) -> None:
        inner = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Functional")
        inner["config"]["layers"][1]["config"]["groups"] = 2

    with pytest.raises(InputError, match="has groups 2, which Keras 3 does not compute"):
        open_keras_model(open_artifact(change_config(golden("keras2.h5"), regroup)))


def test_weights_of_theano_are_refused(golden: Callable[[str], Path]) -> None:
    """Its convolutions turn the kernels around: opened as they lie, they would compute something else."""
    path = golden("keras2.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = "theano"
    with pytest.raises(InputError, match="Theano"):
        open_keras_model(open_artifact(path))


def test_a_whole_keras_1_file_is_opened(tmp_path: Path) -> None:
    """Sequential as a list, nb_filter, border_mode, dim_ordering, output_dim, init: the layout of 2016."""
    import keras

    now = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu", name="conv"),
            keras.layers.MaxPooling2D(name="pool"),
            keras.layers.Dropout(0.25, name="drop"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    path = tmp_path / "then.h5"
    now.save(path)
    then = [
        {"class_name": "Convolution2D", "config": {
            "name": "conv", "trainable": True, "batch_input_shape": [None, 8, 8, 3], "input_dtype": "float32",
            "nb_filter": 4, "nb_row": 3, "nb_col": 2, "init": "glorot_uniform", "activation": "relu",
            "border_mode": "same", "subsample": [2, 2], "dim_ordering": "tf", "bias": True, "W_regularizer": None,
            "b_regularizer": None, "activity_regularizer": None, "W_constraint": None, "b_constraint": None}},
        {"class_name": "MaxPooling2D", "config": {
            "name": "pool", "trainable": True, "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid",
            "dim_ordering": "tf"}},
        {"class_name": "Dropout", "config": {"name": "drop", "trainable": True, "p": 0.25}},
        {"class_name": "Flatten", "config": {"name": "flat", "trainable": True}},
        {"class_name": "Dense", "config": {
            "name": "dense", "trainable": True, "output_dim": 3, "init": "glorot_uniform", "activation": "softmax",
            "input_dim": None, "bias": True, "W_regularizer": None, "W_constraint": None}},
    ]  # fmt: skip
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": then})
        file.attrs["keras_version"] = "1.2.2"
    opened = open_keras_model(open_artifact(path))
    assert "Sequential as a list" in opened.notes[0]
    assert "arguments of Keras 1" in opened.notes[0]
    picture = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_allclose(opened.model(picture), now(picture), atol=1e-6)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"tf"', '"th"')
    with pytest.raises(InputError, match="dim_ordering 'th'"):
        open_keras_model(open_artifact(path))


def test_a_damaged_old_file_is_refused(golden: Callable[[str], Path]) -> None:
    path = golden("keras2.keras")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
    content[info.header_offset + 100 : info.header_offset + 200] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(EdgecnnError):
        open_keras_model(open_artifact(path))


def test_no_room_for_the_copy_is_said(
    golden: Callable[[str], Path], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    with pytest.raises(EdgecnnError) as caught:
        open_keras_model(open_artifact(golden("keras2.h5")))
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "repaired"),
    [("fashion_mnist_tnn.h5", "batch_input_shape"), ("mlperf_tiny_vww_96.h5", "DepthwiseConv2D groups")],
)
def test_files_of_keras_2_are_opened(test_data: Callable[[str], Path], name: str, repaired: str) -> None:
    opened = open_keras_model(open_artifact(test_data(f"keras/{name}")))
    assert repaired in opened.notes[0]
    shape = facts_of(opened.model)
    pictures = np.random.default_rng(0).random(
        (4, shape.height or 0, shape.width or 0, shape.channels or 0), np.float32
    )
    answers = np.asarray(opened.model(pictures))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_repaired_model_knows_what_it_knew(test_data: Callable[[str], Path]) -> None:
    """90.6 % in Keras 2, on the 4,443 pictures."""
    artifact = open_artifact(test_data("keras/fashion_mnist_tnn.h5"))
    data = load_data(str(test_data("fashion_mnist/fashion_mnist_test_partial.npz")))
    runtime = open_runtime(artifact)
    told: dict[str, Any] = {"input": {"scale": "1/255"}}
    spec = complete_spec(told, facts_of(open_keras_model(artifact).model), name="tnn", labels=None)
    accuracy = top1_accuracy(Pipeline(runtime, spec).probabilities(data.pictures), data.require_classes())
    assert accuracy == pytest.approx(90.6, abs=0.1)


def test_the_file_itself_is_untouched(golden: Callable[[str], Path], tmp_path: Path) -> None:
    path = golden("keras2.h5")
    path.chmod(0o400)
    before = path.read_bytes()
    open_keras_model(open_artifact(path))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["keras2.h5"]
    shutil.rmtree(tmp_path)
