"""What Keras is fed, against what the contract says."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.data import Dataset
from edgecnn.spec import InputSpec
from edgecnn.training.batches import PictureBatches
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info


def colored(count: int) -> Dataset:
    """Pictures of differing sizes, RGB and grey."""
    generator = np.random.default_rng(0)
    pictures = [
        generator.integers(0, 256, (9 + n, 14, 3) if n % 3 else (9 + n, 14)).astype(np.uint8) for n in range(count)
    ]
    return Dataset("colored", pictures, np.arange(count) % 2)


@pytest.mark.parametrize("largest_cache_bytes", [0, 1_000_000])
@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(8, 10, 1, color="gray", scale=1 / 255),
        InputSpec(8, 10, 3, scale=1 / 255),
        InputSpec(8, 10, 3, color="bgr", resize="letterbox", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)),
    ],
)
def test_batches_are_what_the_preprocessor_gives(spec: InputSpec, largest_cache_bytes: int) -> None:
    dataset = colored(7)
    batches = PictureBatches(dataset, spec, 3, largest_cache_bytes=largest_cache_bytes)
    preprocess = Preprocessor(spec, float_tensor_info(spec))
    expected = np.concatenate([preprocess(picture).copy() for picture in dataset])
    fed = [batches[number] for number in range(len(batches))]
    assert [len(classes) for _, classes in fed] == [3, 3, 1]
    pixels = np.concatenate([values for values, _ in fed])
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(np.concatenate([classes for _, classes in fed]), dataset.classes)


def orders(seed: int) -> list[list[int]]:
    """The order of 50 pictures in two epochs."""
    dataset = Dataset("n", np.arange(50, dtype=np.uint8).reshape(50, 1, 1), np.arange(50) % 2)
    batches = PictureBatches(dataset, InputSpec(1, 1, 1, color="gray"), 8, shuffle_seed=seed)
    seen = []
    for _ in range(2):
        seen.append([int(value) for number in range(len(batches)) for value in batches[number][0].ravel()])
        batches.on_epoch_end()
    return seen


def test_every_epoch_has_its_own_order_and_the_seed_fixes_them() -> None:
    first, second = orders(seed=5)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert orders(seed=5) == [first, second]
    assert orders(seed=6)[0] != first


def test_keras_feeds_one_order_per_epoch() -> None:
    """Keras must ask for the next order only when an epoch is over, or seeds would not fix it."""
    import keras

    def fed() -> list[int]:
        seen: list[int] = []

        class Recording(PictureBatches):
            def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
                values, classes = super().__getitem__(number)
                seen.extend(int(value) for value in values.ravel())
                return values, classes

        dataset = Dataset("n", np.arange(50, dtype=np.uint8).reshape(50, 1, 1), np.arange(50) % 2)
        batches = Recording(dataset, InputSpec(1, 1, 1, color="gray"), 8, shuffle_seed=5)
        model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(batches, epochs=2, verbose=0, shuffle=False)
        return seen[-100:]  # before that, Keras looks at a batch or two for their shapes

    seen = fed()
    assert sorted(seen[:50]) == sorted(seen[50:]) == list(range(50))
    assert seen[:50] != seen[50:]
    assert fed() == seen
