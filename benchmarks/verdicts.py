"""Does ``edgecnn bench`` call a file faster only where it is?

Question: how often do two copies of one file show "no difference", and how often is a file that does a tenth more work,
or twice the work, called slower?

Method: three .tflite files of equal convolutions in a chain: 20 of them, 22 and 40. Each trial is one ``edgecnn
bench`` of five rounds of two files, as a user would run it: the 20 beside a copy of itself, beside the 22,
beside the 40. The same for the .onnx files. Exits with 1 if fewer than 19 of 20 verdicts are right.

    python benchmarks/verdicts.py [--trials 20] [--out benchmarks/results/verdicts.json]
    python benchmarks/verdicts.py --smoke
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgecnn.bench import BenchmarkResult, Protocol, compare, read_host
from edgecnn.bench.runner import benchmark
from edgecnn.files import write_json

LAYERS = {"same": 20, "tenth more": 22, "doubled": 40}
SMOKE_LAYERS = {"same": 2, "tenth more": 3, "doubled": 4}
RIGHT = {"same": "no difference shown", "tenth more": "slower", "doubled": "slower"}
#: Of the verdicts on one pair that must be right.
ENOUGH = 0.95
SIDE, FILTERS = 24, 32


def chains(folder: Path, layers_of: Mapping[str, int], formats: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Make the files: (format, pair) -> path."""
    from edgecnn.artifact import open_artifact
    from edgecnn.export.routes import FLOAT, Maker, Source
    from edgecnn.models.loading import import_keras
    from edgecnn.spec import Head, InputSpec, ModelSpec
    from edgecnn.training.save import save_model

    keras = import_keras()
    spec = ModelSpec("chain", "classify", InputSpec(SIDE, SIDE, 3, "rgb"), Head("probabilities"), ("a", "b"))
    made = {}
    for pair, count in layers_of.items():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(FILTERS, 3, padding="same", activation="relu") for _ in range(count)]
        ends = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
        model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers, *ends])
        path = folder / f"chain{count}.keras"
        save_model(model, path, spec, {})
        for format_name in formats:
            scratch = folder / f"scratch{count}"
            scratch.mkdir(exist_ok=True)
            artifact = Maker(Source(open_artifact(path), spec), format_name, scratch).make(FLOAT)
            made[format_name, pair] = Path(shutil.copy(artifact.path, folder / f"{pair}.{format_name}"))
    return made


def trial(base: Path, other: Path, protocol: Protocol) -> tuple[str, float | None]:
    """Return the verdict on ``other`` beside ``base``, and the ratio, of one run."""
    rows: tuple[BenchmarkResult, ...] = benchmark([base, other], protocol=protocol).results
    for row in rows:
        if not row.ok:
            sys.exit(f"{row.name} cannot be measured: {row.reason}")
    seen = compare(rows[1], rows[0])
    # On a busy machine too few clean rounds may be left: that is no verdict, and not a right one.
    return (seen.word, seen.ratio) if seen is not None else ("no verdict", None)


def main() -> int:
    """Run the trials, print a line for each pair, write the document; return 1 for too many wrong verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--max-seconds", type=float, default=2.5, help="of sampling per file and trial")
    parser.add_argument("--smoke", action="store_true", help="one short trial; the verdicts are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    protocol = Protocol(rounds=5, max_seconds=arguments.max_seconds, until_clean=True)
    if arguments.smoke:
        arguments.trials, protocol = 1, Protocol(rounds=3, runs=20, max_seconds=0.3)
    layers_of, formats = (SMOKE_LAYERS, ("tflite",)) if arguments.smoke else (LAYERS, ("tflite", "onnx"))
    host, results, good = read_host(), [], True
    with tempfile.TemporaryDirectory() as folder:
        files = chains(Path(folder), layers_of, formats)
        copies = {name: Path(folder) / f"base.{name}" for name in formats}
        for name, copy in copies.items():
            shutil.copy(files[name, "same"], copy)
        for (name, pair), file in files.items():
            found = [trial(copies[name], file, protocol) for _ in range(arguments.trials)]
            words = Counter(word for word, _ in found)
            right = words[RIGHT[pair]]
            good = good and right >= ENOUGH * arguments.trials
            case: dict[str, Any] = {"format": name, "pair": pair, "right": right, "trials": arguments.trials}
            results.append({**case, "verdicts": dict(words), "ratios": [ratio for _, ratio in found]})
            print(f"{name} {pair}: {right} of {arguments.trials} right {dict(words)}", flush=True)
    if arguments.out:
        document = {
            "question": "verdicts on a file beside itself, a tenth more work, and twice the work",
            "command": ["python", "benchmarks/verdicts.py", *(Path(word).name for word in sys.argv[1:])],
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "host": host.to_dict(),
            "protocol": protocol.to_dict(),
            "layers": layers_of,
            "results": results,
        }
        write_json(arguments.out, document)
    return 0 if arguments.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
