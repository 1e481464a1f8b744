"""Memory of this process: what is resident, what is its own, and whether it grows. Knows nothing of models."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecnn.bench.timing import median_ranks
from edgecnn.errors import InputError

#: Of the leak check: memory is read between so many equal blocks of calls.
LEAK_BLOCKS = 20
#: Calls before the check begins, as a share of its own: pools and caches fill up first.
_LEAK_WARMUP_SHARE = 0.1
#: Growth below it, in bytes per call, is no leak that anyone would notice: 1.4 MB in a day at 1 call per second.
SMALLEST_LEAK_BYTES = 16.0


@dataclass(frozen=True)
class Memory:
    """What one worker process needed.

    Args:
        peak_rss_bytes: the most that was ever resident: Python, numpy, the engine and the model.
        model_rss_bytes: resident after the timed calls, less what was resident when the engine
            was imported and no model was open: weights, buffers, and the engine's working threads.
        steady_rss_bytes: resident after the timed calls.
        private_bytes: of these, what no other process shares (the libraries' code is shared);
            ``None`` where the system does not tell.
        tensor_bytes: of all tensors between input and output, before the engine lets them share
            places; ``None`` where the engine does not tell.
        device_peak_bytes: the most that was taken of a GPU's memory; ``None`` without one.
    """

    peak_rss_bytes: int
    model_rss_bytes: int
    steady_rss_bytes: int
    private_bytes: int | None = None
    tensor_bytes: int | None = None
    device_peak_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.peak_rss_bytes <= 0 or self.model_rss_bytes < 0 or self.steady_rss_bytes <= 0:
            raise InputError(f"impossible memory figures: {self}", "measure again")

    def to_dict(self) -> dict[str, int | None]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Memory:
        """Return the memory of :meth:`to_dict`.

        Raises:
            KeyError, TypeError, ValueError, InputError: it is no such document.
        """
        must, may = ([int(document[name]) for name in _MUST], [_optional(document[name]) for name in _MAY])
        return cls(*must, *may)


_MUST = ("peak_rss_bytes", "model_rss_bytes", "steady_rss_bytes")
_MAY = ("private_bytes", "tensor_bytes", "device_peak_bytes")


def _optional(value: Any) -> int | None:
    return None if value is None else int(value)


@dataclass(frozen=True)
class Leak:
    """What many calls of one model added to the memory of the process.

    Args:
        bytes_per_call: the median growth of a block of calls, divided by them.
        low, high: the 95 % interval of that median.
        calls: of all blocks together.
    """

    bytes_per_call: float
    low: float
    high: float
    calls: int

    @property
    def found(self) -> bool:
        """Whether the calls leak: memory grows in nearly every block, and by more than a trifle."""
        return self.low >= SMALLEST_LEAK_BYTES

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "found": self.found}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Leak:
        numbers = [float(document[name]) for name in ("bytes_per_call", "low", "high")]
        return cls(numbers[0], numbers[1], numbers[2], int(document["calls"]))


def check_leak(call: Callable[[], object], calls: int, read_bytes: Callable[[], int] | None = None) -> Leak:
    """Call a model many times and return how the memory of this process grew.

    The growth of each of :data:`LEAK_BLOCKS` blocks is one value; their median and its
    distribution-free interval do not mind one block in which a pool was enlarged, as a fitted line would.

    Args:
        call: one call of the model.
        calls: in all, at least 1 a block.
        read_bytes: the memory of this process; :func:`private_bytes` or :func:`resident_bytes` when ``None``.

    Raises:
        InputError: too few calls.
    """
    if calls < LEAK_BLOCKS:
        raise InputError(f"a leak check needs {LEAK_BLOCKS} calls or more, not {calls}", "20000 is a good number")
    read = read_bytes or (private_bytes if private_bytes() is not None else resident_bytes)
    per_block = calls // LEAK_BLOCKS
    for _ in range(round(calls * _LEAK_WARMUP_SHARE)):
        call()
    marks: list[int] = []
    for _ in range(LEAK_BLOCKS):
        marks.append(read() or 0)
        for _ in range(per_block):
            call()
    marks.append(read() or 0)
    return _growth([after - before for before, after in itertools.pairwise(marks)], per_block)


def _growth(added: Sequence[int], per_block: int) -> Leak:
    ordered = sorted(value / per_block for value in added)
    ranks = median_ranks(len(ordered))
    assert ranks is not None, "there are more than six blocks"  # noqa: S101
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return Leak(middle, ordered[ranks[0] - 1], ordered[ranks[1] - 1], per_block * len(ordered))


def resident_bytes() -> int:
    """Return what of this process is resident now, in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def private_bytes(rollup: Path = Path("/proc/self/smaps_rollup")) -> int | None:
    """Return what of this process no other shares, in bytes; ``None`` where the system does not tell.

    The sum of ``Private_Clean`` and ``Private_Dirty`` (proc(5), Linux 4.14 and later).
    """
    try:
        lines = rollup.read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))]
    return sum(found) if found else None


def peak_resident_bytes(status: Path = Path("/proc/self/status")) -> int:
    """Return the most of this process that was ever resident, in bytes.

    ``VmHWM`` of Linux' ``/proc/self/status`` (proc(5)): unlike ``getrusage`` it does not start at
    the peak of the process that forked this one. Elsewhere ``getrusage``.
    """
    try:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # no /proc here: asked of the C library below
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
