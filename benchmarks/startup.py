"""How long do edgecnn's light commands take, and how much memory, beside ``import numpy``?

Question: does ``edgecnn --help`` take at most 1.5 times the wall time of ``python -c "import numpy"``,
and ``edgecnn predict`` on a small file at most 5 times, under 120 MB of resident memory?

Method: whole processes, in rounds of one of each after a warm-up round; a command's figure is the
median over rounds of its wall time divided by numpy's in the same round. Memory is the operating
system's own peak of the finished process; it begins with what this script itself has resident, so
the script imports nothing heavy before it has timed.

    python benchmarks/startup.py [--rounds 15] [--out benchmarks/results/startup.json]
    python benchmarks/startup.py --smoke

Exits with 1 if a limit is passed; ``--smoke`` (one round) only shows that it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAKE_PICTURE = "import sys, cv2, numpy; cv2.imwrite(sys.argv[1], numpy.full((20, 30, 3), (60, 140, 60), numpy.uint8))"
#: Command -> (wall time in units of importing numpy, peak resident bytes), at most.
LIMITS = {"help": (1.5, 120e6), "predict_tflite": (5.0, 120e6), "predict_onnx": (5.0, 120e6)}


def commands(picture: Path) -> dict[str, list[str]]:
    """Return the commands to time, the yardstick first."""
    edgecnn = str(Path(sys.executable).with_name("edgecnn"))
    golden = ROOT / "tests" / "golden"
    return {
        "import_numpy": [sys.executable, "-c", "import numpy"],
        "help": [edgecnn, "--help"],
        "predict_tflite": [edgecnn, "predict", str(golden / "tiny_int8.tflite"), str(picture)],
        "predict_onnx": [edgecnn, "predict", str(golden / "tiny_int8.onnx"), str(picture)],
    }


def run_once(command: list[str]) -> tuple[float, int]:
    """Return wall milliseconds and peak resident bytes of one finished process."""
    start = time.perf_counter_ns()
    devnull = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    process = os.posix_spawn(command[0], command, dict(os.environ), file_actions=devnull)
    _, status, usage = os.wait4(process, 0)
    wall_ms = (time.perf_counter_ns() - start) / 1e6
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} failed")
    return wall_ms, usage.ru_maxrss * 1024


def main() -> int:
    """Time every command, print a line for each, write the document; return 1 past a limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--smoke", action="store_true", help="one round; the figures are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rounds = 1 if arguments.smoke else arguments.rounds
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "green.png"
        subprocess.run([sys.executable, "-c", MAKE_PICTURE, picture], check=True)
        timed = commands(picture)
        for command in timed.values():
            run_once(command)
        samples: dict[str, list[tuple[float, int]]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, command in timed.items():
                samples[name].append(run_once(command))

    results = {}
    for name, found in samples.items():
        ratios = [wall / base for (wall, _), (base, _) in zip(found, samples["import_numpy"], strict=True)]
        peak_bytes = max(peak for _, peak in found)
        ratio = statistics.median(ratios)
        limit = LIMITS.get(name)
        results[name] = {
            "wall_ms": [wall for wall, _ in found],
            "median_ratio": ratio,
            "peak_rss_bytes": peak_bytes,
            "limit_ratio": limit[0] if limit else None,
            "within_limits": limit is None or (ratio <= limit[0] and peak_bytes <= limit[1]),
        }
        wall_ms = statistics.median(wall for wall, _ in found)
        print(f"{name}: {wall_ms:.0f} ms, {ratio:.2f} times import numpy, {peak_bytes / 1e6:.0f} MB")
    if arguments.out:
        from edgecnn.bench.host import read_host
        from edgecnn.files import write_json

        document = {
            "question": "wall time in units of `python -c 'import numpy'`, peak resident memory",
            "command": ["python", "benchmarks/startup.py", *sys.argv[1:]],
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": read_host().to_dict(),
            "results": results,
        }
        write_json(arguments.out, document)
    return 0 if arguments.smoke or all(found["within_limits"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
