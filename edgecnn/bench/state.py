"""What a machine is doing while something is measured on it, and what of that taints figures.

Everything is read from the operating system's own files; what cannot be read is ``None``, never a
guess. This module must not know what is measured.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgecnn.bench.documents import typed
from edgecnn.errors import InputError

HOT_CELSIUS = 80.0
#: Cores that others may keep busy in the mean while a file is measured.
MOST_OTHERS_CORES = 0.25
#: A clock that ends a measurement this much slower than it began was slowed down in it.
_SLOWED_SHARE = 0.9
#: Bits 0..3 of the Raspberry Pi firmware's word: under-voltage, capped, throttled, soft limit, now;
#: the same from bit 16 on: since boot. (Raspberry Pi documentation, "vcgencmd", get_throttled.)
_THROTTLED_NOW = 0b1111
_SINCE_BOOT = 16
_VCGENCMD_SECONDS = 2.0


@dataclass(frozen=True)
class HostState:
    """What changes from minute to minute.

    Args:
        load_average: of the last minute: processes that run or want to.
        governor: of the first core's clock (``performance``, ``ondemand`` ...).
        temperature_c: the hottest sensor, in degrees Celsius.
        throttled: the Raspberry Pi firmware's word, where there is one.
        frequency_mhz: of the first core.
        free_memory_bytes: that programs can still have.
        busy_s: seconds of work of all cores since boot, by anyone, other guests' share included.
        clock_s: when this was read, on a clock that only counts up.
    """

    load_average: float | None
    governor: str | None
    temperature_c: float | None
    throttled: int | None
    frequency_mhz: float | None = None
    free_memory_bytes: int | None = None
    busy_s: float | None = None
    clock_s: float = 0.0

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> HostState:
        """Return the state of ``dataclasses.asdict``.

        Raises:
            InputError: a key is missing, or a value impossible.
        """
        try:
            return typed(cls(**{item.name: document[item.name] for item in fields(cls)}))
        except KeyError as error:
            raise InputError(f"the state of the host lacks {error}", "read a results.json of edgecnn bench") from error


def read_state(root: Path = Path("/")) -> HostState:
    """Return what the machine is doing now. ``root`` is where ``proc``, ``sys`` and ``usr`` are."""
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    cpu = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return HostState(
        load,
        text_of(cpu / "scaling_governor"),
        _temperature(root),
        _throttled(root),
        _frequency_mhz(root, cpu),
        _free_memory_bytes(root),
        _busy_s(root),
        time.monotonic(),
    )


def others_cores(before: HostState, after: HostState, own_s: float) -> float | None:
    """Return how many cores others kept busy, in the mean, between two states.

    Args:
        own_s: processor seconds of the measurement itself, its parent process included.
    """
    if before.busy_s is None or after.busy_s is None or after.clock_s <= before.clock_s:
        return None
    return max(0.0, (after.busy_s - before.busy_s - own_s) / (after.clock_s - before.clock_s))


def taints(before: HostState, after: HostState, own_s: float) -> tuple[str, ...]:
    """Return in plain sentences what about the machine makes a measurement between two states doubtful.

    Without figures that differ from row to row, so that rows with the same taint share one sentence.
    """
    found = []
    others = others_cores(before, after, own_s)
    if others is not None and others > MOST_OTHERS_CORES:
        found.append("others kept the processor busy: the figures include waiting and shared caches")
    if after.temperature_c is not None and after.temperature_c > HOT_CELSIUS:
        found.append(f"the machine was above {HOT_CELSIUS:.0f} C: it may slow itself down")
    if after.throttled is not None:
        new_since_boot = (after.throttled & ~(before.throttled or 0)) >> _SINCE_BOOT
        if (after.throttled | new_since_boot) & _THROTTLED_NOW:
            found.append(f"the board throttled itself (firmware says {after.throttled:#x}): cool it or feed it better")
    if before.frequency_mhz and after.frequency_mhz and after.frequency_mhz < _SLOWED_SHARE * before.frequency_mhz:
        found.append("the processor's clock fell by more than a tenth")
    return tuple(found)


def text_of(path: Path) -> str | None:
    """Return a small system file without the NUL or newline at its end; ``None`` where unreadable."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def cpuinfo_value(cpuinfo: str, *keys: str) -> str | None:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return None


def _throttled(root: Path) -> int | None:
    word = text_of(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    command = root / "usr/bin/vcgencmd"
    if word is None and os.access(command, os.X_OK):
        try:
            done = subprocess.run(
                [command, "get_throttled"], capture_output=True, text=True, timeout=_VCGENCMD_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None  # not for this user, or not on this board
        word = done.stdout.strip().partition("=")[2].removeprefix("0x")
    try:
        return int(word, 16) if word else None
    except ValueError:
        return None


def _frequency_mhz(root: Path, cpu: Path) -> float | None:
    text = text_of(cpu / "scaling_cur_freq")
    try:
        if text is not None:
            return int(text) / 1000
        told = cpuinfo_value(text_of(root / "proc/cpuinfo") or "", "cpu MHz")
        return float(told) if told else None
    except ValueError:
        return None


def _free_memory_bytes(root: Path) -> int | None:
    for line in (text_of(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _busy_s(root: Path) -> float | None:
    """Return user, nice, system, irq, softirq and steal of the first line of ``/proc/stat`` (proc(5)) in seconds."""
    words = (text_of(root / "proc/stat") or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _temperature(root: Path) -> float | None:
    readings = []
    for sensor in sorted((root / "sys/class/thermal").glob("thermal_zone*/temp")):
        text = text_of(sensor)
        if text and text.lstrip("-").isdigit():
            readings.append(int(text) / 1000)
    return max(readings) if readings else None
