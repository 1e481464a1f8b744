"""Folding changes no output and leaves alone what it cannot fold."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from edgecnn.errors import InputError
from edgecnn.fakequant import fold

from .conftest import normalizations, pixels, unsettled, zoo


def assert_same(model: keras.Model, folded: keras.Model, *shape: int) -> None:
    x = pixels(8, *shape)
    expected, found = (keras.ops.convert_to_numpy(each(x, training=False)) for each in (model, folded))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "mobilenet", "lenet5", "lenet5_classic"])
def test_the_zoo(name: str) -> None:
    size = (28, 28, 1) if name.startswith("lenet") else (16, 16, 3)
    model = zoo(name, size[0], size[2])
    before = [np.array(weight) for weight in model.get_weights()]
    folded = fold(model)
    assert_same(model, folded, *size)
    assert normalizations(folded) == 0
    gone = (layers.BatchNormalization, layers.InputLayer)
    kept = {layer.name for layer in model.layers if not isinstance(layer, gone)}
    assert {layer.name for layer in folded.layers if not isinstance(layer, gone)} == kept
    assert all(type(layer).__module__.startswith("keras.") for layer in folded.layers)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_file_of_the_folded_model_opens(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folded = fold(zoo("resnet8"))
    folded.save(tmp_path / "m.keras")
    assert_same(folded, keras.saving.load_model(tmp_path / "m.keras"), 16, 16, 3)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, 3, use_bias=False, name="w"),
        layers.Conv2D(6, 3, groups=3, name="w"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, bias_initializer="ones", name="w"),
        layers.Conv2DTranspose(5, 3, strides=2, name="w"),
        layers.SeparableConv2D(5, 3, depth_multiplier=2, name="w"),
        layers.Dense(5, name="w"),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}], ids=str)
def test_every_kind_of_layer(layer: layers.Layer, options: dict[str, object]) -> None:
    layer = type(layer).from_config(layer.get_config())
    model = keras.Sequential([keras.Input((8, 8, 3)), layer, layers.BatchNormalization(**options), layers.ReLU()])
    normalization = model.layers[1]
    generator = np.random.default_rng(0)
    normalization.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in normalization.get_weights()])
    folded = fold(model)
    assert normalizations(folded) == 0
    assert folded.get_layer("w").use_bias
    assert_same(model, folded, 8, 8, 3)


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same", name="conv")], name="inner")
    part = keras.Input((8, 8, 4))
    deep = keras.Model(part, layers.BatchNormalization(name="bn")(inner(part)), name="deep")
    picture = keras.Input((8, 8, 3))
    tensor = layers.ReLU(name="relu")(deep(layers.Conv2D(4, 3, padding="same", name="conv")(picture)))
    return unsettled(keras.Model(picture, layers.Dense(2, name="dense")(layers.Flatten()(tensor)), name="outer"))


def test_nested_models_are_opened_and_names_stay_unique() -> None:
    """The normalization of one nested model folds into the convolution of another."""
    folded = fold(nested())
    assert normalizations(folded) == 0
    assert {"conv", "deep_inner_conv", "relu", "dense"} <= {layer.name for layer in folded.layers}
    assert_same(nested_same := nested(), fold(nested_same), 8, 8, 3)


def test_what_cannot_be_folded_stays() -> None:
    picture = keras.Input((8, 8, 3))
    tensor = layers.BatchNormalization(name="before")(picture)  # pre-activation: nothing in front
    tensor = layers.Conv2D(4, 3, activation="relu", name="active")(tensor)
    tensor = layers.BatchNormalization(name="after_relu")(tensor)
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    tensor = layers.BatchNormalization(name="of_shared")(shared(shared(tensor)))
    two = layers.Conv2D(4, 3, padding="same", name="read_twice")(tensor)
    tensor = layers.Add(name="add")([two, layers.BatchNormalization(name="of_two")(two)])
    rows = layers.Conv2D(4, 3, padding="same", name="rows")(tensor)
    tensor = layers.BatchNormalization(axis=1, name="of_rows")(rows)
    model = unsettled(keras.Model(picture, layers.GlobalAveragePooling2D()(tensor)))
    folded = fold(model)
    assert normalizations(folded) == 5
    assert_same(model, folded, 8, 8, 3)


def test_two_in_a_row_fold_once() -> None:
    model = unsettled(
        keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.BatchNormalization()]
        )
    )
    folded = fold(model)
    assert normalizations(folded) == 1
    assert_same(model, folded, 8, 8, 3)


def test_a_normalization_at_the_output() -> None:
    model = unsettled(
        keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3), layers.BatchNormalization()])
    )
    assert_same(model, fold(model), 4, 4, 3)


def test_the_check_of_outputs_can_fail() -> None:
    """Negative control: a folded model with one bias moved is not the same."""
    model = zoo("resnet8")
    folded = fold(model)
    kernel, bias = folded.get_layer("conv1").get_weights()
    folded.get_layer("conv1").set_weights([kernel, bias + 0.01])
    with pytest.raises(AssertionError):
        assert_same(model, folded, 16, 16, 3)


def test_unknown_kinds_are_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, x):  # type: ignore[no-untyped-def]
            return x

    with pytest.raises(InputError, match="neither functional nor sequential") as caught:
        fold(Own())
    assert caught.value.remedy
    picture = keras.Input((4, 4, 3))
    with pytest.raises(InputError, match="one input and one output"):
        fold(keras.Model(picture, [layers.Flatten()(picture), layers.ReLU()(picture)]))
