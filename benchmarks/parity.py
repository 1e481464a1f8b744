"""Does ``edgecnn bench`` report the latency that the engines' own loops report?

Question: for the same file, on one thread, is the p50 of ``edgecnn bench`` within 5 % of the median of a peer that
shares no code with it? For .tflite the peer is ``litert-benchmark`` (shipped in the ai-edge-litert wheel: another
API, another loop, random input); for .onnx a bare loop of ``InferenceSession.run``.

Method: interleaved rounds, each of both tools one after the other, each in a process of its own, the order swapped from
round to round, so that a machine that slows down slows both. A file's figure is the median over rounds of
edgecnn's p50 divided by the peer's median; the 95 % interval is that of the rounds. ``litert-benchmark`` writes its
result with two decimals of a millisecond, too few for files of 0.1 ms: its rounding is taken out, its
measuring is untouched.

    python benchmarks/parity.py FILES... [--rounds 9] [--out results.json]
    python benchmarks/parity.py --smoke FILES...

The files must carry a contract. One call of the two TFLite APIs from Python does not cost the same: about a
microsecond, which a file of one operator shows (tests/golden/tiny_int8.tflite). So files below 0.05 ms are told, and
not judged. Exits with 1 if another is not within 5 %; ``--smoke`` (one short round) only shows that both tools run.
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

from edgecnn.bench import Protocol
from edgecnn.bench.intervals import ratio_interval
from edgecnn.bench.runner import benchmark
from edgecnn.files import write_json

TOLERANCE = 0.05
#: Below it the calls themselves, not what they compute, are more than 2 % of the figure.
JUDGED_FROM_MS = 0.05
LITERT = """
import ai_edge_litert.tools.benchmark_litert_model as tool
tool.round = lambda value, digits=None: value
tool.main()
"""
ONNX = """
import json, sys, time
import numpy, onnxruntime
model, runs, warmup, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
(told,) = session.get_inputs()
dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}[told.type]
tensor = (numpy.random.default_rng(0).random(told.shape) * (1 if dtype == "float32" else 127)).astype(dtype)
taken = []
for number in range(warmup + runs):
    start = time.perf_counter_ns()
    session.run(None, {told.name: tensor})
    taken.append(time.perf_counter_ns() - start)
json.dump({"latency": {"median_ms": sorted(taken[warmup:])[runs // 2] / 1e6}}, open(out, "w"))
"""
PEERS = {".tflite": ("litert-benchmark", "ai-edge-litert"), ".onnx": ("InferenceSession.run", "onnxruntime")}


def edgecnn_p50_ms(model: Path, runs: int, seconds: float) -> float:
    """Return the p50 of one round of ``edgecnn bench``."""
    (row,) = benchmark([model], protocol=Protocol(rounds=1, runs=runs, max_seconds=seconds)).results
    if not row.ok or row.p50_ms is None:
        sys.exit(f"edgecnn bench failed on {model}: {row.reason or 'too few samples'}")
    return row.p50_ms


def peer_median_ms(model: Path, runs: int, warmup: int) -> float:
    """Return the median of the peer, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "peer.json"
        if model.suffix == ".tflite":
            options = (f"--num_runs={runs}", f"--warmup_runs={warmup}", f"--result_json={out}")
            command = [LITERT, f"--model={model}", "--num_threads=1", *options]
        else:
            command = [ONNX, str(model), str(runs), str(warmup), str(out)]
        done = subprocess.run([sys.executable, "-c", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the peer failed on {model}: {done.stderr[-500:]}")
        return float(json.loads(out.read_text())["latency"]["median_ms"])


def compared(model: Path, rounds: int, runs: int, seconds: float) -> dict[str, Any]:
    """Return both tools' figures of every round for one file, and the median of their ratios."""
    own: list[float] = []
    peer: list[float] = []
    for number in range(rounds):
        if number % 2:
            peer.append(peer_median_ms(model, runs, runs // 5))
        own.append(edgecnn_p50_ms(model, runs, seconds))
        if not number % 2:
            peer.append(peer_median_ms(model, runs, runs // 5))
    ratios = [mine / theirs for mine, theirs in zip(own, peer, strict=True)]
    interval = ratio_interval(ratios)
    name, distribution = PEERS[model.suffix]
    return {
        "file": model.name,
        "peer": f"{name} of {distribution} {version(distribution)}",
        "edgecnn_p50_ms": own,
        "peer_median_ms": peer,
        "judged": statistics.median(peer) >= JUDGED_FROM_MS,
        "difference_us": statistics.median((mine - theirs) * 1000 for mine, theirs in zip(own, peer, strict=True)),
        "ratio": statistics.median(ratios),
        "ratio_ci95": None if interval is None else [interval.low, interval.high],
    }


def main() -> int:
    """Compare every file, print a line for each, write the document; return 1 if one is not within 5 %."""
    from edgecnn.bench import read_host

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--max-seconds", type=float, default=5.0)
    parser.add_argument("--smoke", action="store_true", help="one short round; the figures are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.rounds, arguments.runs, arguments.max_seconds = 1, 50, 0.5
    host, results = read_host(), []
    for model in arguments.files:
        found = compared(model, arguments.rounds, arguments.runs, arguments.max_seconds)
        results.append(found)
        between = " to ".join(f"{end:.3f}" for end in found["ratio_ci95"] or [])
        judged = "" if found["judged"] else f", too short to judge: {found['difference_us']:+.2f} us"
        print(f"{found['file']}: {found['ratio']:.3f} times {found['peer']} ({between}){judged}", flush=True)
    if arguments.out:
        document = {
            "question": "edgecnn bench's p50 divided by the median of the engine's own loop, one thread",
            "command": ["python", "benchmarks/parity.py", *(Path(word).name for word in sys.argv[1:])],
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": host.to_dict(),
            "tolerance": TOLERANCE,
            "results": results,
        }
        write_json(arguments.out, document)
    close = all(abs(found["ratio"] - 1) <= TOLERANCE for found in results if found["judged"])
    return 0 if arguments.smoke or close else 1


if __name__ == "__main__":
    sys.exit(main())
