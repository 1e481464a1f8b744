"""The one grammar of DATA, and everything that it refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.data import NAMED, Dataset, load_data, read_picture
from edgecnn.errors import InputError


def save_npz(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return str(path)


def save_picture(path: Path, value: int = 100, shape: tuple[int, ...] = (6, 5, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def test_digits_are_real_and_split() -> None:
    train, test = load_data("digits", "train"), load_data("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.pictures[0].shape == (28, 28)
    assert train.class_names == tuple("0123456789")
    seen = {picture.tobytes() for picture in train}
    assert sum(picture.tobytes() in seen for picture in test) == 0


def test_mnist_is_found_in_edgecnn_data(test_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECNN_DATA", str(test_data("mnist").parent))
    data = load_data("mnist", "test", limit=100)
    assert (len(data), data.pictures[0].shape, data.class_names) == (100, (28, 28), tuple("0123456789"))


def test_npz_splits_and_limit(tmp_path: Path) -> None:
    path = save_npz(
        tmp_path / "my data.npz",
        x_train=np.zeros((5, 4, 4, 3), np.uint8), y_train=np.arange(5)[:, None],
        x_test=np.ones((3, 4, 4, 1), np.uint8), y_test=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    assert load_data(path, "train").require_classes().tolist() == [0, 1, 2, 3, 4]
    test = load_data(path, "test", limit=2)
    assert test.require_classes().tolist() == [0, 1]
    assert test.pictures[0].shape == (4, 4)


def test_a_file_called_like_a_named_set_has_its_class_names(tmp_path: Path) -> None:
    arrays = {"x_test": np.zeros((2, 4, 4, 3), np.uint8), "y_test": np.array([0, 9])}
    assert load_data(save_npz(tmp_path / "cifar10.npz", **arrays)).class_names == NAMED["cifar10"]
    assert load_data(save_npz(tmp_path / "other.npz", **arrays)).class_names is None
    arrays["y_test"] = np.array([0, 10])
    assert load_data(save_npz(tmp_path / "cifar10.npz", **arrays)).class_names is None


def test_whole_numbers_in_floats_are_pixels(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "d.npz", x_test=np.full((2, 4, 4), 200.0), y_test=np.zeros(2))
    assert load_data(path).pictures[0].dtype == np.uint8


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_test": np.random.default_rng(0).random((2, 4, 4)), "y_test": np.zeros(2)},  # scaled already
        {"x_test": np.zeros((2, 784), np.uint8), "y_test": np.zeros(2)},
        {"x_test": np.zeros((2, 4, 4, 4), np.uint8), "y_test": np.zeros(2)},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.zeros(3)},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.array([0, -1])},
        {"x_test": np.zeros((0, 4, 4), np.uint8), "y_test": np.zeros(0)},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.array([0.5, 1])},
        {"pictures": np.zeros((2, 4, 4), np.uint8)},
        {"x_test": np.array([{"code": "runs"}], dtype=object)},
        {"x_test": np.array(["text"]), "y_test": np.array(["text"])},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.array(["a", "b"])},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.zeros((2, 0))},
        {"x_test": np.zeros((2, 4, 4), np.complex64), "y_test": np.zeros(2)},
        {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.zeros(2), "class_names": np.array("one")},
    ],
)
def test_npz_that_holds_no_pictures_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError) as caught:
        load_data(save_npz(tmp_path / "d.npz", **arrays))
    assert caught.value.remedy


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "array.npz").open("wb") as stream:
        np.save(stream, np.zeros((2, 4, 4), np.uint8))
    (tmp_path / "text.npz").write_text("no arrays")
    for name in ("array.npz", "text.npz", "missing.npz"):
        with pytest.raises(InputError, match="cannot read data"):
            load_data(str(tmp_path / name))
    with pytest.raises(InputError, match="no name"):
        load_data("")


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="no regular file"):
        read_picture(tmp_path / "pipe.png")


def test_test_pictures_are_never_taken_for_training(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "d.npz", x_test=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(InputError, match="no x_train"):
        load_data(path, "train")
    path = save_npz(tmp_path / "e.npz", x_train=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(InputError, match="no x_test"):
        load_data(path, "test")


def test_a_source_without_splits_says_so(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "d.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.arange(2))
    assert load_data(path, "train").split == load_data(path, "test").split == "all"
    save_picture(tmp_path / "flat" / "a" / "1.png")
    assert load_data(str(tmp_path / "flat")).split == "all"
    assert (load_data("digits", "train").split, load_data("digits").split) == ("train", "test")
    save_picture(tmp_path / "half" / "train" / "a" / "1.png")
    assert load_data(str(tmp_path / "half"), "train").split == "train"
    with pytest.raises(InputError, match="no test or val"):
        load_data(str(tmp_path / "half"), "test")


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name, count in (("cat", 2), ("dog", 3)):
        for number in range(count):
            save_picture(tmp_path / "set" / name / f"a b{number}.png")
    (tmp_path / "set" / "cat" / "notes.txt").write_text("no picture")
    data = load_data(str(tmp_path / "set"))
    assert data.class_names == ("cat", "dog")
    assert data.require_classes().tolist() == [0, 0, 1, 1, 1]
    assert data.pictures[0].shape == (6, 5, 3)


def test_splits_above_the_classes(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "a" / "1.png")
    save_picture(tmp_path / "train" / "b" / "1.png")
    save_picture(tmp_path / "val" / "a" / "2.png")
    save_picture(tmp_path / "val" / "b" / "2.png")
    save_picture(tmp_path / "val" / "b" / "3.png")
    assert len(load_data(str(tmp_path), "train")) == 2
    assert len(load_data(str(tmp_path), "test")) == 3


def test_a_folder_of_pictures_has_no_classes(tmp_path: Path) -> None:
    save_picture(tmp_path / "1.png")
    assert load_data(str(tmp_path)).classes is None


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        load_data(str(tmp_path))


def test_misspelt_names_get_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        load_data("cifar_10")


def test_balanced_draw_is_seeded_and_balanced() -> None:
    classes = np.array([0] * 90 + [1] * 10, np.int64)
    data = Dataset("d", np.arange(100, dtype=np.uint8)[:, None, None].repeat(2, 1), classes)
    drawn = data.balanced(10, seed=3)
    assert np.bincount(drawn.require_classes()).tolist() == [5, 5]
    assert drawn.sha256() == data.balanced(10, seed=3).sha256()
    assert drawn.sha256() != data.balanced(10, seed=4).sha256()
    assert np.bincount(data.balanced(40, seed=3).require_classes()).tolist() == [30, 10]


def test_pictures_are_rgb_or_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((2, 2, 3), (0, 0, 255), np.uint8))
    assert read_picture(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]
    save_picture(tmp_path / "grey.png", shape=(3, 4))
    assert read_picture(tmp_path / "grey.png").shape == (3, 4)
    cv2.imwrite(str(tmp_path / "clear.png"), np.zeros((2, 2, 4), np.uint8))
    assert read_picture(tmp_path / "clear.png").shape == (2, 2, 3)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((2, 2), 65535, np.uint16))
    assert read_picture(tmp_path / "deep.png").tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_unreadable_pictures_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError, match="no picture"):
        read_picture(tmp_path / "x.png")
    with pytest.raises(InputError, match="cannot read"):
        read_picture(tmp_path / "missing.png")
