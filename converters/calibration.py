"""From calibration samples to the ranges of activations, in one way for every format.

A format tells what its float file computes for one sample; this module keeps the extremes and, where
a method asks, a histogram of each tensor, and derives ranges from them. What was seen is kept beside
the file, so one file and one set of samples are run once. This module must not know any format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgecnn.errors import EngineError, unknown
from edgecnn.files import atomic_path

Range = tuple[float, float]
#: Runs one sample (without batch axis) and yields every tensor that wants a range, by name.
Observe = Callable[[npt.NDArray[np.float32]], Iterable[tuple[str, npt.NDArray[np.float32]]]]
_Array = npt.NDArray[np.float64]

#: Of the histograms. A range may shrink to a thirtieth and still be told 256 ways apart.
BINS = 8192
#: Of an 8-bit tensor.
LEVELS = 256
#: Share of the values, in percent, that the percentile method keeps; the rest is cut off, half of it
#: on either side. 99.99 kept the accuracy of most networks in Wu et al., "Integer Quantization for
#: Deep Learning Inference: Principles and Empirical Evaluation", 2020, table 5.
PERCENTILE = 99.99
#: Steps in which a side of a range shrinks while the best is looked for.
_STEPS = 128


class CalibrationRun:
    """What a float file computed for the samples.

    Args:
        source: the float file; the statistics are kept beside it.
        samples: float32 (N, ...), without batch axis.
        open_model: loads the file; called only if the statistics are not there yet.
    """

    def __init__(self, source: Path, samples: npt.NDArray[np.float32], open_model: Callable[[], Observe]) -> None:
        self._samples = samples
        self._open_model = open_model
        digest = hashlib.sha256(source.read_bytes())
        digest.update(np.ascontiguousarray(samples).data)
        self._kept = {
            kind: source.with_name(f"{source.stem}.{digest.hexdigest()[:16]}.{kind}.npz")
            for kind in ("extremes", "histograms")
        }

    def ranges(self, method: str) -> dict[str, Range]:
        """Return the smallest and largest value, 0 between them, that each tensor shall hold.

        Args:
            method: ``minmax`` (all that was seen), ``percentile``, ``entropy`` or ``mse``.

        Raises:
            EngineError: the model computes NaN or infinity for a sample.
            InputError: no such method.
        """
        extremes = self._load("extremes", self._find_extremes)
        if method == "minmax":
            return {name: (min(float(ends[0]), 0.0), max(float(ends[1]), 0.0)) for name, ends in extremes.items()}
        if method not in _METHODS:
            raise unknown("calibration method", method, ("minmax", *_METHODS))
        histograms = self._load("histograms", lambda: self._count(extremes))
        return {
            name: _METHODS[method](histograms[name][:BINS], *_with_zero(ends), zeros=int(histograms[name][BINS]))
            for name, ends in extremes.items()
        }

    def _load(self, kind: str, find: Callable[[], dict[str, _Array]]) -> dict[str, _Array]:
        path = self._kept[kind]
        if not path.exists():
            found = find()
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, names=np.array(list(found)), values=np.array(list(found.values())))
        with np.load(path) as kept:
            return dict(zip(kept["names"].tolist(), kept["values"], strict=True))

    def _observed(self) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        observe = self._open_model()
        for sample in self._samples:
            yield from observe(sample)

    def _find_extremes(self) -> dict[str, _Array]:
        """Smallest and largest value of each tensor."""
        found: dict[str, _Array] = {}
        for name, values in self._observed():
            ends = found.setdefault(name, np.array([np.inf, -np.inf]))
            low, high = float(values.min()), float(values.max())
            if not np.isfinite(low) or not np.isfinite(high):
                raise EngineError(
                    f"the float model computes {low if not np.isfinite(low) else high} in layer {name!r}",
                    "check how it is fed (--scale --mean --std), and the model's weights",
                )
            ends[:] = min(ends[0], low), max(ends[1], high)
        return found

    def _count(self, extremes: Mapping[str, _Array]) -> dict[str, _Array]:
        """Histograms in BINS bins between the extremes widened to hold 0; exact zeros are counted behind them."""
        found = {name: np.zeros(BINS + 1) for name in extremes}
        for name, values in self._observed():
            low, high = _with_zero(extremes[name])
            others = values[values != 0]
            found[name][:BINS] += np.bincount(_bins(others, low, high), minlength=BINS)
            found[name][BINS] += values.size - others.size
        return found


def _with_zero(ends: _Array) -> Range:
    return min(float(ends[0]), 0.0), max(float(ends[1]), 0.0)


def _bins(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.intp]:
    scaled = (values.ravel() - np.float32(low)) * np.float32(BINS / ((high - low) or 1.0))
    bins: npt.NDArray[np.intp] = np.minimum(scaled.astype(np.intp), BINS - 1)
    return bins


def _centres(low: float, high: float) -> _Array:
    edges = np.linspace(low, high, BINS + 1)
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def percentile_range(counts: _Array, low: float, high: float, *, zeros: int) -> Range:
    """Return the range that keeps PERCENTILE percent of the values, the same share cut off at both ends."""
    every = counts.copy()
    every[_bins(np.zeros(1, np.float32), low, high)] += zeros
    edges = np.linspace(low, high, BINS + 1)
    below = np.concatenate([[0.0], np.cumsum(every)]) / max(every.sum(), 1)
    share = (1 - PERCENTILE / 100) / 2
    start = edges[np.searchsorted(below, share, side="right") - 1]
    stop = edges[np.searchsorted(below, 1 - share, side="left")]
    return min(float(start), 0.0), max(float(stop), 0.0)


def mse_range(counts: _Array, low: float, high: float, *, zeros: int) -> Range:
    """Return the range with the smallest expected squared error of its 8-bit values.

    A value inside is off by a uniform rounding error, step^2 / 12 in the mean; one outside by its
    distance from the end. Exact zeros are exact in every range, so they have no say.
    """
    centres, part = _centres(low, high), np.linspace(0, 1, _STEPS + 1)
    starts, stops = low * part, high * part
    moments = [np.concatenate([[0.0], np.cumsum(counts * centres**power)]) for power in range(3)]
    at_start, at_stop = (np.searchsorted(centres, ends) for ends in (starts, stops))
    left = [moment[at_start] for moment in moments]
    right = [moment[-1] - moment[at_stop] for moment in moments]
    cut_left = left[2] - 2 * starts * left[1] + starts**2 * left[0]
    cut_right = right[2] - 2 * stops * right[1] + stops**2 * right[0]
    step = (stops[None, :] - starts[:, None]) / (LEVELS - 1)
    inside = moments[0][at_stop][None, :] - moments[0][at_start][:, None]
    error = cut_left[:, None] + cut_right[None, :] + inside * step**2 / 12
    start, stop = np.unravel_index(int(error.argmin()), error.shape)
    return float(starts[start]), float(stops[stop])


def entropy_range(counts: _Array, low: float, high: float, *, zeros: int) -> Range:
    """Return the range whose 8-bit values tell most of the distribution: the least Kullback-Leibler divergence.

    As in Migacz, "8-bit Inference with TensorRT", 2017, but each end shrinks by itself, so a range
    need not be symmetric: first the end that is farther from 0, then the other.
    """
    if not counts.any():
        return low, high
    zero = int(_bins(np.zeros(1, np.float32), low, high)[0])
    start, stop = 0, BINS
    for side in ("stop", "start") if high > -low else ("start", "stop"):
        if side == "stop":
            ends = [end for end in _between(zero + 1, BINS) if end - start >= LEVELS]
            stop = min(ends, key=lambda end: _divergence(counts, start, end), default=stop)
        else:
            ends = [end for end in _between(0, zero) if stop - end >= LEVELS]
            start = min(ends, key=lambda end: _divergence(counts, end, stop), default=start)
    edges = np.linspace(low, high, BINS + 1)
    return min(float(edges[start]), 0.0), max(float(edges[stop]), 0.0)


def _between(first: int, last: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(first, last, _STEPS + 1).tolist()})


def _divergence(counts: _Array, start: int, stop: int) -> float:
    """Kullback-Leibler divergence of the bins ``start:stop`` in LEVELS levels from all of them."""
    kept = counts[start:stop]
    true = kept.copy()
    true[0] += counts[:start].sum()
    true[-1] += counts[stop:].sum()
    firsts = np.linspace(0, len(kept), LEVELS, endpoint=False).astype(int)
    filled = kept > 0
    values, places = np.add.reduceat(kept, firsts), np.add.reduceat(filled.astype(float), firsts)
    level = np.divide(values, places, out=np.zeros_like(values), where=places > 0)
    told = np.where(filled, np.repeat(level, np.diff([*firsts, len(kept)])), 0.0)
    if not told.any():
        return np.inf
    true, told = true / true.sum(), told / told.sum()
    seen = true > 0
    # A bin that only the cut-off values fill is not told at all: small, so that it costs, but not 0.
    return float((true[seen] * np.log(true[seen] / np.maximum(told[seen], 1e-9))).sum())


_METHODS: dict[str, Callable[..., Range]] = {
    "percentile": percentile_range,
    "entropy": entropy_range,
    "mse": mse_range,
}
