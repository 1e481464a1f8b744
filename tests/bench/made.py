"""Reports made by hand: rounds of samples whose medians are planted, so that every verdict is known beforehand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp
from typing import Any

from edgecnn.bench import BenchmarkResult, Host, HostState, Memory, Protocol, Report, Round, Samples
from edgecnn.bench.timing import Warmup

STATE = HostState(load_average=0.1, governor="performance", temperature_c=50.0, throttled=0)
BOARD = Host(
    processor="Cortex-A76",
    board="Raspberry Pi 5",
    architecture="aarch64",
    features=("asimddp",),
    usable_cores=4,
    cpu_limit=None,
    memory_bytes=8_000_000_000,
    system="Debian",
    kernel="6.6",
    python="CPython 3.11",
    state=STATE,
)


def taken(number: int, ms: float, *, count: int = 200, peak: int = 70_000_000) -> Round:
    """One round whose samples lie within 1 % of their median."""
    steps = [round(ms * 1e6 * (1 + 0.01 * (index / (count - 1) - 0.5))) for index in range(count)]
    return Round(
        number=number,
        latency={"invoke": Samples(tuple(steps))},
        warmup=Warmup(10, 1_000_000, steady=True),
        import_ms=20.0,
        load_ms=2.0,
        first_ms=3.0,
        memory=Memory(peak, 4_000_000, peak),
    )


def row(
    name: str,
    ms: float = 1.0,
    *,
    rounds: int = 5,
    noise: float = 0.002,
    seed: int = 0,
    drift: Sequence[float] = (),
    count: int = 200,
    peak: int = 70_000_000,
    **more: Any,
) -> BenchmarkResult:
    """A row that is ok.

    Args:
        noise: by which the medians of rounds differ at random, as a share.
        drift: factors of each round's median, the same for all rows of a run.
    """
    chance = random.Random(f"{name} {seed}")  # noqa: S311 - no secret, only the same noise each time
    medians = [ms * (drift[number] if drift else 1.0) * exp(noise * chance.gauss(0, 1)) for number in range(rounds)]
    plain: dict[str, Any] = {
        "runtime": "litert",
        "threads": 1,
        "format": "tflite",
        "recipe": "float32",
        "runtime_version": "ai-edge-litert 2.3.0",
        "size_bytes": 300_000,
        "accuracy": 90.0,
    }
    found = tuple(taken(number, median, count=count, peak=peak) for number, median in enumerate(medians))
    return BenchmarkResult(path=f"files/{name}", status="ok", rounds=found, **{**plain, **more})


def failed(name: str, status: str = "crashed", runtime: str | None = "litert") -> BenchmarkResult:
    return BenchmarkResult(path=f"files/{name}", runtime=runtime, threads=1, status=status, reason="it died of SIGSEGV")


def report(*rows: BenchmarkResult, reference: BenchmarkResult | None = None, **more: Any) -> Report:
    plain: dict[str, Any] = {
        "host": BOARD,
        "protocol": Protocol(),
        "data": "cifar10",
        "pictures": 10_000,
        "data_sha256": "a" * 64,
        "edgecnn_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Report(reference=reference, results=rows, **{**plain, **more})
