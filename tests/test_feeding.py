"""The feeding of a model, found on labelled pictures: the right one, or a question, never a guess."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.conventions import agrees, known_conventions
from edgecnn.data import Dataset, load_data
from edgecnn.errors import CheckFailed, InputError
from edgecnn.feeding import Found, find_feeding
from edgecnn.pipeline import Pipeline
from edgecnn.runtimes import facts_of, open_runtime
from edgecnn.spec import ModelFacts
from edgecnn.tensors import TensorInfo
from tests.golden import make

MNIST, FASHION = "mnist/mnist.npz", "fashion_mnist/fashion_mnist_test_partial.npz"


def found_for(model: Path, data: str, told: dict[str, Any] | None = None, **more: Any) -> Found:
    artifact = open_artifact(model)
    runtime = open_runtime(artifact)
    try:
        training = load_data(data, "train")
    except InputError:
        training = None
    return find_feeding(
        runtime, facts_of(runtime, artifact), told or {}, load_data(data), name="m", training=training, **more
    )


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("lenet_mnist_Sam783.h5", MNIST),
        ("fashion_mnist_hrhouma.h5", FASHION),
        ("fashion_mnist_hrhouma.keras", FASHION),
        ("fashion_mnist_tnn.h5", FASHION),
    ],
)
def test_grey_models_of_others_are_fed_0_to_1(test_data: Callable[[str], Path], model: str, data: str) -> None:
    found = found_for(test_data(f"keras/{model}"), str(test_data(data)))
    assert (found.chosen.convention.name, found.spec.input.color) == ("0..1", "gray")
    assert found.spec.input.scale == 1 / 255
    assert len(found.candidates) == 5


def test_resnet8_is_fed_bytes_in_rgb(test_data: Callable[[str], Path], cifar10: Path) -> None:
    found = found_for(test_data("keras/mlperf_tiny_ic_resnet8_cifar10.h5"), str(cifar10))
    assert (found.chosen.convention.name, found.spec.input.color) == ("0..255", "rgb")
    assert found.chosen.accuracy is not None
    assert found.chosen.accuracy == pytest.approx(87.2, abs=4)
    second = found.candidates[1]
    assert (second.convention.name, second.convention.color) == ("0..255", "bgr")


#: Class -> colour: no scale, offset or order of channels but the right one leaves all of them where they are.
COLORS = {
    "red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200),
    "dark": (30, 30, 30), "middle": (120, 120, 120), "bright": (220, 220, 220),
}  # fmt: skip
FACTS = ModelFacts(8, 8, 3, "nhwc", "probabilities", len(COLORS))


class Nearest:
    """An engine whose model is known: it undoes one feeding, then finds the nearest of the colours."""

    name, version, device = "nearest", "1", "CPU"

    def __init__(
        self, scale: float = 1.0, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,), *, bgr: bool = False
    ) -> None:
        self.batch: int | None = None
        self.inputs = (TensorInfo("input", (-1, 8, 8, 3), "float32"),)
        self.outputs = (TensorInfo("output", (-1, len(COLORS)), "float32"),)
        self.calls: list[int] = []
        self._undo = scale, np.array(mean, np.float32), np.array(std, np.float32)
        self._bgr = bgr

    def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        scale, mean, std = self._undo
        self.calls.append(len(tensors[0]))
        seen = ((tensors[0] * std + mean) / scale).mean(axis=(1, 2))
        seen = seen[:, ::-1] if self._bgr else seen
        distance = ((seen[:, None] - np.array(list(COLORS.values()), np.float32)) ** 2).sum(axis=2)
        scores = -(distance - distance.min(axis=1, keepdims=True)) / 1000
        exponents = np.exp(scores)
        return [np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)]


@pytest.fixture
def colors() -> Dataset:
    rng = np.random.default_rng(0)
    classes = np.arange(900) % len(COLORS)
    centres = np.array(list(COLORS.values()))[classes] + rng.normal(0, 25, (900, 3))
    pixels = centres[:, None, None] + rng.normal(0, 10, (900, 8, 8, 3))
    return Dataset("colors", np.clip(pixels, 0, 255).astype(np.uint8), classes, tuple(COLORS), "test")


def tried(engine: Any, data: Dataset, told: dict[str, Any] | None = None, **more: Any) -> Found:
    return find_feeding(engine, replace(FACTS, classes=data.class_count), told or {}, data, name="colors", **more)


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize(
    ("name", "scale", "mean", "std"),
    [("0..255", 1.0, (0.0,), (1.0,)), ("0..1", 1 / 255, (0.0,), (1.0,)), ("-1..1", 1 / 127.5, (1.0,), (1.0,))],
)
def test_what_a_model_was_made_for_is_found(
    colors: Dataset, name: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...], bgr: bool
) -> None:
    found = tried(Nearest(scale, mean, std, bgr=bgr), colors)
    assert (found.chosen.convention.name, found.chosen.convention.color) == (name, "bgr" if bgr else "rgb")
    assert found.chosen.accuracy is not None
    assert found.chosen.accuracy > 95
    assert (found.spec.input.scale, found.spec.input.color) == (scale, "bgr" if bgr else "rgb")


def test_each_convention_costs_one_pass_over_the_samples(colors: Dataset) -> None:
    engine = Nearest()
    found = tried(engine, colors, samples=128)
    assert engine.calls[:13] == [128] * 13
    assert len(found.candidates) == 13


def test_an_engine_of_batch_1_is_called_picture_by_picture(colors: Dataset) -> None:
    engine = Nearest()
    engine.batch = 1
    assert tried(engine, colors, samples=60).chosen.convention.name == "0..255"
    assert set(engine.calls) == {1}


def test_a_model_to_which_scale_is_nothing_is_asked_about(golden: Callable[[str], Path], tmp_path: Path) -> None:
    """Fed 0..255 it names the same classes with more confidence: no picture tells which it was made for."""
    data = str(make.save_data(tmp_path / "stripes.npz", count=600))
    with pytest.raises(InputError, match="cannot tell 2 ways of feeding apart") as caught:
        found_for(golden("tiny.keras"), data)
    assert "--scale 1/255 --color rgb" in caught.value.remedy


def test_swapped_colors_are_found(golden: Callable[[str], Path], tmp_path: Path) -> None:
    """What is found gives the answers of the contract through the pipeline; turned around, the model is fed BGR."""
    import keras

    path, data = golden("tiny.keras"), str(make.save_data(tmp_path / "stripes.npz", count=600))
    told = {"input": {"scale": "1/255"}}
    contract = open_artifact(path).spec
    assert contract is not None
    found = found_for(path, data, told)
    runtime = open_runtime(open_artifact(path))
    pictures = load_data(data).pictures
    np.testing.assert_array_equal(
        Pipeline(runtime, found.spec).probabilities(pictures), Pipeline(runtime, contract).probabilities(pictures)
    )
    model = keras.saving.load_model(path)
    kernel, bias = model.get_layer("means").get_weights()
    model.get_layer("means").set_weights([kernel[:, :, ::-1], bias])
    model.save(tmp_path / "turned.keras")
    turned = found_for(tmp_path / "turned.keras", data, told)
    assert (turned.spec.input.color, found.spec.input.color) == ("bgr", "rgb")
    assert (turned.chosen.convention.name, found.chosen.convention.name) == ("0..1", "0..1")


def test_a_model_that_scales_by_itself_is_fed_bytes(tmp_path: Path) -> None:
    import keras

    data = str(make.save_data(tmp_path / "stripes.npz", count=600))
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 127.5, -1.0),
            keras.layers.GlobalAveragePooling2D(),
            dense,
        ]
    )
    dense.set_weights([np.eye(3, dtype=np.float32) * 20, np.zeros(3, np.float32)])
    model.save(tmp_path / "m.keras")
    found = found_for(tmp_path / "m.keras", data)
    assert (found.chosen.convention.name, found.spec.input.color) == ("0..255", "rgb")


def test_conventions_with_equal_answers_do_not_block(colors: Dataset) -> None:
    """Grey pictures in three channels: RGB and BGR are one, and RGB is the plainer."""

    class Brightness(Nearest):
        def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
            level = tensors[0].mean(axis=(1, 2, 3)) * 255
            chosen = np.exp(-np.abs(level[:, None] - np.array([40.0, 120.0, 200.0])) / 20)
            return [np.asarray(chosen / chosen.sum(axis=1, keepdims=True), np.float32)]

    rng = np.random.default_rng(0)
    classes = np.arange(300) % 3
    pictures = np.array([40, 120, 200])[classes][:, None, None] + rng.integers(-9, 10, (300, 8, 8))
    grey = Dataset("grey", pictures.astype(np.uint8), classes.astype(np.int64), ("dark", "middle", "bright"), "test")
    found = tried(Brightness(), grey)
    assert (found.chosen.convention.name, found.chosen.convention.color) == ("0..1", "rgb")


class Random(Nearest):
    """Negative control: answers that have nothing to do with the picture."""

    def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        rng = np.random.default_rng(int(abs(float(tensors[0].sum()))) % 2**32)
        answers = rng.random((len(tensors[0]), len(COLORS)), np.float32)
        return [answers / answers.sum(axis=1, keepdims=True)]


def test_a_model_that_knows_nothing_is_refused(colors: Dataset) -> None:
    with pytest.raises(CheckFailed, match="with none of 13 ways of feeding does the model do better than a guess"):
        tried(Random(), colors)


def test_too_few_pictures_prove_nothing(colors: Dataset) -> None:
    with pytest.raises(CheckFailed, match="better than a guess on 4 pictures"):
        tried(Nearest(), colors.head(4))


def test_a_tie_asks_and_names_the_flags(colors: Dataset) -> None:
    """Negative control: a model that answers each feeding otherwise, and each equally well."""

    class Torn(Nearest):
        def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
            right = super().invoke([tensors[0] * (255 if tensors[0].max() <= 1 else 1)])[0].argmax(axis=1)
            # Which pictures it doubts, it decides by the scale.
            doubted = np.arange(len(right)) % 2 == (tensors[0].max() <= 1)
            sure = np.where(doubted, 0.6, 0.9)[:, None].astype(np.float32)
            return [np.where(np.eye(len(COLORS))[right] == 1, sure, (1 - sure) / 5).astype(np.float32)]

    told = {"input": {"color": "rgb"}}
    with pytest.raises(InputError, match=r"900 pictures cannot tell . ways of feeding apart") as caught:
        tried(Torn(), colors, told)
    assert "--scale 1 --color rgb" in caught.value.remedy
    assert "--scale 1/255 --color rgb" in caught.value.remedy


def test_what_few_pictures_cannot_tell_more_can(colors: Dataset) -> None:
    """A twin that is right a little less often: 30 pictures leave both, 300 only one."""

    class Twin(Nearest):
        def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
            answers = super().invoke([tensors[0] * (255 if tensors[0].max() <= 1 else 1)])[0]
            if tensors[0].max() <= 1:
                wrong = tensors[0].reshape(len(answers), -1).sum(axis=1) % 1 < 0.05
                answers[wrong] = np.roll(answers[wrong], 1, axis=1)
            return [answers]

    told = {"input": {"color": "rgb", "mean": 0, "std": 1}}
    found = tried(Twin(), colors, told, samples=40)
    assert found.chosen.convention.name == "0..255"
    assert {candidate.samples for candidate in found.candidates} <= {40, 400}


def test_flags_restrict_what_is_tried(colors: Dataset) -> None:
    engine = Nearest(1 / 255)
    found = tried(engine, colors, {"input": {"color": "rgb", "resize": "letterbox", "scale": "1/255"}})
    assert {candidate.convention.color for candidate in found.candidates} == {"rgb"}
    assert {candidate.convention.name for candidate in found.candidates} == {
        "0..1", "data mean/std", "data mean", "ImageNet mean/std",
    }  # fmt: skip
    assert found.spec.input.resize == "letterbox"
    with pytest.raises(InputError, match="fits no convention"):
        tried(engine, colors, {"input": {"scale": 0.37}})


def test_only_the_wrong_ones_left_are_no_better_than_a_guess(colors: Dataset) -> None:
    """--color bgr for an RGB model: red and blue are swapped."""
    red_or_blue = colors.subset(np.flatnonzero(np.isin(colors.require_classes(), (0, 2))))
    with pytest.raises(CheckFailed, match="better than a guess"):
        tried(Nearest(), red_or_blue, {"input": {"color": "bgr"}})


def test_classes_are_matched_by_name(colors: Dataset) -> None:
    names = tuple(COLORS)
    turned = replace(colors, classes=len(names) - 1 - colors.require_classes(), class_names=names[::-1])
    found = tried(Nearest(), turned, {"labels": list(names)})
    assert found.chosen.accuracy is not None
    assert found.chosen.accuracy > 95
    assert found.spec.labels == names


def test_data_without_classes_is_refused(colors: Dataset) -> None:
    with pytest.raises(InputError, match="has no classes"):
        tried(Nearest(), replace(colors, classes=None))
    with pytest.raises(InputError, match="one class alone"):
        tried(Nearest(), colors.subset(np.flatnonzero(colors.require_classes() == 1)))


def test_a_convention_that_overflows_costs_itself_alone(colors: Dataset) -> None:
    class Overflows(Nearest):
        def invoke(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
            answers = super().invoke(tensors)
            return [answers[0] * np.nan] if tensors[0].max() > 2 else answers

    found = tried(Overflows(1 / 255), colors)
    assert found.chosen.convention.name == "0..1"
    assert next(item for item in found.candidates if item.convention.name == "0..255").accuracy is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_statistics_are_those_of_the_training_pictures(colors: Dataset) -> None:
    training = replace(colors, pictures=np.asarray(colors.pictures) // 2)
    by_name = {item.convention.name: item.spec.input for item in tried(
        Nearest(), colors, {"input": {"color": "rgb"}}, training=training).candidates}  # fmt: skip
    pixels = np.asarray(training.pictures) / 255
    assert by_name["data mean/std"].mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-4)
    assert by_name["data mean/std"].std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-4)


def test_flags_say_a_convention_again() -> None:
    for channels in (1, 3):
        for convention in known_conventions(
            channels, (0.4914, 0.4822, 0.4465)[:channels], (0.247, 0.2435, 0.2616)[:channels]
        ):
            words = convention.flags.split()
            said = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
            image = {key: value.split(",") if key in ("mean", "std") else value for key, value in said.items()}
            assert agrees(convention, image, channels)


def test_a_manifest_can_record_the_search(colors: Dataset) -> None:
    document = tried(Nearest(), colors).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [item["convention"] for item in document["candidates"] if item["chosen"]] == ["0..255"]
