"""Why a quantized file is no faster than its float twin: the likely reasons, from what is known of both.

This module must not know how anything is measured or shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgecnn.bench.host import Host
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.verdict import Verdict, compare, float_twins

#: Instructions that multiply and add bytes four at a time, by architecture: without them int8 gains little.
_DOT_PRODUCT = {
    "x86_64": ("avx512_vnni", "avx_vnni", "amx_int8"),
    "AMD64": ("avx512_vnni", "avx_vnni", "amx_int8"),
    "aarch64": ("asimddp", "i8mm"),
    "arm64": ("asimddp", "i8mm"),
}


def with_reasons(rows: Sequence[BenchmarkResult], host: Host) -> list[BenchmarkResult]:
    """Return the rows, with a warning on each quantized one that is no faster than its float32 twin."""
    twins, result = float_twins(rows), []
    for place, row in enumerate(rows):
        seen = compare(row, twins.get(place))
        if seen is not None and row.recipe is not None and "int" in row.recipe and seen.word != "faster":
            reasons = _reasons(row, host)
            why = f"; likely because {' and '.join(reasons)}" if reasons else ""
            text = f"{_verdict(row, seen, twins[place])}{why}"
            row = replace(row, warnings=(*row.warnings, text))  # noqa: PLW2901
        result.append(row)
    return result


def _verdict(row: BenchmarkResult, seen: Verdict, twin: BenchmarkResult) -> str:
    if seen.word == "slower":
        return f"{row.recipe} is {1 / seen.ratio:.1f} times slower than float32 ({twin.name}) on this machine"
    return f"{row.recipe} is not shown to be faster than float32 ({twin.name}) on this machine"


def _reasons(row: BenchmarkResult, host: Host) -> list[str]:
    found = []
    recipe = row.recipe or ""
    if recipe == "dynamic_int8":
        found.append("activations are quantized anew in every call")
    if recipe == "int16x8":
        found.append("the engine has no fast kernels for 16-bit activations")
    if recipe == "weight_only_int8":
        found.append("weights are made float again, and the arithmetic is that of float32")
    wanted = _DOT_PRODUCT.get(host.architecture)
    if wanted is not None and not set(wanted) & set(host.features):
        found.append(f"the processor has none of {', '.join(wanted)}")
    if (row.threads or 1) > min(host.usable_cores, host.cpu_limit or host.usable_cores):
        found.append("there are more threads than cores")
    if any("throttled" in text for taken in row.rounds for text in taken.taints):
        found.append("the board throttled itself")
    return [*found, *row.placement]
