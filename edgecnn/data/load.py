"""The one grammar of ``DATA``: a name, an ``.npz``, a folder per class, a folder of pictures.

This module must not know models. Names are looked up in ``EDGECNN_DATA``, then in Keras' own cache,
and only then, where Keras is installed, fetched by ``keras.datasets``.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.data.dataset import Dataset, LazyPictures
from edgecnn.data.pictures import picture_files, read_picture
from edgecnn.errors import InputError, MissingDependency, closest
from edgecnn.quiet import quiet

SPLITS = ("train", "test")
_DIGITS = tuple(str(digit) for digit in range(10))
NAMED: dict[str, tuple[str, ...]] = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}  # fmt: skip
_GRAMMAR = f"give one of {', '.join(NAMED)}, an .npz with x_test and y_test, or a folder with one folder per class"
#: Folder names that stand for a split, most wanted first.
_SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}


def load_data(data: str, split: str = "test", *, limit: int | None = None) -> Dataset:
    """Return the pictures that ``data`` names.

    Args:
        data: a name, a path to an ``.npz`` or to a folder.
        split: ``train`` or ``test``; a source without splits gives all it has for either, and says
            so in :attr:`Dataset.split`.
        limit: keep the first so many (named sets and ``.npz`` come shuffled by their makers);
            folders, sorted by class, are drawn class-balanced with seed 0.

    Raises:
        InputError: unknown name, unreadable file, wrong shapes.
        MissingDependency: the source needs a package that is not installed.
    """
    if not data:
        raise InputError("the data has no name", _GRAMMAR)
    path = Path(data).expanduser()
    if data in NAMED and not path.suffix:
        dataset = _named(data, split)
    elif path.suffix == ".npz":
        dataset = _named_classes(_from_npz(data, path, split, None), path.stem)
    elif path.is_dir():
        dataset = _from_folder(data, path, split)
        return dataset if limit is None or limit >= len(dataset) else dataset.balanced(limit, seed=0)
    elif path.is_file():
        raise InputError(f"data {data!r} is neither an .npz nor a folder", _GRAMMAR)
    else:
        raise InputError(f"no data called {data!r}{closest(data, NAMED)}", _GRAMMAR)
    return dataset.head(limit)


def _named_classes(dataset: Dataset, stem: str) -> Dataset:
    """Give a file that is called like a named set, ``cifar10.npz``, that set's class names, if it tells none."""
    names = NAMED.get(stem)
    if names is None or dataset.class_names is not None or dataset.classes is None:
        return dataset
    return replace(dataset, class_names=names) if dataset.class_count <= len(names) else dataset


