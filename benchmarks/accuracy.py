"""What does quantization cost real models, on every picture of their test sets?

Question: does LeNet-5, trained by ``edgecnn train`` on MNIST, reach 99.0 % and lose at most 0.1
point as int8; does MLPerf Tiny's ResNet-8 score 87.19 % on CIFAR-10 in float and lose at most 0.5
point in any recipe, its int8 ``.tflite`` at most 100 kB?

Method: the commands that a user types, with default settings, on the whole test split.

    python benchmarks/accuracy.py --mnist mnist.npz --cifar10 cifar10.npz --resnet8 resnet8.h5 [--out FILE]
    python benchmarks/accuracy.py --smoke

The ResNet-8 is ``pretrainedResnet.h5`` of MLPerf Tiny's image classification (input 0..255, RGB).
Exits with 1 if a figure falls short; ``--smoke`` runs the same path on scikit-learn's digits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgecnn.files import write_json


def edgecnn(*words: object) -> dict[str, Any]:
    """Run one command and return its JSON document; its lines for people go on to standard error."""
    command = [sys.executable, "-m", "edgecnn", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(f"{' '.join(map(str, words))} said nothing")
    document: dict[str, Any] = json.loads(done.stdout)
    if "error" in document:
        sys.exit(f"{' '.join(map(str, words))}: {document['error']['message']}")
    return document


def quantized(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the int8 rows of an export."""
    return [row for row in document["artifacts"] if row["recipe"].startswith("int8")]


def lenet5(data: str, folder: Path, epochs: int | None) -> dict[str, Any]:
    """Train LeNet-5, export every recipe."""
    more = ["--epochs", epochs] if epochs else []
    trained = edgecnn("train", "lenet5", "--data", data, "--out", folder, *more)
    exported = edgecnn("export", folder / "model.keras", "--data", data, "--out", folder / "files")
    reference = exported["reference"]["accuracy"]
    worst = min(row["accuracy_change_points"] for row in quantized(exported))
    return {
        "test_accuracy": trained["test_accuracy"],
        "export": exported,
        "checks": {
            "float at least 99.0 %": reference >= 99.0,
            "int8 loses at most 0.1 point": worst >= -0.1 - 1e-9,
        },
    }


def resnet8(model: Path, data: str, folder: Path) -> dict[str, Any]:
    """Export MLPerf Tiny's ResNet-8 in every recipe."""
    exported = edgecnn(
        "export", model, "--scale", "1", "--color", "rgb", "--data", data, "--max-drop", 0.5, "--out", folder
    )
    small = next(row for row in exported["artifacts"] if (row["format"], row["recipe"]) == ("tflite", "int8"))
    return {
        "export": exported,
        "checks": {
            "float is 87.19 % within 0.05": abs(exported["reference"]["accuracy"] - 87.19) <= 0.05,
            "every recipe within 0.5 point": all(row["verdict"] == "pass" for row in exported["artifacts"]),
            "int8 .tflite at most 100 kB": small["size_bytes"] <= 100_000,
        },
    }


def main() -> int:
    """Run every model, print what was checked, write the document; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    for name in ("mnist", "cifar10", "resnet8"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--smoke", action="store_true", help="one epoch on digits; the figures are not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.smoke:
            results["lenet5"] = lenet5("digits", work / "lenet5", 1)
        if arguments.mnist:
            results["lenet5"] = lenet5(str(arguments.mnist), work / "lenet5", None)
        if arguments.cifar10 and arguments.resnet8:
            results["resnet8"] = resnet8(arguments.resnet8, str(arguments.cifar10), work / "resnet8")
    for name, found in results.items():
        for row in found["export"]["artifacts"]:
            row["path"] = Path(row["path"]).name
            change = f"{row['accuracy_change_points']:+.2f}"
            print(f"{row['path']}: {row['accuracy']:.2f} % ({change}), {row['size_bytes']:,} bytes")
        for check, passed in found["checks"].items():
            print(f"{name}: {check}: {'yes' if passed else 'NO'}")
    if arguments.out:
        document = {
            "question": "accuracy of every recipe on whole test splits",
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "results": results,
        }
        write_json(arguments.out, document)
    passed = all(passed for found in results.values() for passed in found["checks"].values())
    return 0 if arguments.smoke or passed else 1


if __name__ == "__main__":
    sys.exit(main())
