"""By how much do medians of one and the same file differ from one process to the next?

Question: ``edgecnn bench`` calls one file faster than another only where their medians differ by
more than ``PROCESS_NOISE``. Do copies of one file, which are equally fast, stay within it?

Method: rounds of ``edgecnn bench`` on copies of a file, each copy in a fresh process as any row is.
Within a round, every pair of copies gives one ratio, the larger p50 divided by the smaller. A pair
that the comparison of ``bench`` tells apart all the same is a false "faster".

    python benchmarks/process_noise.py [FILES...] [--rounds 5] [--out benchmarks/results/process_noise.json]
    python benchmarks/process_noise.py --smoke

Without FILES, on tests/golden/tiny_float32.tflite. Files must carry a contract. Exits with 1 if
more than 5 % of a file's pairs are told apart; ``--smoke`` (one short round) only shows that it runs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.bench import BenchmarkResult, Protocol, read_host
from edgecnn.bench.results import PROCESS_NOISE, compare
from edgecnn.bench.runner import benchmark
from edgecnn.files import write_json

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "tiny_float32.tflite"
#: Share of pairs of equal files that may be told apart: what 95 % confidence promises.
FALSE_CLAIMS = 0.05


def one_round(model: Path, copies: int, protocol: Protocol) -> list[BenchmarkResult]:
    """Return a row for each copy of a file, each measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(shutil.copy(model, Path(folder) / f"copy{number}{model.suffix}")) for number in range(copies)]
        rows = benchmark(files, protocol=protocol).results
    for row in rows:
        if not row.ok:
            sys.exit(f"{model} cannot be measured: {row.reason}")
    return list(rows)


def summary(rounds: list[list[BenchmarkResult]]) -> dict[str, Any]:
    """Return what all pairs of rows within each round show; ratios are of the larger p50 to the smaller."""
    seen = [compare(*pair) for rows in rounds for pair in combinations(rows, 2)]
    ratios = [max(found.ratio, 1 / found.ratio) for found in seen if found is not None]
    if not ratios:
        sys.exit("no medians to compare: more copies, runs or seconds are needed")
    p50, p90, p95, p99 = (float(value) for value in np.percentile(ratios, (50, 90, 95, 99)))
    return {
        "p50_ms": [[row.invoke.percentile_ms(50) for row in rows if row.invoke] for rows in rounds],
        "pairs": len(ratios),
        "ratio": {"p50": p50, "p90": p90, "p95": p95, "p99": p99, "max": max(ratios)},
        "share_above_process_noise": sum(ratio > 1 + PROCESS_NOISE for ratio in ratios) / len(ratios),
        "share_told_apart": sum(found.told_apart for found in seen if found is not None) / len(ratios),
        "warnings": sorted({text for rows in rounds for row in rows for text in row.warnings}),
    }


def told(name: str, found: dict[str, Any]) -> str:
    """Return one line about a file."""
    ratio = found["ratio"]
    return (
        f"{name}: {found['pairs']} pairs of processes, ratio of their p50 {ratio['p50']:.3f} (median), "
        f"{ratio['p95']:.3f} (p95), {ratio['max']:.3f} (largest), {found['share_told_apart']:.1%} told apart"
    )


def main() -> int:
    """Measure every file, print a line for each, write the document; return 1 for too many false claims."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path, default=[GOLDEN])
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--max-seconds", type=float, default=10.0)
    parser.add_argument("--smoke", action="store_true", help="one short round; the figures are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.copies, arguments.rounds, arguments.runs, arguments.max_seconds = 2, 1, 30, 1.0
    protocol = Protocol(runs=arguments.runs, max_seconds=arguments.max_seconds)
    host = read_host()
    results = {}
    for model in arguments.files:
        rounds = [one_round(model, arguments.copies, protocol) for _ in range(arguments.rounds)]
        results[model.name] = {"size_bytes": model.stat().st_size, **summary(rounds)}
        print(told(model.name, results[model.name]), flush=True)
    if arguments.out:
        document = {
            "question": "p50 of copies of one file, each in a fresh process: the larger divided by the smaller",
            "command": ["python", "benchmarks/process_noise.py", *sys.argv[1:]],
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": host.to_dict(),
            "process_noise": PROCESS_NOISE,
            "protocol": protocol.to_dict(),
            "results": results,
        }
        write_json(arguments.out, document)
    few = all(found["share_told_apart"] <= FALSE_CLAIMS for found in results.values())
    return 0 if arguments.smoke or few else 1


if __name__ == "__main__":
    sys.exit(main())
