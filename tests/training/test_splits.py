"""Which pictures train, validate and test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.data import Dataset, LazyPictures
from edgecnn.errors import InputError
from edgecnn.training.splits import TrainingData, hold_out, load_splits


def numbered(counts: list[int]) -> Dataset:
    """Pictures whose first pixel is their number, ``counts[k]`` of class k."""
    classes = np.repeat(np.arange(len(counts)), counts)
    pictures = np.zeros((len(classes), 4, 4), np.uint8)
    pictures[:, 0, 0] = np.arange(len(classes))
    return Dataset("numbered", pictures, classes)


def numbers(dataset: Dataset) -> set[int]:
    return {int(picture[0, 0]) for picture in dataset}


def save(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_a_tenth_of_every_class_is_held_out() -> None:
    rest, held_out = hold_out(numbered([100, 50, 2]), 0.1, seed=3)
    assert np.bincount(held_out.require_classes()).tolist() == [10, 5, 1]
    assert numbers(rest) | numbers(held_out) == set(range(152))
    assert not numbers(rest) & numbers(held_out)


def test_the_draw_follows_the_seed() -> None:
    data = numbered([100, 100])
    assert numbers(hold_out(data, 0.1, 0)[1]) == numbers(hold_out(data, 0.1, 0)[1])
    assert numbers(hold_out(data, 0.1, 0)[1]) != numbers(hold_out(data, 0.1, 1)[1])


def test_one_picture_of_a_class_is_too_few() -> None:
    with pytest.raises(InputError, match="class 1"):
        hold_out(numbered([5, 1]), 0.1, 0)


def test_test_pictures_come_from_the_test_split_alone(tmp_path: Path) -> None:
    data = numbered([100, 100])
    path = save(
        tmp_path / "d.npz",
        x_train=data.pictures,
        y_train=data.classes,
        x_test=np.full((6, 4, 4), 255, np.uint8),
        y_test=np.array([0, 1] * 3),
    )
    splits = load_splits(path, limit=40, seed=0)
    assert dict(splits.counts()) == {"train": 36, "validation": 4, "test": 6}
    assert np.bincount(splits.train.require_classes()).tolist() == [18, 18]
    assert numbers(splits.test) == {255}
    assert not numbers(splits.train) & numbers(splits.validation)
    assert (splits.labels, splits.channels, splits.test_is_held_out) == (("0", "1"), 1, False)


def test_data_without_a_test_split_gives_up_a_tenth_of_it(tmp_path: Path) -> None:
    data = numbered([100, 100])
    path = save(tmp_path / "d.npz", x=data.pictures, y=data.classes)
    splits = [load_splits(path, limit=None, seed=seed) for seed in (0, 1)]
    sets = [numbers(part) for part in (splits[0].train, splits[0].validation, splits[0].test)]
    assert [len(part) for part in sets] == [162, 18, 20]
    assert set.union(*sets) == set(range(200))
    assert splits[0].test_is_held_out
    assert numbers(splits[0].test) == numbers(splits[1].test)  # whatever the seed
    assert numbers(splits[0].validation) != numbers(splits[1].validation)


def folder_of(root: Path, names: list[str], count: int, shape: tuple[int, ...] = (6, 6, 3)) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(root / name / f"{number}.png"), np.full(shape, 10 * number, np.uint8))


def test_a_flat_folder_per_class(tmp_path: Path) -> None:
    folder_of(tmp_path / "d", ["a", "b"], 10)
    splits = load_splits(str(tmp_path / "d"), limit=None, seed=0)
    assert dict(splits.counts()) == {"train": 16, "validation": 2, "test": 2}
    assert (splits.labels, splits.channels) == (("a", "b"), 3)
    files = []
    for part in (splits.train, splits.validation, splits.test):
        assert isinstance(part.pictures, LazyPictures)
        files += part.pictures.names
    assert len(set(files)) == 20


def test_grey_folder_has_one_channel(tmp_path: Path) -> None:
    folder_of(tmp_path / "d", ["a", "b"], 4, (6, 6))
    assert load_splits(str(tmp_path / "d"), limit=None, seed=0).channels == 1


def test_folders_that_differ_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path / "d" / "train", ["a", "b"], 4)
    folder_of(tmp_path / "d" / "val", ["a", "c"], 4)
    with pytest.raises(InputError, match="same class folders") as caught:
        load_splits(str(tmp_path / "d"), limit=None, seed=0)
    assert "'c'" in caught.value.message


@pytest.mark.parametrize(
    ("y_train", "y_test", "limit", "message"),
    [
        ([0] * 10, [0] * 10, None, "one class only"),
        ([0, 1] * 5, [0, 2] * 5, None, "tests class 2"),
        ([0, 1] * 5, [0, 1] * 5, 2, "none is left to hold out"),
        ([0, 1] * 5, [0, 1] * 5, 1, "one class only"),
    ],
)
def test_data_that_cannot_train_is_refused(
    tmp_path: Path, y_train: list[int], y_test: list[int], limit: int | None, message: str
) -> None:
    x_train = np.zeros((10, 4, 4), np.uint8)
    path = save(tmp_path / "d.npz", x_train=x_train, y_train=y_train, x_test=x_train + 1, y_test=y_test)
    with pytest.raises(InputError) as caught:
        load_splits(path, limit=limit, seed=0)
    assert message in str(caught.value)


def test_color_data_has_three_channels() -> None:
    colored = Dataset("c", np.zeros((4, 4, 4, 3), np.uint8), np.array([0, 1, 0, 1]))
    assert TrainingData(colored, colored, colored, ("0", "1")).channels == 3
