"""Every model of the zoo: sizes against the published figures, shapes, heads, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn.errors import InputError
from edgecnn.models import MODELS, ModelEntry, build_model


@pytest.mark.parametrize(
    ("name", "shape", "classes", "options", "parameters"),
    [
        ("lenet5", (28, 28, 1), 10, {}, 545_546),  # the course text
        ("lenet5_classic", (28, 28, 1), 10, {}, 61_706),  # the full-connection variant
        ("lenet5_classic", (32, 32, 1), 10, {}, 61_706),
        ("resnet8", (32, 32, 3), 10, {}, 78_666),  # MLPerf Tiny
        ("mobilenet", (224, 224, 3), 1000, {"alpha": 1.0}, 4_253_864),  # 4.2 million: table 6 of the paper
        ("resnet20", (32, 32, 3), 10, {"shortcut": "identity"}, 269_722 + 1_376),  # 0.27 million; moving statistics
        ("resnet20", (32, 32, 3), 10, {}, 269_722 + 1_376 + 16 * 32 + 32 * 64),  # two 1x1 shortcuts more
    ],
)
def test_parameter_counts_are_the_published_ones(
    name: str, shape: tuple[int, int, int], classes: int, options: dict[str, float | str], parameters: int
) -> None:
    assert build_model(name, shape, classes, **options).count_params() == parameters


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("side", "channels", "classes"), [(28, 1, 10), (32, 3, 2)])
def test_every_model_gives_probabilities(name: str, side: int, channels: int, classes: int) -> None:
    model = build_model(name, (side, side, channels), classes)
    pixels = np.random.default_rng(0).random((3, side, side, channels), np.float32)
    output = np.asarray(model(pixels))
    assert model.input_shape == (None, side, side, channels)
    assert output.shape == (3, classes)
    assert output.dtype == np.float32
    assert output.min() >= 0
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)


def test_resnet8_has_the_layers_of_mlperf_tiny(test_data: Callable[[str], Path]) -> None:
    import keras

    theirs = keras.saving.load_model(test_data("keras/mlperf_tiny_ic_resnet8_cifar10.h5"), compile=False)
    ours = build_model("resnet8")
    shapes = sorted(tuple(weight.shape) for weight in ours.weights)
    assert shapes == sorted(tuple(weight.shape) for weight in theirs.weights)


def test_identity_shortcut_is_subsampling_and_zeros() -> None:
    import keras

    from edgecnn.models.resnet import _identity_shortcut

    pixels = keras.Input((5, 4, 2))
    model = keras.Model(pixels, _identity_shortcut(pixels, 4, 2, "unit"))
    given = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype(np.float32)
    result = np.asarray(model(given))
    np.testing.assert_array_equal(result[..., :2], given[:, ::2, ::2])
    assert not result[..., 2:].any()


@pytest.mark.parametrize("side", [96, 128, 160, 192, 224])
def test_mobilenet_keeps_the_strides_of_the_paper(side: int) -> None:
    from edgecnn.models.mobilenet import strides_for

    assert strides_for(side, side) == (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def test_mobilenet_downsamples_small_pictures_where_it_is_told() -> None:
    from edgecnn.models.cost import multiply_accumulates
    from edgecnn.models.mobilenet import strides_for

    assert strides_for(32, 32) == (1, 1, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    assert strides_for(32, 32, "early") == (1, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)
    late, early = (
        build_model("mobilenet", (32, 32, 3), 10, alpha=0.5, downsample=where) for where in ("late", "early")
    )
    assert late.count_params() == early.count_params()
    assert multiply_accumulates(early) < 0.4 * multiply_accumulates(late)
    with pytest.raises(InputError, match="did you mean 'early'"):
        build_model("mobilenet", (32, 32, 3), 10, downsample="earl")


@pytest.mark.parametrize(("side", "last"), [(8, 4), (28, 4), (32, 4), (48, 6), (64, 4), (95, 6)])
def test_mobilenet_keeps_a_map_on_small_pictures(side: int, last: int) -> None:
    model = build_model("mobilenet", (side, side, 1), 2)
    assert model.get_layer("pw13").output.shape[1:3] == (last, last)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("lenet",), {}, "did you mean 'lenet5'"),
        (("mobilenet",), {"alfa": 1.0}, "did you mean 'alpha'"),
        (("lenet5",), {"alpha": 1.0}, "no options"),
        (("mobilenet",), {"alpha": 0.0}, "alpha must be"),
        (("mobilenet",), {"alpha": float("nan")}, "alpha must be"),
        (("resnet20",), {"shortcut": "identidy"}, "did you mean 'identity'"),
        (("lenet5_classic", (64, 64, 1)), {}, "28x28 or 32x32"),
        (("lenet5", (2, 28, 1)), {}, "cannot take"),
        (("resnet8", (4, 4, 3)), {}, "cannot take"),
        (("mobilenet", (4, 96, 3)), {}, "cannot take"),
        (("lenet5", (28, 28, 4)), {}, "1 or 3 channels"),
        (("lenet5", (0, 28, 1)), {}, "1 to 1024"),
        (("lenet5", (28, 28)), {}, "height, width, channels"),
        (("lenet5", None, 1), {}, "2 to"),
    ],
)
def test_impossible_models_are_refused(arguments: tuple[object, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_model(*arguments, **options)  # type: ignore[arg-type]
    assert caught.value.remedy


def test_every_entry_resolves_and_its_key_is_its_name() -> None:
    for name, entry in MODELS.items():
        assert entry.name == name
        assert callable(entry.build)


def test_an_entry_that_cannot_train_is_refused() -> None:
    with pytest.raises(InputError, match="cannot train"):
        ModelEntry("x", "", "lenet", (28, 28, 1), epochs=0)
