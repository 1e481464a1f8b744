"""Resident memory of this process. This module must not know what fills it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError


@dataclass(frozen=True)
class Memory:
    """What one worker process needed.

    Args:
        peak_rss_bytes: the most that was ever resident: Python, numpy, the engine and the model.
        model_rss_bytes: resident after the timed calls, less what was resident when the engine
            was imported and no model was open: weights, buffers, and the engine's working threads.
    """

    peak_rss_bytes: int
    model_rss_bytes: int

    def __post_init__(self) -> None:
        if self.peak_rss_bytes <= 0 or self.model_rss_bytes < 0:
            raise InputError(f"impossible memory figures: {self}", "measure again")

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Memory:
        return cls(int(document["peak_rss_bytes"]), int(document["model_rss_bytes"]))


def resident_bytes() -> int:
    """Return what of this process is resident now, in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


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
