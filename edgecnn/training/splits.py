"""Which pictures train, which decide when to stop, and which are only measured at the end.

This module must not know Keras or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecnn.data import Dataset, load_data
from edgecnn.errors import InputError
from edgecnn.reporter import SILENT, Reporter

#: Share of the training pictures that is held out for validation, and for a test where data has none.
HELD_OUT_SHARE = 0.1
_SAMPLED_FOR_COLOR = 32


@dataclass(frozen=True)
class TrainingData:
    """Three disjoint sets with the same classes, and the labels in class order.

    Args:
        train, validation, test: pictures with classes; no picture is in two of them, unless the
            data itself repeats it.
        labels: one per class.
        test_is_held_out: the data has no test split, so the test pictures were drawn from it.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    labels: tuple[str, ...]
    test_is_held_out: bool = False

    @property
    def channels(self) -> int:
        """1 if the training pictures are grey, else 3; of a folder, a few are looked at."""
        pictures = self.train.pictures
        if isinstance(pictures, np.ndarray):
            return 3 if pictures.ndim == 4 else 1
        looked_at = np.unique(np.linspace(0, len(pictures) - 1, _SAMPLED_FOR_COLOR).astype(int))
        return 3 if any(pictures[int(index)].ndim == 3 for index in looked_at) else 1

    def counts(self) -> Mapping[str, int]:
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Return the rest and the held-out part: ``share`` of every class, at least one picture of each.

    Both keep the order of ``dataset``; the draw depends on ``seed`` and the classes alone.

    Raises:
        InputError: a class has fewer than two pictures, or there are no classes.
    """
    classes = dataset.require_classes()
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(dataset), bool)
    for class_id in np.unique(classes):
        members = np.flatnonzero(classes == class_id)
        if len(members) < 2:
            raise InputError(
                f"data {dataset.name!r} has one training picture of class {class_id}: none is left to hold out",
                "give at least 2 pictures per class, or a larger --limit",
            )
        count = max(1, round(share * len(members)))
        held_out[generator.permutation(members)[:count]] = True
    return dataset.subset(np.flatnonzero(~held_out)), dataset.subset(np.flatnonzero(held_out))


def _labels(train: Dataset, test: Dataset) -> tuple[str, ...]:
    if train.class_names != test.class_names:
        raise InputError(
            f"data {train.name!r} has the classes {train.class_names} to train and {test.class_names} to test",
            "give both splits the same class folders",
        )
    present = np.unique(train.require_classes())
    if len(present) < 2:
        raise InputError(f"data {train.name!r} has one class only", "a classifier needs pictures of 2 or more classes")
    if int(test.require_classes().max()) > int(present.max()) and train.class_names is None:
        raise InputError(
            f"data {train.name!r} tests class {test.require_classes().max()}, which no training picture shows",
            "add training pictures of that class",
        )
    return train.class_names or tuple(str(class_id) for class_id in range(train.class_count))


def load_splits(data: str, *, limit: int | None, seed: int, reporter: Reporter = SILENT) -> TrainingData:
    """Return the three sets of a data set.

    Validation is a class-balanced tenth of the train split, never of the test split. A source
    without splits (a flat folder per class) gives up another tenth as its test set.

    Args:
        data: the grammar of :func:`edgecnn.data.load_data`.
        limit: keep so many pictures of the train split, class-balanced.
        seed: of every draw but the test set's, which is always the same.
        reporter: is told what people should not miss.

    Raises:
        InputError: no classes, one class only, splits that do not fit, too few pictures.
    """
    train, test = load_data(data, "train"), load_data(data, "test")
    labels = _labels(train, test)
    test_is_held_out = test.split == "all"
    if test_is_held_out:
        # Always by seed 0: runs with other seeds are measured on the same pictures.
        train, test = hold_out(train, HELD_OUT_SHARE, seed=0)
        reporter.warn(f"data {data!r} has no test split: {len(test)} pictures of it are held out to test on")
    if limit is not None and limit < len(train):
        train = train.balanced(limit, seed)
    absent = sorted(set(range(len(labels))) - set(np.unique(train.require_classes()).tolist()))
    if len(labels) - len(absent) < 2:
        raise InputError(f"{len(train)} training pictures show one class only", "give a larger --limit")
    if absent:
        reporter.warn(f"no training picture shows {', '.join(labels[class_id] for class_id in absent)}")
    train, validation = hold_out(train, HELD_OUT_SHARE, seed)
    return TrainingData(train, validation, test, labels, test_is_held_out)
