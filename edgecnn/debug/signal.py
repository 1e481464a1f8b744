"""What quantization did to one tensor, summed over pictures without keeping any of them.

This module must not know engines, files or layers' names.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.tensors import INTEGER_RANGES, QuantParams

#: Magnitudes are counted by the upper half of a float32's bits: 128 bins for each doubling.
_BIN_SHIFT = 16
_BINS = 1 << 15
#: A channel that moves over fewer steps than this is not resolved: its values are mostly rounding.
RESOLVED_STEPS = 4
Array = npt.NDArray[np.float64]


class Signal:
    """Sums over pictures of one layer's output, in the float model (f) and in the quantized file (q).

    Channels are the last axis.

    Args:
        quant: how the file quantizes the tensor; ``None`` where it is float there.
    """

    def __init__(self, quant: QuantParams | None) -> None:
        self.quant = quant
        self._ff = self._qq = self._fq = self._ee = 0.0
        self._float_ends: Array | None = None
        self._file_ends: Array | None = None
        self._magnitudes = np.zeros(_BINS, np.int64)
        self._clipped = self._count = 0

    def add(self, f: npt.NDArray[np.float32], q: npt.NDArray[np.float32]) -> None:
        """Add pictures: two arrays of one shape, (N, ..., channels)."""
        real, found = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (f, q))
        self._ff += float((real * real).sum())
        self._qq += float((found * found).sum())
        self._fq += float((real * found).sum())
        self._ee += float(((real - found) ** 2).sum())
        self._float_ends = _widened(self._float_ends, real)
        self._file_ends = _widened(self._file_ends, found)
        bits = np.abs(f, dtype=np.float32).ravel().view(np.uint32) >> np.uint32(_BIN_SHIFT)
        self._magnitudes += np.bincount(bits, minlength=_BINS)[:_BINS]
        if self.quant is not None:
            low, high = span(self.quant)
            half = self.quant.scale / 2  # so much further is still rounded to the last step
            self._clipped += int(((real < low - half) | (real > high + half)).sum())
        self._count += real.size

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise, 10 log10(sum f^2 / sum (f - q)^2); infinite where equal, ``None`` for silence.

        Silence is a layer that gave nothing but zeros in the float model.
        """
        if self._ff == 0:
            return None
        if self._ee == 0:
            return math.inf
        return 10 * math.log10(self._ff / self._ee)

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between all values of f and all of q; ``None`` where one of them is all zeros."""
        if self._ff == 0 or self._qq == 0:
            return None
        return self._fq / math.sqrt(self._ff * self._qq)

    @property
    def float_range(self) -> tuple[float, float]:
        """Smallest and largest value in the float model."""
        return float(self._ends(self._float_ends)[0].min()), float(self._ends(self._float_ends)[1].max())

    @property
    def channels(self) -> int:
        return int(self._ends(self._float_ends).shape[1])

    @property
    def channel_magnitudes(self) -> Array:
        """Largest magnitude of each channel in the float model."""
        return np.asarray(np.abs(self._ends(self._float_ends)).max(axis=0))

    @property
    def channel_spans(self) -> Array:
        """Largest minus smallest value of each channel in the float model."""
        low, high = self._ends(self._float_ends)
        return np.asarray(high - low)

    @property
    def channel_ratio(self) -> float | None:
        """Largest channel's magnitude over that of the smallest channel that is not always zero."""
        alive = self.channel_magnitudes[self.channel_magnitudes > 0]
        return float(alive.max() / alive.min()) if len(alive) else None

    @property
    def dead_channels(self) -> int:
        """Channels that have one value only in the file, and more than one in the float model."""
        low, high = self._ends(self._file_ends)
        return int(((low == high) & (self.channel_spans > 0)).sum())

    @property
    def broken_channels(self) -> int:
        """Dead channels that the file's scale could have resolved: not range, but something else killed them."""
        if self.quant is None:
            return self.dead_channels
        low, high = self._ends(self._file_ends)
        resolvable = self.channel_spans > RESOLVED_STEPS * self.quant.scale
        return int(((low == high) & resolvable).sum())

    @property
    def unresolved_share(self) -> float:
        """Share of the channels that are alive in the float model and move over fewer than 4 of the file's steps."""
        alive = self.channel_spans > 0
        if self.quant is None or not alive.any():
            return 0.0
        return float((self.channel_spans[alive] < RESOLVED_STEPS * self.quant.scale).mean())

    def magnitude_at(self, share: float) -> float:
        """Return the magnitude that ``share`` of all values do not exceed, to 1 %."""
        reached = np.cumsum(self._magnitudes) >= share * self._magnitudes.sum()
        upper_end = np.array([int(reached.argmax()) + 1], np.uint32) << np.uint32(_BIN_SHIFT)
        return float(upper_end.view(np.float32)[0])

    @property
    def clipped_share(self) -> float:
        """Share of the float model's values that the file's scale cannot hold."""
        return self._clipped / self._count if self._count else 0.0

    @property
    def overshoot(self) -> float:
        """How far the float range goes past what the scale can hold, as a share of what it holds; 0 within."""
        if self.quant is None:
            return 0.0
        low, high = span(self.quant)
        return max(low - self.float_range[0], self.float_range[1] - high, 0.0) / (high - low)

    @staticmethod
    def _ends(ends: Array | None) -> Array:
        if ends is None:
            raise ValueError("no picture has been added")
        return ends


def span(quant: QuantParams) -> tuple[float, float]:
    """Return the smallest and the largest value that a quantized tensor can hold."""
    ends: npt.NDArray[Any] = np.array(INTEGER_RANGES[quant.dtype], quant.dtype)
    low, high = quant.dequantize(ends)
    return float(low), float(high)


def _widened(ends: Array | None, values: Array) -> Array:
    """Return smallest and largest value per channel, (2, channels), with these values (N, channels) among them."""
    low, high = values.min(axis=0), values.max(axis=0)
    if ends is None:
        return np.stack([low, high])
    return np.stack([np.minimum(ends[0], low), np.maximum(ends[1], high)])


def as_channels_last(q: npt.NDArray[np.float32], f: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return the file's tensor in the shape of the float model's; ``None`` where it cannot be the same tensor.

    ONNX files have channels first. Where all three sides are equal a shape does not tell, the
    values do: the arrangement that is nearer in angle is taken.
    """
    arrangements = [q]
    if q.ndim == 4:
        arrangements.append(q.transpose(0, 2, 3, 1))
    fitting = [array for array in arrangements if array.shape == f.shape]
    without_ones = [side for side in q.shape[1:] if side != 1] == [side for side in f.shape[1:] if side != 1]
    if not fitting and q.size == f.size and len(q) == len(f) and without_ones:
        fitting = [q.reshape(f.shape)]  # (N, 1, 1, C), (N, C, 1, 1) and (N, C)
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    return max(fitting, key=lambda array: float((array * f).sum()))
