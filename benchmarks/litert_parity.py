"""Does ``edgecnn bench`` report the latency that LiteRT's own benchmark command reports?

Question: for the same .tflite file, on one thread, is the p50 of ``edgecnn bench`` within 10 % of
the median of ``litert-benchmark`` (shipped in the ai-edge-litert wheel; it shares no code with
edgecnn: another API, another loop, random input)?

Method: rounds, each of both tools one after the other, the order swapped from round to round, so
that a machine that slows down slows both. A file's figure is the median over rounds of
edgecnn's p50 divided by litert-benchmark's median.

    python benchmarks/litert_parity.py FILES... [--rounds 7] [--out results.json]
    python benchmarks/litert_parity.py --smoke FILE

The files must carry a contract. ``litert-benchmark`` rounds to 0.01 ms, so a file of 0.2 ms cannot
be compared to better than 2.5 %, and one below 0.05 ms not at all. Exits with 1 if a file is not
within 10 %; ``--smoke`` (one short round) only shows that both tools run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

TOLERANCE = 0.10
SMALLEST_MS = 0.05
LITERT_MAIN = "from ai_edge_litert.tools.benchmark_litert_model import main; main()"


def edgecnn_p50_ms(model: Path, runs: int, seconds: float) -> tuple[float, dict[str, Any]]:
    """Return the p50 of ``edgecnn bench`` with one thread, and the host that it names."""
    words = ["-m", "edgecnn", "bench", str(model), "--threads", "1", "--runs", str(runs), "--max-seconds", str(seconds)]
    done = subprocess.run([sys.executable, *words, "--json"], capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    if done.returncode:
        sys.exit(f"edgecnn bench failed on {model}: {done.stderr[-500:]}")
    return float(document["results"][0]["latency"]["invoke"]["p50_ms"]), document["host"]


def litert_median_ms(model: Path, runs: int, warmup: int) -> float:
    """Return the median of ``litert-benchmark`` with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "litert.json"
        words = [f"--model={model}", "--num_threads=1", f"--num_runs={runs}", f"--warmup_runs={warmup}"]
        subprocess.run(
            [sys.executable, "-c", LITERT_MAIN, *words, f"--result_json={out}"], capture_output=True, check=True
        )
        return float(json.loads(out.read_text())["latency"]["median_ms"])


def compare(model: Path, rounds: int, runs: int, seconds: float) -> dict[str, Any]:
    """Return both tools' figures of every round for one file, and the median of their ratios."""
    own: list[float] = []
    theirs: list[float] = []
    host: dict[str, Any] = {}
    # litert-benchmark warms up by calls only: enough of them for the 0.2 s that edgecnn takes.
    warmup = max(10, min(2000, round(200 / max(litert_median_ms(model, 20, 10), 0.01))))
    for index in range(rounds):
        for tool in ("edgecnn", "litert") if index % 2 == 0 else ("litert", "edgecnn"):
            if tool == "edgecnn":
                p50, host = edgecnn_p50_ms(model, runs, seconds)
                own.append(p50)
            else:
                theirs.append(litert_median_ms(model, runs, warmup))
    # Below this, two decimals of a millisecond are no figure: such a file cannot be compared.
    comparable = min(theirs) >= SMALLEST_MS
    ratios = [mine / other for mine, other in zip(own, theirs, strict=True)] if comparable else []
    ratio = statistics.median(ratios) if ratios else None
    return {
        "file": model.name,
        "size_bytes": model.stat().st_size,
        "runs": runs,
        "edgecnn_p50_ms": own,
        "litert_benchmark_median_ms": theirs,
        "ratios": ratios,
        "median_ratio": ratio,
        "within_tolerance": ratio is not None and abs(ratio - 1) <= TOLERANCE,
        "host": host,
    }


def told(found: dict[str, Any]) -> str:
    """Return one line about a file."""
    own, theirs = (statistics.median(found[key]) for key in ("edgecnn_p50_ms", "litert_benchmark_median_ms"))
    line = f"{found['file']}: edgecnn {own:.3f} ms, litert-benchmark {theirs:.2f} ms, "
    if found["median_ratio"] is None:
        return line + f"not comparable: litert-benchmark tells 0.01 ms, and this is below {SMALLEST_MS} ms"
    spread = f"{min(found['ratios']):.3f} to {max(found['ratios']):.3f} in {len(found['ratios'])} rounds"
    return line + f"median ratio {found['median_ratio']:.3f} ({spread})"


def main() -> int:
    """Compare every file, print a line for each, write the document; return 1 if one is outside."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--max-seconds", type=float, default=10.0)
    parser.add_argument("--smoke", action="store_true", help="one short round; the figures are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.runs, arguments.max_seconds = 1, 30, 1.0
    results = []
    for model in arguments.files:
        found = compare(model, arguments.rounds, arguments.runs, arguments.max_seconds)
        results.append(found)
        print(told(found), flush=True)
    if arguments.out:
        document = {
            "question": "edgecnn bench p50 / litert-benchmark median, same .tflite file, one thread",
            "tolerance": TOLERANCE,
            "command": ["python", "benchmarks/litert_parity.py", *sys.argv[1:]],
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("edgecnn", "ai-edge-litert", "numpy")},
            "results": results,
        }
        from edgecnn.files import write_json

        write_json(arguments.out, document)
    return 0 if arguments.smoke or all(found["within_tolerance"] for found in results) else 1


if __name__ == "__main__":
    sys.exit(main())
