"""The timing loop with a clock that only moves when the timed call moves it, and its statistics."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from edgecnn.bench.timing import Samples, measure, median_ranks, sample, samples_needed, warm_up
from edgecnn.errors import InputError

Loop = Callable[..., Samples]


class FakeClock:
    """Stands still, except while the call that it makes is running."""

    def __init__(self, *, slow_calls: int = 0, slow_ns: int = 0, call_ns: int) -> None:
        self.now = 0
        self.calls = 0
        self._slow = (slow_calls, slow_ns)
        self._call_ns = call_ns

    def __call__(self) -> int:
        return self.now

    def call(self) -> None:
        slow_calls, slow_ns = self._slow
        self.now += slow_ns if self.calls < slow_calls else self._call_ns
        self.calls += 1


def loop_that_counts_the_warm_up(
    call: Callable[[], object], *, warmup: int, runs: int, max_seconds: float, clock: Callable[[], int]
) -> Samples:
    taken = []
    for _ in range(warmup + runs):
        start = clock()
        call()
        taken.append(clock() - start)
    return Samples(tuple(taken[:runs]))


def keeps_the_warm_up_apart(loop: Loop) -> bool:
    clock = FakeClock(slow_calls=10, slow_ns=50_000_000, call_ns=1_000)
    samples = loop(clock.call, warmup=10, runs=100, max_seconds=10, clock=clock)
    return samples.nanoseconds == (1_000,) * 100


def test_warm_up_is_in_no_sample() -> None:
    assert keeps_the_warm_up_apart(measure)


def test_negative_control_a_loop_that_counts_the_warm_up_is_caught() -> None:
    assert not keeps_the_warm_up_apart(loop_that_counts_the_warm_up)


def test_warm_up_lasts_for_calls_and_for_time() -> None:
    quick = FakeClock(call_ns=1_000_000)
    measure(quick.call, warmup=10, runs=1, max_seconds=10, clock=quick)
    assert quick.calls == 200 + 1  # 0.2 s of 1 ms calls
    slow = FakeClock(call_ns=100_000_000)
    measure(slow.call, warmup=10, runs=1, max_seconds=10, clock=slow)
    assert slow.calls == 10 + 1


def test_warm_up_and_sampling_end_at_the_time_limit() -> None:
    clock = FakeClock(call_ns=1_000_000_000)
    samples = measure(clock.call, warmup=10, runs=1000, max_seconds=3, clock=clock)
    assert samples.count == 3
    assert clock.calls == 3 + 3


def test_one_sample_is_taken_however_slow_the_call() -> None:
    clock = FakeClock(call_ns=60_000_000_000)
    assert measure(clock.call, warmup=0, runs=5, max_seconds=1, warmup_seconds=0, clock=clock).count == 1


def test_warm_up_goes_on_until_calls_stop_becoming_faster() -> None:
    even = FakeClock(call_ns=2_000_000)
    warmup = warm_up(even.call, calls=10, seconds=0, max_seconds=10, clock=even)
    assert (warmup.calls, warmup.nanoseconds, warmup.steady) == (10, 20_000_000, True)
    falling = iter(range(10_000_000, 1_000_000, -50_000))
    clock = FakeClock(call_ns=0)

    def call() -> None:
        clock.now += next(falling, 1_000_000)

    warmup = warm_up(call, calls=10, seconds=0, max_seconds=10, clock=clock)
    assert warmup.steady
    assert warmup.calls >= 180  # 180 calls, each faster than the one before


def test_a_warm_up_that_never_settles_says_so() -> None:
    clock, length = FakeClock(call_ns=0), [10_000_000_000]

    def call() -> None:
        length[0] = round(length[0] * 0.95)
        clock.now += length[0]

    assert not warm_up(call, calls=2, seconds=0, max_seconds=20, clock=clock).steady


def test_sampling_ends_when_the_median_is_known() -> None:
    steady = FakeClock(call_ns=1_000)
    assert sample(steady.call, runs=5000, max_seconds=10, precision=0.01, clock=steady).count == 100
    noisy, rng = FakeClock(call_ns=0), np.random.default_rng(0)

    def call() -> None:
        noisy.now += int(rng.lognormal(10, 0.3))

    wide = sample(call, runs=100_000, max_seconds=1000, precision=0.01, clock=noisy)
    assert 1000 < wide.count < 100_000
    interval = wide.ci95_ms()
    assert interval is not None
    assert (interval[1] - interval[0]) / 2 <= 0.01 * wide.median_ms


@pytest.mark.parametrize("wrong", [{"runs": 0}, {"max_seconds": 0}, {"precision": 0.0}, {"precision": float("nan")}])
def test_impossible_samplings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        sample(int, **{"runs": 1, "max_seconds": 1, **wrong})  # type: ignore[arg-type]


def test_samples_keep_their_order() -> None:
    durations = iter([5, 3, 9])
    clock = FakeClock(call_ns=0)

    def call() -> None:
        clock.now += next(durations)

    samples = measure(call, warmup=0, runs=3, max_seconds=1, warmup_seconds=0, clock=clock)
    assert samples.nanoseconds == (5, 3, 9)


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collector_rests_while_sampling_and_is_put_back(enabled: bool) -> None:
    seen = []
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        measure(lambda: seen.append(gc.isenabled()), warmup=0, runs=3, max_seconds=1, warmup_seconds=0)
        assert seen == [False, False, False]
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError):
            measure(lambda: 1 / 0, warmup=0, runs=3, max_seconds=1, warmup_seconds=0)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_the_real_clock_counts_up() -> None:
    assert measure(time.perf_counter_ns, warmup=1, runs=50, max_seconds=1, warmup_seconds=0).count == 50


@pytest.mark.parametrize("wrong", [{"runs": 0}, {"warmup": -1}, {"max_seconds": 0}, {"warmup_seconds": -1}])
def test_impossible_protocols_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        measure(int, **{"warmup": 1, "runs": 1, "max_seconds": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [(), (1, -1), (1.5,), (True,)])
def test_samples_are_whole_nanoseconds(wrong: tuple[object, ...]) -> None:
    with pytest.raises(InputError):
        Samples(wrong)  # type: ignore[arg-type]


def test_percentiles_are_numpys() -> None:
    values = tuple(np.random.default_rng(1).integers(1, 10**9, 1000).tolist())
    samples = Samples(values)
    for percent in (50, 90, 99):
        assert samples.percentile_ms(percent) == pytest.approx(np.percentile(values, percent) / 1e6)
    assert samples.percentile_ms(50) == pytest.approx(statistics.median(values) / 1e6)


@pytest.mark.parametrize(("percent", "needed"), [(50, 20), (90, 100), (99, 1000), (99.9, 10_000)])
def test_a_percentile_needs_ten_samples_beyond_it(percent: float, needed: int) -> None:
    assert samples_needed(percent) == needed
    assert Samples((1,) * (needed - 1)).percentile_ms(percent) is None
    assert Samples((1,) * needed).percentile_ms(percent) == 1e-6


@pytest.mark.parametrize(
    ("count", "ranks"),
    # Published tables of the distribution-free interval for the median, e.g. Conover, "Practical
    # Nonparametric Statistics", table A3: 95 % with 6, 10, 20 and 100 samples.
    [(5, None), (6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (100, (40, 61))],
)
def test_median_ranks_are_those_of_the_tables(count: int, ranks: tuple[int, int] | None) -> None:
    assert median_ranks(count) == ranks


def test_the_interval_encloses_the_true_median_as_often_as_it_says() -> None:
    drawn = np.rint(np.random.default_rng(3).exponential(1e9, (1000, 50))).astype(int).tolist()
    held = 0
    for row in drawn:
        interval = Samples(tuple(row)).ci95_ms()
        assert interval is not None
        held += interval[0] <= np.log(2) * 1e3 <= interval[1]
    # Expected 0.9672 (ranks 18 and 33 of 50), standard error 0.0056: four of those either way.
    assert 945 <= held <= 990


def test_round_trip_keeps_raw_samples() -> None:
    samples = Samples((3, 1, 2))
    assert Samples.from_dict(samples.to_dict(raw=True)) == samples
    with pytest.raises(InputError, match="no raw samples"):
        Samples.from_dict(samples.to_dict(raw=False))
