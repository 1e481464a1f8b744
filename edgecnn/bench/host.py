"""The machine under a measurement: what it is. (Its state from minute to minute: :mod:`edgecnn.bench.state`.)

Everything is read from the operating system's own files; what cannot be read is ``None``, never a
guess. This module must not know what is measured.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgecnn.bench.documents import typed
from edgecnn.bench.state import HostState, cpuinfo_value, read_state, text_of
from edgecnn.errors import InputError

#: Instructions that decide how fast small integer and float networks run.
FEATURES = (
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
#: Memory by which two readings of one host may differ: kernels reserve more or less of it.
_MEMORY_SHARE = 0.05


@dataclass(frozen=True)
class Host:
    """What stays, and the state before the measurement."""

    processor: str
    board: str | None
    architecture: str
    features: tuple[str, ...]
    usable_cores: int
    cpu_limit: float | None
    memory_bytes: int
    system: str
    kernel: str
    python: str
    state: HostState

    def __post_init__(self) -> None:
        if self.usable_cores < 1 or self.memory_bytes < 1:
            raise InputError(f"impossible host: {self.usable_cores} cores, {self.memory_bytes} bytes", "read it again")

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        document["features"] = list(self.features)
        document.update(document.pop("state"))
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Host:
        """Return the host of :meth:`to_dict`.

        Raises:
            InputError: a key is missing, or a value impossible.
        """
        try:
            own = {item.name: document[item.name] for item in fields(cls) if item.name != "state"}
        except KeyError as error:
            raise InputError(f"the host lacks {error}", "read a results.json of edgecnn bench") from error
        return typed(cls(**{**own, "features": tuple(own["features"])}, state=HostState.from_dict(document)))

    def difference(self, other: Host) -> str:
        """Return in words what makes ``other`` another machine than this; empty where nothing does."""
        for name in ("processor", "board", "architecture", "usable_cores", "cpu_limit"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name.replace('_', ' ')}: {mine} and {theirs}"
        if abs(self.memory_bytes - other.memory_bytes) > _MEMORY_SHARE * self.memory_bytes:
            return f"memory: {self.memory_bytes / 1e9:.1f} GB and {other.memory_bytes / 1e9:.1f} GB"
        return ""

    def describe(self) -> str:
        """Return the host in one line for people."""
        cores = f"{self.usable_cores} core{'s' if self.usable_cores > 1 else ''}"
        limit = f" (limited to {self.cpu_limit:g})" if self.cpu_limit is not None else ""
        board = f"{self.board}, " if self.board else ""
        return f"{board}{self.processor}, {cores}{limit}, {self.memory_bytes / 1e9:.1f} GB, {self.system}"


def read_host(root: Path = Path("/")) -> Host:
    """Return this machine and its state now. ``root`` is where ``proc`` and ``sys`` are mounted."""
    import psutil

    cpuinfo = text_of(root / "proc/cpuinfo") or ""
    return Host(
        processor=_processor(cpuinfo),
        board=text_of(root / "proc/device-tree/model"),
        architecture=platform.machine(),
        features=_features(cpuinfo),
        usable_cores=usable_cores(),
        cpu_limit=_cpu_limit(root),
        memory_bytes=int(psutil.virtual_memory().total),
        system=_system(),
        kernel=platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        state=read_state(root),
    )


def usable_cores() -> int:
    """Return on how many logical cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_warnings(host: Host, threads: int) -> list[str]:
    """Return in plain sentences what about the host, before anything ran, taints figures."""
    found = []
    cores = min(host.usable_cores, host.cpu_limit or host.usable_cores)
    if threads > cores:
        found.append(f"{threads} threads on {cores:g} usable core(s): figures are of threads waiting for each other")
    if host.state.governor not in (None, "performance"):
        found.append(f"the clock governor is {host.state.governor!r}, not 'performance': the clock may have varied")
    return found


def _processor(cpuinfo: str) -> str:
    name = cpuinfo_value(cpuinfo, "model name", "Model name")
    if name:
        return name
    part = cpuinfo_value(cpuinfo, "CPU part")  # arm64 kernels give numbers, not names
    arm = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd05": "Cortex-A55"}
    return arm.get(part or "") or platform.processor() or platform.machine()


def _features(cpuinfo: str) -> tuple[str, ...]:
    present = set((cpuinfo_value(cpuinfo, "flags", "Features") or "").split())
    return tuple(name for name in FEATURES if name in present)


def _cpu_limit(root: Path) -> float | None:
    """Return the cores that the control group grants (``cpu.max`` of version 2, quotas of version 1)."""
    limits = []
    for line in (text_of(root / "proc/self/cgroup") or "").splitlines():
        controllers, path = [*line.split(":", 2), "", ""][1:3]
        group = Path(path.lstrip("/"))
        mount = root / "sys/fs/cgroup" if not controllers else root / "sys/fs/cgroup/cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        for place in (group, *group.parents):
            words = (text_of(mount / place / "cpu.max") or "").split()
            if not words:
                quota, period = (text_of(mount / place / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
                words = [quota, period] if quota and period else []
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
                limits.append(int(words[0]) / int(words[1]))
    return min(limits) if limits else None


def _system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return f"{platform.system()} {platform.release()}"
    return release.get("PRETTY_NAME", release.get("NAME", platform.system()))
