"""The host is read from system files; here from a tree that looks like a Raspberry Pi 5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn.bench.host import Host, read_host, start_warnings

PI = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd aes asimdhp asimddp\nCPU part\t: 0xd0b\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/self/cgroup": "0::/user.slice/app\n",
    "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/user.slice/app/cpu.max": "max 100000\n",
    "sys/class/thermal/thermal_zone0/temp": "84250\n",
    "sys/class/thermal/thermal_zone1/temp": "41000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    for name, text in PI.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_raspberry_pi_is_described(pi: Path) -> None:
    host = read_host(pi)
    assert host.processor == "Cortex-A76"
    assert host.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert host.features == ("asimd", "asimdhp", "asimddp")
    assert host.cpu_limit == 1.5
    assert host.state.governor == "ondemand"
    assert host.state.temperature_c == 84.25
    assert host.state.throttled == 0x50005
    assert "Raspberry Pi 5" in host.describe()
    assert Host.from_dict(host.to_dict()) == host


def test_cgroups_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/box\n3:memory:/box\n")
    group = tmp_path / "sys/fs/cgroup/cpu/box"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("50000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert read_host(tmp_path).cpu_limit == 0.5


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    host = read_host(tmp_path)
    assert (host.board, host.features, host.cpu_limit) == (None, (), None)


def test_this_machine_can_be_read() -> None:
    host = read_host()
    assert host.processor
    assert Host.from_dict(host.to_dict()) == host


def test_what_taints_every_figure_is_told(pi: Path) -> None:
    host = read_host(pi)
    busy = replace(host, usable_cores=4)
    told = start_warnings(busy, threads=4)
    assert [word in " ".join(told) for word in ("4 threads", "'ondemand'")] == [True] * 2
    calm = replace(busy, cpu_limit=None, state=replace(host.state, governor="performance"))
    assert start_warnings(calm, threads=4) == []


def test_hosts_that_differ_are_told_apart(pi: Path) -> None:
    host = read_host(pi)
    assert host.difference(host) == ""
    again = replace(host, state=replace(host.state, load_average=9.0), memory_bytes=round(host.memory_bytes * 1.01))
    assert host.difference(again) == ""  # what changes from minute to minute, and what a kernel reserves
    assert "Cortex-A72" in host.difference(replace(host, processor="Cortex-A72"))
    assert "memory" in host.difference(replace(host, memory_bytes=host.memory_bytes * 2))
