"""Pictures with or without classes, as every room of edgecnn sees them.

This module must not know where pictures come from, nor what model will look at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import numpy.typing as npt

from edgecnn.errors import InputError

#: A picture: uint8, (height, width, 3) in RGB order or (height, width) in grey.
Picture = npt.NDArray[np.uint8]


class LazyPictures(Sequence[Picture]):
    """A sequence of pictures that are read when they are asked for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], Picture]) -> None:
        self.names = list(names)
        self._read = read

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> LazyPictures: ...
    def __getitem__(self, index: int | slice) -> Picture | LazyPictures:
        if isinstance(index, slice):
            return LazyPictures(self.names[index], self._read)
        return self._read(self.names[index])

    def at(self, indices: Iterable[int]) -> LazyPictures:
        """Return the pictures at ``indices``, still unread."""
        return LazyPictures([self.names[index] for index in indices], self._read)


#: N pictures: an array (N, height, width[, 3]) where they share a size, else any sequence.
Pictures = Sequence[Picture] | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """Pictures, their classes where known, and the names of the classes where known.

    Args:
        name: what the user called it.
        pictures: N pictures; sizes may differ.
        classes: int64 (N,), or ``None`` for pictures without classes.
        class_names: in class order, or ``None``.
        split: ``train``, ``test``, or ``all`` where the source has no splits.
    """

    name: str
    pictures: Pictures
    classes: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    split: str = "all"

    def __post_init__(self) -> None:
        if len(self.pictures) == 0:
            raise InputError(f"data {self.name!r} holds no pictures", "give another --data")
        if self.classes is None:
            return
        if self.classes.shape != (len(self.pictures),):
            raise InputError(
                f"data {self.name!r} has {len(self.pictures)} pictures and classes of shape {self.classes.shape}",
                "x and y of the .npz must have one length",
            )
        if self.classes.min() < 0:
            raise InputError(f"data {self.name!r} holds the class {self.classes.min()}", "classes count from 0")
        if self.class_names is not None and self.classes.max() >= len(self.class_names):
            raise InputError(
                f"data {self.name!r} holds class {self.classes.max()} but has {len(self.class_names)} class names",
                "correct the data",
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Picture]:
        return (np.asarray(self.pictures[index], np.uint8) for index in range(len(self)))

    def require_classes(self) -> npt.NDArray[np.int64]:
        """Return the class of every picture.

        Raises:
            InputError: they are not known.
        """
        if self.classes is None:
            raise InputError(f"data {self.name!r} has no classes", "use a folder per class, or an .npz with x and y")
        return self.classes

    @property
    def class_count(self) -> int:
        if self.class_names is not None:
            return len(self.class_names)
        return int(self.require_classes().max()) + 1

    def subset(self, indices: npt.NDArray[np.intp]) -> Dataset:
        """Return the pictures at ``indices``, in that order."""
        if isinstance(self.pictures, np.ndarray):
            pictures: Pictures = self.pictures[indices]
        elif isinstance(self.pictures, LazyPictures):
            pictures = self.pictures.at(indices)
        else:
            pictures = [self.pictures[i] for i in indices]
        classes = None if self.classes is None else self.classes[indices]
        return replace(self, pictures=pictures, classes=classes)

    def head(self, count: int | None) -> Dataset:
        """Return the first ``count`` pictures (all when ``None``)."""
        return self if count is None or count >= len(self) else self.subset(np.arange(count))

    def balanced(self, count: int, seed: int) -> Dataset:
        """Return the first ``count`` pictures of :meth:`balanced_order`; all of them, shuffled, if there are fewer."""
        return self.subset(self.balanced_order(seed)[:count])

    def balanced_order(self, seed: int) -> npt.NDArray[np.intp]:
        """Return all indices shuffled by ``seed`` so that of any first few the classes are as equal as can be.

        Without classes, a plain shuffle.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        if self.classes is not None:
            shuffled = self.classes[order]
            # The k-th picture of every class comes before the (k+1)-th of any.
            rank = np.zeros(len(order), np.int64)
            for class_id in np.unique(shuffled):
                members = shuffled == class_id
                rank[members] = np.arange(members.sum())
            order = order[np.argsort(rank, kind="stable")]
        return order

    def sha256(self) -> str:
        """Return a hash of all pixels, shapes and classes: the provenance of a figure."""
        digest = hashlib.sha256()
        for picture in self:
            digest.update(repr(picture.shape).encode())
            digest.update(np.ascontiguousarray(picture).data)
        if self.classes is not None:
            digest.update(self.classes.astype("<i8").tobytes())
        return digest.hexdigest()
