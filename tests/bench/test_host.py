"""The host is read from system files; here from a tree that looks like a Raspberry Pi 5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn.bench.host import Host, HostState, read_host, read_state, start_warnings, state_warnings
from edgecnn.bench.memory import Memory, peak_resident_bytes, resident_bytes
from edgecnn.errors import InputError

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
    state = read_state(tmp_path)
    assert (state.governor, state.temperature_c, state.throttled) == (None, None, None)
    assert state_warnings(state, state, cores=10**6) == []


def test_this_machine_can_be_read() -> None:
    host = read_host()
    assert host.processor
    assert Host.from_dict(host.to_dict()) == host


def test_taints_are_told(pi: Path) -> None:
    host = read_host(pi)
    busy = replace(host, usable_cores=4, state=replace(host.state, load_average=5.0))
    told = start_warnings(busy, threads=4)
    assert [word in " ".join(told) for word in ("4 threads", "'ondemand'")] == [True] * 2
    calm = replace(busy, cpu_limit=None, state=replace(host.state, load_average=0.5, governor="performance"))
    assert start_warnings(calm, threads=4) == []
    cool = replace(calm.state, temperature_c=60.0, throttled=0x50000)  # bits 16 and up tell of the past
    assert state_warnings(host.state, cool, cores=10**6) == []
    assert len(state_warnings(cool, replace(host.state, load_average=0.5), cores=4)) == 2


def test_load_before_or_after_a_measurement_is_told() -> None:
    calm = HostState(load_average=3.9, governor=None, temperature_c=None, throttled=None)
    loaded, unknown = replace(calm, load_average=4.5), replace(calm, load_average=None)
    assert state_warnings(calm, unknown, cores=4) == []
    for before, after in ((loaded, calm), (calm, loaded), (unknown, loaded)):
        (told,) = state_warnings(before, after, cores=4)
        assert "load average was above 4" in told


def test_memory_of_this_process(tmp_path: Path) -> None:
    before = resident_bytes()
    planted = bytearray(b"x") * (32 << 20)
    assert resident_bytes() - before == pytest.approx(len(planted), rel=0.1)
    assert peak_resident_bytes() >= resident_bytes() - (1 << 20)
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t    1756 kB\nVmRSS:\t 9 kB\n")
    assert peak_resident_bytes(status) == 1756 * 1024
    assert peak_resident_bytes(tmp_path / "absent") > 1 << 20  # asked of the C library


@pytest.mark.parametrize("wrong", [(0, 0), (5, -1)])
def test_impossible_memory_is_refused(wrong: tuple[int, int]) -> None:
    with pytest.raises(InputError):
        Memory(*wrong)
