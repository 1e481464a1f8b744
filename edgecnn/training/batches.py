"""Pictures as Keras takes them: batches of float32 tensors, in an order that a seed fixes.

Pictures are fitted (resized, coloured) once and kept as uint8 while they fit into memory; above
that they are read again for every batch. Values are made per batch by the table of the contract,
so training sees bit for bit what :class:`~edgecnn.vision.Preprocessor` gives later. This module
must not know models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgecnn.data import Dataset
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import InputSpec
from edgecnn.tensors import QuantParams, TensorInfo
from edgecnn.training.augment import augment
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info, value_table

#: Fitted pictures of one data set up to this size are kept in memory.
LARGEST_CACHE_BYTES = 1_000_000_000


def _pixel_fitter(spec: InputSpec) -> Preprocessor:
    """Return a preprocessor that fits and colours but leaves pixels 0..255 as they are."""
    unit = InputSpec(
        spec.height,
        spec.width,
        spec.channels,
        spec.color,
        spec.layout,
        spec.resize,
        spec.interpolation,
        pad_value=spec.pad_value,
    )
    return Preprocessor(unit, TensorInfo("pixels", unit.shape, "uint8", QuantParams(1.0, 0, "uint8")))


class PictureBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """The batches of one data set: float32 (B, height, width, channels) and int64 (B,) classes.

    Args:
        dataset: pictures with classes.
        spec: how the model is fed, layout ``nhwc``.
        batch_size: pictures per batch; the last batch may be smaller.
        shuffle_seed: a new order every epoch, fixed by this seed; ``None`` for the given order.
        augmentations: names for :func:`~edgecnn.training.augment.augment`, drawn by ``shuffle_seed``.
        largest_cache_bytes: fitted pictures are kept in memory up to this size.
        reporter: shows how far the fitting is.
    """

    def __init__(
        self,
        dataset: Dataset,
        spec: InputSpec,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        augmentations: Sequence[str] = (),
        largest_cache_bytes: int = LARGEST_CACHE_BYTES,
        reporter: Reporter = SILENT,
    ) -> None:
        super().__init__()  # one worker: the order of batches is the order of time
        self._dataset = dataset
        self._classes = dataset.require_classes()
        self._batch_size = batch_size
        self._fit = _pixel_fitter(spec)
        self._values = value_table(spec, float_tensor_info(spec))
        self._seed = shuffle_seed
        self._augmentations = augmentations
        self._epoch = 0
        self._order = self._order_of(0)
        self._cache: npt.NDArray[np.uint8] | None = None
        size = len(dataset) * math.prod(spec.shape)
        if size <= largest_cache_bytes:
            self._cache = np.empty((len(dataset), *spec.shape[1:]), np.uint8)
            for index in reporter.progress(range(len(dataset)), "reading pictures", len(dataset)):
                self._cache[index] = self._fitted(index)

    def _fitted(self, index: int) -> npt.NDArray[np.uint8]:
        tensor: npt.NDArray[np.uint8] = self._fit(np.asarray(self._dataset.pictures[index], np.uint8))[0]
        return tensor

    def _order_of(self, epoch: int) -> npt.NDArray[np.intp]:
        if self._seed is None:
            return np.arange(len(self._dataset))
        return np.random.default_rng((self._seed, epoch)).permutation(len(self._dataset))

    def __len__(self) -> int:
        return math.ceil(len(self._dataset) / self._batch_size)

    def __getitem__(self, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        indices = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        if self._cache is not None:
            pixels = self._cache[indices]
        else:
            pixels = np.stack([self._fitted(int(index)).copy() for index in indices])
        if self._augmentations:
            drawn = np.random.default_rng((self._seed or 0, self._epoch, number))
            pixels = augment(pixels, self._augmentations, drawn)
        channel = np.arange(pixels.shape[-1])
        values: Any = self._values[pixels, channel] if pixels.shape[-1] > 1 else self._values[:, 0][pixels]
        return values, self._classes[indices]

    def on_epoch_end(self) -> None:
        """Move on to the order of the next epoch; Keras calls this."""
        self._epoch += 1
        self._order = self._order_of(self._epoch)
