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
PERCENTILES = (50, 90, 99)


def samples_needed(percent: int) -> int:
    """Return how many samples a percentile needs: 20 for p50, 100 for p90, 1000 for p99.

    The tail beyond the percentile must hold :data:`BEYOND` samples: with fewer, the percentile is
    little more than the luck of single samples.
    """
    return -(-BEYOND * 100 // (100 - percent))


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

    def percentile_ms(self, percent: int) -> float | None:
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
        document: dict[str, Any] = {f"p{percent}_ms": self.percentile_ms(percent) for percent in PERCENTILES}
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


def measure(
    call: Callable[[], object],
    *,
    warmup: int,
    runs: int,
    max_seconds: float,
    warmup_seconds: float = 0.2,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Samples:
    """Warm up, then time single calls one by one; the warm-up is in no sample.

    Args:
        call: what is timed; it must do the same work at every call.
        warmup, warmup_seconds: the warm-up lasts until both are reached, ``max_seconds`` at most.
        runs: samples wanted, from 1.
        max_seconds: sampling stops after it with fewer samples; at least one is taken.
        clock: in nanoseconds, monotonic.

    The garbage collector rests while samples are taken and is put back as it was.

    Raises:
        InputError: a count or a duration is impossible.
    """
    if runs < 1 or warmup < 0 or not max_seconds > 0 or not warmup_seconds >= 0:
        raise InputError(
            f"cannot measure {runs} runs after {warmup} warm-up calls in {max_seconds} s",
            "runs and seconds must be positive, warm-up 0 or more",
        )
    budget_ns = round(max_seconds * 1e9)
    _warm_up(call, warmup, min(round(warmup_seconds * 1e9), budget_ns), budget_ns, clock)
    samples: list[int] = []
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        deadline = clock() + budget_ns
        for _ in range(runs):
            start = clock()
            call()
            end = clock()
            samples.append(end - start)
            if end >= deadline:
                break
    finally:
        if was_enabled:
            gc.enable()
    return Samples(tuple(samples))


def _warm_up(call: Callable[[], object], calls: int, least_ns: int, most_ns: int, clock: Callable[[], int]) -> None:
    start = clock()
    done = 0
    while True:
        elapsed = clock() - start
        if (done >= calls and elapsed >= least_ns) or (done and elapsed >= most_ns):
            return
        call()
        done += 1
