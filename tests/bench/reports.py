"""Reports of any shape, made of numbers that look like those of a machine: for what words and draws them."""

from __future__ import annotations

import random

from edgecnn.bench import BenchmarkResult, Host, HostState, Memory, Protocol, Report, Round, Samples
from edgecnn.bench.timing import Warmup

STATE = HostState(0.4, "performance", 51.0, 0, 2400.0, 3_000_000_000, 100.0, 1.0)
BOARD = Host(
    processor="Cortex-A76", board="Raspberry Pi 5 Model B", architecture="aarch64", features=("asimd", "asimddp"),
    usable_cores=4, cpu_limit=None, memory_bytes=8_000_000_000, system="Debian GNU/Linux 12 (bookworm)",
    kernel="6.6.31", python="CPython 3.11.2", state=STATE,
)  # fmt: skip
DESK = Host(
    processor="AMD Ryzen 9", board=None, architecture="x86_64", features=("avx2", "avx512_vnni"), usable_cores=16,
    cpu_limit=None, memory_bytes=64_000_000_000, system="Ubuntu 24.04", kernel="6.8.0", python="CPython 3.12.3",
    state=STATE,
)  # fmt: skip
_SHARES = {"preprocess": 0.06, "quantize": 0.03, "invoke": 0.8, "dequantize": 0.01, "postprocess": 0.1}


def samples(middle_ms: float, count: int, dice: random.Random) -> Samples:
    """Return durations around a middle: most near it, some late."""
    late = (1 + dice.expovariate(2) if dice.random() < 0.02 else 1.0 for _ in range(count))
    return Samples(tuple(round(middle_ms * 1e6 * share * dice.gauss(1, 0.01)) for share in late))


def measured_round(number: int, ms: float, *, count: int, stages: bool, tainted: bool, dice: random.Random) -> Round:
    """Return a round whose processes differ by one percent."""
    own = ms * dice.gauss(1, 0.01)
    latency = {"invoke": samples(own, count, dice)}
    if stages:
        latency = {stage: samples(own * share / 0.8, count, dice) for stage, share in _SHARES.items()}
        latency["end_to_end"] = samples(own / 0.8, count, dice)
    return Round(
        number=number,
        latency=latency,
        warmup=Warmup(50, 10_000_000, steady=True),
        import_ms=30.0,
        load_ms=2.0,
        first_ms=3 * ms,
        memory=Memory(70_000_000 + round(ms * 100_000), 5_000_000 + round(ms * 90_000), 69_000_000),
        state_before=STATE,
        state_after=STATE,
        taints=("the machine was above 80 C: it may slow itself down",) if tainted else (),
    )


def row(
    name: str,
    ms: float = 1.0,
    *,
    recipe: str | None = "int8",
    accuracy: float | None = 86.0,
    size_bytes: int | None = 100_000,
    rounds: int = 3,
    count: int = 120,
    runtime: str = "litert",
    threads: int | None = 1,
    stages: bool = True,
    tainted: int = 0,
    reason: str | None = None,
) -> BenchmarkResult:
    """Return a measured row; one with a ``reason`` failed after it was measured."""
    dice = random.Random(name)  # noqa: S311 the same numbers in every run
    return BenchmarkResult(
        path=f"out/{name}",
        runtime=runtime,
        threads=threads,
        status="failed" if reason else "ok",
        reason=reason,
        format=name.rpartition(".")[2] if "." in name else None,
        recipe=recipe,
        runtime_version=f"{runtime} 2.3.0",
        device="CPU",
        rounds=tuple(
            measured_round(number, ms, count=count, stages=stages, tainted=number < tainted, dice=dice)
            for number in range(rounds)
        ),
        size_bytes=size_bytes,
        accuracy=accuracy,
        agreement=None if accuracy is None else min(100.0, accuracy + 11),
        max_drift=None if accuracy is None else 0.1,
    )


def failed(name: str, reason: str = "it died of SIGSEGV", status: str = "crashed") -> BenchmarkResult:
    """Return a row that has nothing but a reason."""
    return BenchmarkResult(path=f"out/{name}", runtime="litert", threads=1, status=status, reason=reason)


def report(
    *rows: BenchmarkResult,
    reference: BenchmarkResult | None = None,
    host: Host = BOARD,
    reference_host: Host | None = None,
    data: str | None = "cifar10",
) -> Report:
    """Return the report of rows."""
    return Report(
        host=host,
        protocol=Protocol(),
        reference=reference,
        results=rows,
        data=data,
        pictures=None if data is None else 10_000,
        edgecnn_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        command=("edgecnn", "bench", "out", "--data", "cifar10"),
        data_sha256=None if data is None else "0" * 64,
        reference_host=reference_host,
    )


def several() -> Report:
    """Return what a run over one model's files looks like: a reference, two formats, a loser, a failure."""
    return report(
        row("net_float32.tflite", 2.1, recipe="float32", accuracy=87.19, size_bytes=322_000),
        row("net_float16.tflite", 2.1, recipe="float16", accuracy=87.18, size_bytes=168_000),
        row("net_dynamic_int8.tflite", 1.6, recipe="dynamic_int8", accuracy=87.02, size_bytes=97_000),
        row("net_int8.tflite", 0.75, accuracy=86.9, size_bytes=99_000, tainted=1, rounds=4),
        row("net_int16x8.tflite", 9.4, recipe="int16x8", accuracy=87.2, size_bytes=103_000),
        row("net_float32.onnx", 1.5, recipe="float32", accuracy=87.19, size_bytes=317_000, runtime="onnxruntime"),
        row("net_int8.onnx", 0.6, accuracy=85.1, size_bytes=104_000, runtime="onnxruntime"),
        row("net_clipped.onnx", 0.5, accuracy=41.3, size_bytes=104_000, runtime="onnxruntime"),
        failed("net_broken.tflite"),
        reference=row(
            "net.keras", 31, recipe="float32", accuracy=87.19, size_bytes=1_020_000, runtime="keras", threads=None
        ),
    )


def crowd(files: int = 60) -> Report:
    """Return many files with long names, some failed, one engine against another."""
    dice = random.Random(files)  # noqa: S311 the same numbers in every run
    stem = "mobilenet_v2_alpha_0.75_224_imagenet_pruned_fine_tuned_epoch_"
    rows = [
        row(
            f"{stem}{number:03}_per_channel_{'int8' if number % 3 else 'float32'}.{'tflite' if number % 2 else 'onnx'}",
            5 * dice.lognormvariate(0, 0.9),
            recipe="int8" if number % 3 else "float32",
            accuracy=71 - dice.expovariate(0.4),
            size_bytes=round(1e6 * dice.lognormvariate(1, 0.7)),
            runtime="litert" if number % 2 else "onnxruntime",
        )
        for number in range(files - 3)
    ]
    reasons = [failed(f"{stem}{900 + number}_int8.tflite", f"reason {number} " * 30) for number in range(3)]
    return report(*rows, *reasons, reference=row("m.keras", 80, recipe="float32", accuracy=71.3, runtime="keras"))
