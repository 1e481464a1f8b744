"""Pictures that set the ranges of static recipes: drawn with a provenance, refused where they cannot serve.

This module must not know models or converters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgecnn.data import Dataset
from edgecnn.errors import InputError
from edgecnn.recipe import CalibrationRecord
from edgecnn.spec import ModelSpec
from edgecnn.vision.preprocess import float_tensors

#: Fewer calibration pictures than this give ranges that depend on the draw.
FEW_CALIBRATION_SAMPLES = 100
#: Pictures of each side that are looked at when calibration is compared with the data.
_COMPARED = 200
#: Rows of each that are looked at: more tell nothing new of its range, or of how alike neighbours are.
_ROWS = 64
#: Neighbouring pixels of photographs correlate by 0.9 and more, of noise by 0; whoever differs from
#: the data by more than this is of another kind than the data.
_LARGEST_CORRELATION_GAP = 0.4
#: Share of the data's range of pixels that calibration must span, or the ranges will cut pictures off.
_LEAST_SPAN = 0.5


@dataclass(frozen=True)
class Calibration:
    """Pictures that set the ranges of static recipes, and where they came from."""

    pictures: Dataset
    record: CalibrationRecord

    @classmethod
    def draw(cls, dataset: Dataset, samples: int, seed: int, method: str = "minmax") -> Calibration:
        """Draw ``samples`` pictures, class-balanced, by ``seed``.

        Raises:
            InputError: ``samples`` is no positive number, or the method is unknown.
        """
        if samples < 1:
            raise InputError(f"calibration needs at least 1 picture, not {samples}", "300 is the default")
        chosen = dataset.balanced(samples, seed)
        return cls(chosen, CalibrationRecord(Path(dataset.name).name, len(chosen), seed, chosen.sha256(), method))

    def tensors(self, spec: ModelSpec) -> npt.NDArray[np.float32]:
        """Return float32 (N, ...) inputs of the float model, without the batch axis."""
        return float_tensors(self.pictures, spec.input)

    def require_likeness(self, data: Dataset) -> None:
        """Refuse pictures that are not of the kind of ``data``: their ranges would not be its ranges.

        Two things are compared, both of the bare pixels: how much of the data's range of brightness
        calibration spans, and how alike neighbouring pixels are (noise has no likeness).

        Raises:
            InputError: they differ by more than different photographs do.
        """
        ours, theirs = _Look.at(self.pictures), _Look.at(data)
        remedy = "calibrate on pictures like those the model will see: --calibration DATA"
        spanned = min(ours.high, theirs.high) - max(ours.low, theirs.low)
        if spanned < _LEAST_SPAN * (theirs.high - theirs.low):
            raise InputError(
                f"the calibration pictures {self.record.data!r} have pixels of {ours.low:.0f} to {ours.high:.0f}, "
                f"the data of {theirs.low:.0f} to {theirs.high:.0f}: another range",
                remedy,
            )
        if theirs.correlation - ours.correlation > _LARGEST_CORRELATION_GAP:
            raise InputError(
                f"the calibration pictures {self.record.data!r} look like noise: neighbouring pixels correlate by "
                f"{ours.correlation:.2f}, those of the data by {theirs.correlation:.2f}",
                remedy,
            )


@dataclass(frozen=True)
class _Look:
    """What a set of pictures looks like: 1st and 99th percentile of its pixels, correlation of neighbours."""

    low: float
    high: float
    correlation: float

    @classmethod
    def at(cls, dataset: Dataset) -> _Look:
        chosen = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _COMPARED)).astype(int))
        pictures = [_rows(np.asarray(dataset.pictures[int(index)])) for index in chosen]
        # Each picture has an equal say, whatever its size.
        ends = np.array([np.percentile(picture, (1, 99)) for picture in pictures])
        low, high = np.percentile(ends[:, 0], 5), np.percentile(ends[:, 1], 95)
        return cls(float(low), float(high), float(np.median([_neighbour_correlation(picture) for picture in pictures])))


def _rows(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return picture[:: -(-len(picture) // _ROWS)].astype(np.float64)


def _neighbour_correlation(picture: npt.NDArray[np.float64]) -> float:
    """Return Pearson's correlation of every pixel with its right neighbour; 1 for a picture of one colour."""
    # A channel's mean is no likeness of neighbours: noise on a coloured ground stays noise.
    detail = picture - picture.mean(axis=(0, 1), keepdims=True)
    left, right = detail[:, :-1].ravel(), detail[:, 1:].ravel()
    if left.size < 2 or left.std() == 0 or right.std() == 0:
        return 1.0
    return float(np.corrcoef(left, right)[0, 1])
