"""The machine under a measurement: what it is, and what state it is in.

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

from edgecnn.errors import InputError

#: Instructions that decide how fast small integer and float networks run.
FEATURES = (
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
HOT_CELSIUS = 80.0
#: Bits 0..3 of the Raspberry Pi firmware's word: under-voltage, capped, throttled, soft limit, now.
_THROTTLED_NOW = 0b1111


@dataclass(frozen=True)
class HostState:
    """What changes from minute to minute.

    Args:
        load_average: of the last minute: processes that run or want to.
        governor: of the first core's clock (``performance``, ``ondemand`` ...).
        temperature_c: the hottest sensor, in degrees Celsius.
        throttled: the Raspberry Pi firmware's word, where there is one.
    """

    load_average: float | None
    governor: str | None
    temperature_c: float | None
    throttled: int | None

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> HostState:
        """Return the state of ``dataclasses.asdict``.

        Raises:
            InputError: a key is missing.
        """
        try:
            return cls(**{item.name: document[item.name] for item in fields(cls)})
        except KeyError as error:
            raise InputError(f"the state of the host lacks {error}", "read a results.json of edgecnn bench") from error


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
            InputError: a key is missing.
        """
        try:
            own = {item.name: document[item.name] for item in fields(cls) if item.name != "state"}
        except KeyError as error:
            raise InputError(f"the host lacks {error}", "read a results.json of edgecnn bench") from error
        return cls(**{**own, "features": tuple(own["features"])}, state=HostState.from_dict(document))

    def describe(self) -> str:
        """Return the host in one line for people."""
        cores = f"{self.usable_cores} core{'s' if self.usable_cores > 1 else ''}"
        limit = f" (limited to {self.cpu_limit:g})" if self.cpu_limit is not None else ""
        board = f"{self.board}, " if self.board else ""
        return f"{board}{self.processor}, {cores}{limit}, {self.memory_bytes / 1e9:.1f} GB, {self.system}"


def read_host(root: Path = Path("/")) -> Host:
    """Return this machine and its state now. ``root`` is where ``proc`` and ``sys`` are mounted."""
    import psutil

    cpuinfo = _text(root / "proc/cpuinfo") or ""
    return Host(
        processor=_processor(cpuinfo),
        board=_text(root / "proc/device-tree/model"),
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


def read_state(root: Path = Path("/")) -> HostState:
    """Return what the machine is doing now."""
    word = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    try:
        throttled = int(word, 16) if word else None
    except ValueError:
        throttled = None
    return HostState(
        load, _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), _temperature(root), throttled
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


def state_warnings(before: HostState, after: HostState, cores: int) -> list[str]:
    """Return in plain sentences what about the states around one measurement taints it.

    The load is told without its figure, so that rows with the same taint share one sentence.
    """
    found = []
    if max(state.load_average or 0.0 for state in (before, after)) > cores:
        found.append(
            f"the load average was above {cores}, the number of usable cores: others were busy, figures include waiting"
        )
    return [*found, *_heat_warnings(after)]


def _heat_warnings(state: HostState) -> list[str]:
    found = []
    if state.temperature_c is not None and state.temperature_c > HOT_CELSIUS:
        found.append(
            f"the machine was at {state.temperature_c:.0f} C, above {HOT_CELSIUS:.0f} C: it may slow itself down"
        )
    if state.throttled is not None and state.throttled & _THROTTLED_NOW:
        found.append(f"the board throttled itself (firmware says {state.throttled:#x}): cool it or feed it better")
    return found


def _text(path: Path) -> str | None:
    """Return a small system file without the NUL or newline at its end; ``None`` where unreadable."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpuinfo_value(cpuinfo: str, *keys: str) -> str | None:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return None


def _processor(cpuinfo: str) -> str:
    name = _cpuinfo_value(cpuinfo, "model name", "Model name")
    if name:
        return name
    part = _cpuinfo_value(cpuinfo, "CPU part")  # arm64 kernels give numbers, not names
    arm = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd05": "Cortex-A55"}
    return arm.get(part or "") or platform.processor() or platform.machine()


def _features(cpuinfo: str) -> tuple[str, ...]:
    present = set((_cpuinfo_value(cpuinfo, "flags", "Features") or "").split())
    return tuple(name for name in FEATURES if name in present)


def _cpu_limit(root: Path) -> float | None:
    """Return the cores that the control group grants (``cpu.max`` of version 2, quotas of version 1)."""
    limits = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        controllers, path = [*line.split(":", 2), "", ""][1:3]
        group = Path(path.lstrip("/"))
        mount = root / "sys/fs/cgroup" if not controllers else root / "sys/fs/cgroup/cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        for place in (group, *group.parents):
            words = (_text(mount / place / "cpu.max") or "").split()
            if not words:
                quota, period = (_text(mount / place / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
                words = [quota, period] if quota and period else []
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
                limits.append(int(words[0]) / int(words[1]))
    return min(limits) if limits else None


def _temperature(root: Path) -> float | None:
    readings = []
    for sensor in sorted((root / "sys/class/thermal").glob("thermal_zone*/temp")):
        text = _text(sensor)
        if text and text.lstrip("-").isdigit():
            readings.append(int(text) / 1000)
    return max(readings) if readings else None


def _system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return f"{platform.system()} {platform.release()}"
    return release.get("PRETTY_NAME", release.get("NAME", platform.system()))