def _named(name: str, split: str) -> Dataset:
    if name == "digits":
        return _digits(split)
    folder = os.environ.get("EDGECNN_DATA")
    places = [Path(folder) / f"{name}.npz", Path(folder) / name / f"{name}.npz"] if folder else []
    places.append(Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets" / f"{name}.npz")
    for place in places:
        if place.is_file():
            return _from_npz(name, place, split, NAMED[name])
    try:
        with quiet():  # it tells of its download on standard output
            from keras import datasets

            arrays = getattr(datasets, name).load_data()[SPLITS.index(split)]
    except Exception as error:  # keras.datasets raises whatever its download raises, and may not be there
        raise InputError(
            f"data {name!r} is not on this machine and could not be fetched: {str(error).strip().splitlines()[-1]}",
            f"put {name}.npz (x_train, y_train, x_test, y_test) in a folder and set EDGECNN_DATA to it",
        ) from error
    return Dataset(name, _as_pictures(name, arrays[0]), _as_classes(name, arrays[1]), NAMED[name], split)


def _digits(split: str) -> Dataset:
    """UCI's handwritten digits (1,797 pictures of 8x8, 43 writers), made 28x28 with a margin of 4 as MNIST has.

    Split 1,437 / 360 by a fixed draw.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependency("scikit-learn", "train", "the data set 'digits'") from error
    import cv2

    small, classes = load_digits(return_X_y=True)
    bytes_8x8 = np.rint(small.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    pictures = np.zeros((len(bytes_8x8), 28, 28), np.uint8)
    for picture, digit in zip(pictures, bytes_8x8, strict=True):
        picture[4:24, 4:24] = cv2.resize(digit, (20, 20), interpolation=cv2.INTER_CUBIC)
    order = np.random.default_rng(0).permutation(len(pictures))
    chosen = order[: len(order) * 4 // 5] if split == "train" else order[len(order) * 4 // 5 :]
    return Dataset("digits", pictures[chosen], classes[chosen].astype(np.int64), _DIGITS, split)


def _from_npz(name: str, path: Path, split: str, class_names: tuple[str, ...] | None) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = set(archive.files)
            pick = next((key for key in (f"x_{split}", "x") if key in keys), None)
            if pick is None:
                found = ", ".join(sorted(keys)) or "nothing"
                raise InputError(
                    f"{str(path)!r} holds no x_{split}, but {found}", f"store x_{split} and y_{split} in it, or x and y"
                )
            pictures = archive[pick]
            y_key = pick.replace("x", "y", 1)
            classes = archive[y_key] if y_key in keys else None
            if class_names is None and "class_names" in keys:
                class_names = tuple(str(value) for value in archive["class_names"])
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
    ) as error:
        raise InputError(f"cannot read data {str(path)!r}: {error}", "store plain arrays with numpy.savez") from error
    known = None if classes is None else _as_classes(name, classes)
    return Dataset(name, _as_pictures(name, pictures), known, class_names, "all" if pick == "x" else split)


def _as_pictures(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return ``array`` as uint8 (N, H, W) or (N, H, W, 3); refuse what is not pixels of 0..255."""
    if array.dtype.kind not in "buif" or not array.size:
        raise InputError(
            f"data {name!r} holds {array.dtype} of shape {array.shape}, no pixels", "store pixels as uint8, 0..255"
        )
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3):
        raise InputError(f"data {name!r} has the shape {array.shape}", "store (N, H, W) or (N, H, W, 3)")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 255 or high <= 1 or not np.array_equal(array, np.rint(array)):
            raise InputError(
                f"data {name!r} holds {array.dtype} values of {low:g} to {high:g}, not pixels",
                "store pixels as uint8, 0..255; scaling belongs in the spec (--scale --mean --std)",
            )
        array = array.astype(np.uint8)
    return array


def _as_classes(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return ``array`` as int64 (N,); one-hot rows and a trailing axis of 1 are accepted."""
    if array.dtype.kind not in "buif" or not array.size:
        raise InputError(
            f"data {name!r} has {array.dtype} of shape {array.shape} for classes", "store whole numbers (N,)"
        )
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else array.argmax(axis=1)
    if array.ndim != 1 or not np.array_equal(array, np.rint(array)):
        raise InputError(
            f"data {name!r} has classes of shape {array.shape} and dtype {array.dtype}", "store whole numbers (N,)"
        )
    return array.astype(np.int64)


def _from_folder(name: str, folder: Path, split: str) -> Dataset:
    inner = next((folder / sub for sub in _SPLIT_FOLDERS[split] if (folder / sub).is_dir()), folder)
    class_folders = sorted(path for path in inner.iterdir() if path.is_dir() and not path.name.startswith("."))
    split_names = {sub for subs in _SPLIT_FOLDERS.values() for sub in subs}
    if inner == folder and class_folders and all(path.name in split_names for path in class_folders):
        wanted = " or ".join(_SPLIT_FOLDERS[split])
        raise InputError(f"folder {str(folder)!r} holds no {wanted} folder", f"add {_SPLIT_FOLDERS[split][0]}/ to it")
    part = "all" if inner == folder else split
    by_class = {path.name: picture_files(path) for path in class_folders}
    if any(by_class.values()):
        files = [str(path) for paths in by_class.values() for path in paths]
        classes = np.repeat(np.arange(len(by_class)), [len(paths) for paths in by_class.values()])
        return Dataset(name, LazyPictures(files, read_picture), classes.astype(np.int64), tuple(by_class), part)
    files = [str(path) for path in picture_files(inner)]
    if not files:
        raise InputError(f"folder {str(inner)!r} holds no pictures and no folder per class", _GRAMMAR)
    return Dataset(name, LazyPictures(files, read_picture), split=part)
