"""Memory of this process: resident, private, planted, leaked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.bench.memory import (
    LEAK_BLOCKS,
    Leak,
    Memory,
    check_leak,
    peak_resident_bytes,
    private_bytes,
    resident_bytes,
)
from edgecnn.errors import InputError


def test_memory_of_this_process(tmp_path: Path) -> None:
    before, private_before = resident_bytes(), private_bytes()
    planted = bytearray(b"x") * (32 << 20)
    assert resident_bytes() - before == pytest.approx(len(planted), rel=0.05)
    if private_before is not None:
        assert (private_bytes() or 0) - private_before == pytest.approx(len(planted), rel=0.05)
    assert peak_resident_bytes() >= resident_bytes() - (1 << 20)
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t    1756 kB\nVmRSS:\t 9 kB\n")
    assert peak_resident_bytes(status) == 1756 * 1024
    assert peak_resident_bytes(tmp_path / "absent") > 1 << 20  # asked of the C library


def test_private_memory_is_what_smaps_tells(tmp_path: Path) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text("Rss: 900 kB\nShared_Clean: 500 kB\nPrivate_Clean:  100 kB\nPrivate_Dirty:  300 kB\n")
    assert private_bytes(rollup) == 400 * 1024
    assert private_bytes(tmp_path / "absent") is None


@pytest.mark.parametrize("wrong", [(0, 0, 1), (5, -1, 1), (5, 1, 0)])
def test_impossible_memory_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(InputError):
        Memory(*wrong)


def in_a_fresh_process(call: str) -> Leak:
    """Check 20,000 calls where nothing ran before: what earlier tests freed would hide what is kept."""
    script = (
        "import json; from edgecnn.bench.memory import check_leak; kept = []; "
        f"print(json.dumps(check_leak(lambda: {call}, 20_000).to_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return Leak.from_dict(json.loads(done.stdout))


def test_a_planted_leak_of_1_kb_per_call_is_found_within_20000_calls() -> None:
    leak = in_a_fresh_process("kept.append(bytearray(1024))")
    assert leak.found
    assert leak.low <= leak.bytes_per_call <= leak.high
    # The allocator adds a header to each, and the list its slots.
    assert 1024 <= leak.bytes_per_call <= 1024 * 1.15


def test_a_call_that_gives_back_what_it_takes_is_no_leak() -> None:
    """Negative control: the same memory, given back."""
    leak = in_a_fresh_process("bytearray(1024)")
    assert not leak.found
    assert abs(leak.bytes_per_call) < 16


def test_one_enlarged_pool_is_no_leak_and_a_steady_trickle_is() -> None:
    per_call = iter([0] * 5 + [64 << 20] + [0] * 1000)
    used = [0]

    def call() -> None:
        used[0] += next(per_call)

    assert not check_leak(call, LEAK_BLOCKS, lambda: used[0]).found
    trickle = [0]

    def leaking() -> None:
        trickle[0] += 100

    leak = check_leak(leaking, 40 * LEAK_BLOCKS, lambda: trickle[0])
    assert (leak.bytes_per_call, leak.low, leak.high, leak.found) == (100, 100, 100, True)
    assert Leak.from_dict(leak.to_dict()) == leak


def test_too_few_calls_are_refused() -> None:
    with pytest.raises(InputError, match="20 calls or more"):
        check_leak(int, LEAK_BLOCKS - 1)
