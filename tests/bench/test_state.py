"""What a machine does while something is measured; here a tree that looks like a Raspberry Pi."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn.bench.state import HostState, others_cores, read_state, taints

CALM = HostState(
    load_average=0.1,
    governor="performance",
    temperature_c=50.0,
    throttled=0,
    frequency_mhz=2400.0,
    busy_s=100.0,
    clock_s=1000.0,
)


def after(**changes: float | None) -> HostState:
    """Return a state ten seconds later in which one core was busy, with ours."""
    return replace(CALM, **{"clock_s": 1010.0, "busy_s": 110.0, **changes})  # type: ignore[arg-type]


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_everything_is_read(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    cpu = "sys/devices/system/cpu/cpu0/cpufreq"
    state = read_state(
        tree(
            tmp_path,
            {
                f"{cpu}/scaling_governor": "ondemand\n",
                f"{cpu}/scaling_cur_freq": "1500000\n",
                "proc/meminfo": "MemTotal: 100 kB\nMemAvailable:   2048 kB\n",
                "proc/stat": f"cpu  {ticks} {ticks} {ticks} 9 9 {ticks} {ticks} {ticks} 0 0\ncpu0 1 2\n",
                "sys/class/thermal/thermal_zone0/temp": "84250\n",
                "sys/class/thermal/thermal_zone1/temp": "41000\n",
                "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            },
        )
    )
    assert (state.governor, state.frequency_mhz, state.free_memory_bytes) == ("ondemand", 1500.0, 2048 * 1024)
    assert (state.busy_s, state.temperature_c, state.throttled) == (6.0, 84.25, 0x50005)
    assert HostState.from_dict(vars(state)) == state


def test_the_frequency_of_processors_without_a_governor(tmp_path: Path) -> None:
    assert read_state(tree(tmp_path, {"proc/cpuinfo": "cpu MHz\t\t: 2596.096\n"})).frequency_mhz == 2596.096


@pytest.mark.parametrize(
    ("script", "word"),
    [("echo throttled=0x50005", 0x50005), ("exit 255", None), ("echo what", None), ("sleep 60", None)],
)
def test_vcgencmd_is_asked_where_the_kernel_does_not_tell(tmp_path: Path, script: str, word: int | None) -> None:
    command = tmp_path / "usr/bin/vcgencmd"
    tree(tmp_path, {"usr/bin/vcgencmd": f"#!/bin/sh\n{script}\n"})
    command.chmod(0o755)
    assert read_state(tmp_path).throttled == word


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    state = read_state(tree(tmp_path, {"proc/stat": "damaged", "proc/meminfo": "x"}))
    told = (state.governor, state.temperature_c, state.throttled, state.frequency_mhz, state.busy_s)
    assert told == (None,) * 5
    assert taints(state, state, 0.0) == ()


def test_a_calm_machine_taints_nothing() -> None:
    """Negative control of all that follows."""
    assert taints(CALM, after(), own_s=10.0) == ()


def test_others_are_told_from_ourselves() -> None:
    assert others_cores(CALM, after(busy_s=130.0), own_s=10.0) == pytest.approx(2.0)
    assert "busy" in taints(CALM, after(busy_s=130.0), own_s=10.0)[0]
    assert taints(CALM, after(busy_s=130.0), own_s=29.0) == ()  # we were it
    assert others_cores(CALM, after(busy_s=None), own_s=0.0) is None


def test_heat_throttling_and_a_falling_clock_are_told() -> None:
    assert "above 80 C" in taints(CALM, after(temperature_c=81.0), 10.0)[0]
    assert "throttled" in taints(CALM, after(throttled=0x4), 10.0)[0]  # now
    assert "throttled" in taints(CALM, after(throttled=0x40000), 10.0)[0]  # and not any more, but it was
    assert taints(replace(CALM, throttled=0x50000), after(throttled=0x50000), 10.0) == ()  # long before
    assert "clock" in taints(CALM, after(frequency_mhz=1800.0), 10.0)[0]


def test_this_machine_can_be_read() -> None:
    state = read_state()
    assert state.clock_s > 0
    assert HostState.from_dict(vars(state)) == state
