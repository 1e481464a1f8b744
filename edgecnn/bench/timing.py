"""THE timing loop of edgecnn, and the statistics of what it measured.

This module must not know what is timed: no model, no engine, no process.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgecnn.errors import InputError

#: Samples that must lie beyond a percentile before it is told.
BEYOND = 10
PERCENTILES = (50, 90, 99, 99.9)
#: The warm-up is steady when a window of calls is no faster, by more than this share, than the best before it.
STEADY = 0.02
_WINDOW_CALLS, _WINDOW_NS = 5, 10_000_000
#: How narrow the interval of the median is, is looked at after so many samples, and each time they have doubled.
_FIRST_LOOK = 100


def samples_needed(percent: float) -> int:
    """Return how many samples a percentile needs: 20 for p50, 100 for p90, 1000 for p99, 10,000 for p99.9.

    The tail beyond the percentile must hold :data:`BEYOND` samples: with fewer, the percentile is
    little more than the luck of single samples.
    """
    return math.ceil(round(BEYOND * 100 / (100 - percent), 6))


def key_of(percent: float) -> str:
    """Return the name of a percentile in documents: ``p50_ms``, ``p99_9_ms``."""
    return f"p{percent:g}_ms".replace(".", "_")


def median_ranks(count: int) -> tuple[int, int] | None:
    """Return the ranks (from 1) of the order statistics that enclose the median with 95 % confidence.

    Distribution-free: the number of samples below the median is binomial(n, 1/2), so the k-th
    smallest and the k-th largest enclose it with the probability 1 - 2 P(B < k); the largest k
    that keeps 95 % is taken (David and Nagaraja, "Order Statistics", 3rd edition, section 7.1).
    ``None`` below 6 samples: no k keeps 95 %.
    """
    tail, rank = 0.0, 0
    log_total = math.lgamma(count + 1) - count * math.log(2)
    while rank <= count // 2:
        tail += math.exp(log_total - math.lgamma(rank + 1) - math.lgamma(count - rank + 1))
        if tail > 0.025:
            break
        rank += 1
    return (rank, count + 1 - rank) if rank else None


@dataclass(frozen=True)
class Samples:
    """Raw durations of single calls, in nanoseconds, in the order in which they were taken.

    Raises:
        InputError: no samples, or a negative one.
    """

    nanoseconds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.nanoseconds or not all(
            isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in self.nanoseconds
        ):
            raise InputError("samples must be one or more durations in whole nanoseconds", "measure again")

    @cached_property
    def _sorted(self) -> tuple[int, ...]:
        return tuple(sorted(self.nanoseconds))

    @property
    def count(self) -> int:
        return len(self.nanoseconds)

    @property
    def median_ms(self) -> float:
        """The median in milliseconds, of however few samples: for comparing, not for quoting."""
        return float(np.median(self._sorted)) / 1e6

    def percentile_ms(self, percent: float) -> float | None:
        """Return a percentile in milliseconds; ``None`` with fewer than :func:`samples_needed` samples.

        Between two samples linearly interpolated, as ``numpy.percentile`` does (Hyndman and Fan,
        "Sample Quantiles in Statistical Packages", 1996, definition 7).
        """
        if self.count < samples_needed(percent):
            return None
        return float(np.percentile(self._sorted, percent)) / 1e6

    def ci95_ms(self) -> tuple[float, float] | None:
        """Return the 95 % confidence interval of the median in milliseconds, by :func:`median_ranks`.

        It holds for independent samples of this one process: what differs from one process to
        the next (memory layout, clock frequency) is not in it.
        """
        ranks = median_ranks(self.count)
        if ranks is None:
            return None
        return self._sorted[ranks[0] - 1] / 1e6, self._sorted[ranks[1] - 1] / 1e6

    def to_dict(self, *, raw: bool) -> dict[str, Any]:
        """Return the statistics as plain data, with the raw nanoseconds if ``raw``."""
        interval = self.ci95_ms()
        document: dict[str, Any] = {key_of(percent): self.percentile_ms(percent) for percent in PERCENTILES}
        document["samples"] = self.count
        document["ci95_ms"] = None if interval is None else list(interval)
        if raw:
            document["samples_ns"] = list(self.nanoseconds)
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Samples:
        """Return the samples of :meth:`to_dict`; the statistics are derived again.

        Raises:
            InputError: the document holds no raw samples.
        """
        raw = document.get("samples_ns")
        if not isinstance(raw, (list, tuple)):
            raise InputError("the document carries no raw samples", "read the results.json of edgecnn bench --out")
        return cls(tuple(raw))


@dataclass(frozen=True)
class Warmup:
    """The calls before the first sample: how many, how long, and whether they had stopped becoming faster."""

    calls: int
    nanoseconds: int
    steady: bool


def measure(
    call: Callable[[], object],
    *,
    warmup: int,
    runs: int,
    max_seconds: float,
    warmup_seconds: float = 0.2,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Samples:
    """Warm up for a fixed while, then sample: :func:`warm_up` and :func:`sample` in one.

    Args:
        call: what is timed; it must do the same work at every call.
        warmup, warmup_seconds: the warm-up lasts until both are reached, ``max_seconds`` at most.
        runs: samples wanted, from 1.
        max_seconds: sampling stops after it with fewer samples; at least one is taken.
        clock: in nanoseconds, monotonic.

    Raises:
        InputError: a count or a duration is impossible.
    """
    least = min(warmup_seconds, max_seconds)
    warm_up(call, calls=warmup, seconds=least, max_seconds=max_seconds, until_steady=False, clock=clock)
    return sample(call, runs=runs, max_seconds=max_seconds, clock=clock)


def warm_up(
    call: Callable[[], object],
    *,
    calls: int,
    seconds: float,
    max_seconds: float,
    until_steady: bool = True,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Warmup:
    """Call until caches, allocators and clocks have settled.

    Args:
        call: what will be timed.
        calls, seconds: the least that is done of both.
        max_seconds: the most that it may take, but one call.
        until_steady: go on until the median of a window (5 calls and 10 ms at least) is not below the
            best window before it by more than :data:`STEADY`.
        clock: in nanoseconds, monotonic.

    Raises:
        InputError: a count or a duration is impossible.
    """
    if calls < 0 or not seconds >= 0 or not max_seconds > 0:
        raise InputError(
            f"cannot warm up for {calls} calls, {seconds} s, at most {max_seconds} s",
            "warm-up must be 0 or more, seconds positive",
        )
    start = now = clock()
    least_ns, most_ns = round(seconds * 1e9), round(max_seconds * 1e9)
    done, best, steady, window = 0, math.inf, False, list[int]()
    while True:
        enough = done >= calls and now - start >= least_ns and (steady or not until_steady)
        if enough or (done and now - start >= most_ns):
            return Warmup(done, now - start, steady)
        before, _, now = now, call(), clock()
        done += 1
        window.append(now - before)
        if len(window) >= _WINDOW_CALLS and sum(window) >= _WINDOW_NS:
            median = float(np.median(window))
            steady = median >= best * (1 - STEADY)
            best, window = min(best, median), []


def sample(
    call: Callable[[], object],
    *,
    runs: int,
    max_seconds: float,
    precision: float | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Samples:
    """Time single calls one by one.

    The garbage collector rests while samples are taken and is put back as it was. It is not run before:
    what waits to be collected costs a sample nothing, and beside TensorFlow one run takes 0.2 s.

    Args:
        call: what is timed; it must do the same work at every call.
        runs: the most samples, from 1.
        max_seconds: sampling stops after it with fewer samples; at least one is taken.
        precision: sampling stops once half of the median's 95 % interval is this share of it, or less.
        clock: in nanoseconds, monotonic.

    Raises:
        InputError: a count or a duration is impossible.
    """
    if runs < 1 or not max_seconds > 0 or (precision is not None and not precision > 0):
        raise InputError(
            f"cannot take {runs} samples in {max_seconds} s to a precision of {precision}",
            "runs, seconds and precision must be positive",
        )
    taken: list[int] = []
    next_look = _FIRST_LOOK
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        deadline = clock() + round(max_seconds * 1e9)
        for _ in range(runs):
            start = clock()
            call()
            end = clock()
            taken.append(end - start)
            if end >= deadline:
                break
            if precision is not None and len(taken) == next_look:
                if _half_width(taken) <= precision:
                    break
                next_look *= 2
    finally:
        if was_enabled:
            gc.enable()
    return Samples(tuple(taken))


def _half_width(taken: list[int]) -> float:
    """Return half of the 95 % interval of the median as a share of the median."""
    samples = Samples(tuple(taken))
    interval = samples.ci95_ms()
    assert interval is not None, "there are more than six samples"  # noqa: S101
    return (interval[1] - interval[0]) / 2 / samples.median_ms if samples.median_ms else 0.0
