"""What does each recipe cost real models, what does the budget search win back, and what does training with it win?

Question: size, accuracy, drop and latency of every recipe in both formats, for LeNet-5 trained on
MNIST, for MLPerf Tiny's ResNet-8 (``pretrainedResnet.h5``, input 0..255 RGB) and for a MobileNet of
alpha 0.5 trained on CIFAR-10. Then, for that MobileNet made hard on purpose (``planted.py``), plain
int8 against the search of ``--max-drop``; and quantization-aware training.

Method: the commands that a user types, on all 10,000 test pictures. Latencies are medians of one
thread, each file timed in turns with the float32 file of its format, so the ratio holds, not the figure.

    python benchmarks/quantization.py --mnist mnist.npz --cifar10 cifar10.npz --resnet8 resnet8.h5
        [--mobilenet model.keras] [--out DIR]
    python benchmarks/quantization.py --smoke

Without ``--mobilenet`` the MobileNet is trained first (about an hour on two cores), unless all that
needs it is left out (``--without-mobilenet``). Exits with 1 if a
figure falls short; ``--smoke`` runs the same path on scikit-learn's digits and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from planted import with_wide_range

from edgecnn.files import write_json, write_text

#: The planted layer: in the middle of the network.
PLANTED = {"layer": "dw5", "norm": "dw5_bn", "activation": "dw5_relu", "reader": "pw5"}
Row = dict[str, Any]
Case = tuple[dict[str, Any], dict[str, bool]]
#: Points are differences of floats.
EPSILON = 1e-9


def edgecnn(*words: object) -> dict[str, Any]:
    """Run one command and return its JSON document; its lines for people go on to standard error."""
    command = [sys.executable, "-m", "edgecnn", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    document: dict[str, Any] = json.loads(done.stdout or '{"error": {"message": "it said nothing"}}')
    if "error" in document:
        sys.exit(f"{' '.join(map(str, words))}: {document['error']['message']}")
    return document


@dataclass(frozen=True)
class Setting:
    """Where data and results are, and how much of it is used."""

    data: str
    work: Path
    smoke: bool = False

    def export(self, model: Path, name: str, *words: object) -> dict[str, Any]:
        """Export a model; the rows come with the case's name and without this machine's paths."""
        # What a smoke run has trained is no better than a guess.
        less = ("--limit", 100, "--floor", 0, "--trials", 2) if self.smoke else ()
        document = edgecnn("export", model, "--data", self.data, *less, "--out", self.work / name, *words)
        for row in document["artifacts"]:
            row["path"] = row["path"] and Path(row["path"]).name
        return {"case": name, **document}


def int8_rows(document: dict[str, Any]) -> list[Row]:
    return [row for row in document["artifacts"] if row["recipe"] == "int8"]


def trained_mobilenet(setting: Setting) -> Path:
    """Train the MobileNet as a user would."""
    length = ("--epochs", 1, "--limit", 300) if setting.smoke else ("--epochs", 30)
    folder = setting.work / "mobilenet"
    edgecnn(
        *("train", "mobilenet", "--data", setting.data, "--input-size", 28 if setting.smoke else 32, "--alpha", 0.5),
        *("--downsample", "early", "--augment", "mirror,shift", *length, "--out", folder),
    )
    return folder / "model.keras"


def planted(model: Path, out: Path) -> Path:
    """Write the same model with a wide range inside, and the same contract."""
    from edgecnn.artifact import open_artifact
    from edgecnn.models.loading import load_keras_model
    from edgecnn.training.save import save_model

    artifact = open_artifact(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_model(with_wide_range(load_keras_model(artifact), **PLANTED), out, artifact.require_spec(), {})
    return out


def lenet5(setting: Setting) -> Case:
    """Train LeNet-5, export every recipe."""
    folder = setting.work / "lenet5_float"
    edgecnn("train", "lenet5", "--data", setting.data, "--out", folder)
    found = setting.export(folder / "model.keras", "lenet5")
    return found, {
        "float at least 99.0 %": found["reference"]["accuracy"] >= 99.0,
        "int8 loses at most 0.1 point": loss(found) <= 0.1 + EPSILON,
    }


def resnet8(setting: Setting, model: Path) -> Case:
    """Export MLPerf Tiny's ResNet-8."""
    found = setting.export(model, "resnet8", "--scale", 1, "--color", "rgb", "--max-drop", 0.5)
    small = next(row for row in int8_rows(found) if row["format"] == "tflite")
    return found, {
        "float is 87.19 % within 0.05": abs(found["reference"]["accuracy"] - 87.19) <= 0.05,
        "int8 loses at most 0.3 point in both formats": loss(found) <= 0.3 + EPSILON,
        "int8 .tflite at most 100 kB": small["size_bytes"] <= 100_000,
    }


def mobilenet(setting: Setting, model: Path) -> Case:
    """Export the MobileNet."""
    found = setting.export(model, "mobilenet", "--max-drop", 0.5)
    return found, {
        "float reaches 80 %": found["reference"]["accuracy"] >= 80,
        "int8 loses at most 0.5 point after the search": loss(found) <= 0.5 + EPSILON,
    }


def quantization_aware(setting: Setting, model: Path, float_accuracy: float) -> Case:
    """Train the MobileNet on with quantization, export int8 as it is."""
    folder = setting.work / "mobilenet_aware_training"
    length = ("--epochs", 1, "--limit", 300) if setting.smoke else ()
    words = ("--quantize-aware", "--data", setting.data, "--augment", "mirror,shift", *length, "--out", folder)
    trained = edgecnn("train", model, *words)
    found = setting.export(folder / "model.keras", "mobilenet_aware", "--recipe", "int8", "--max-drop", 100)
    found["training"] = {key: value for key, value in trained.items() if "accuracy" in key}
    worst = min(row["accuracy"] for row in int8_rows(found))
    return found, {"int8 within 0.1 point of the float model, or better": worst >= float_accuracy - 0.1 - EPSILON}


def planted_plain(setting: Setting, model: Path) -> Case:
    """Export the hard model without a search."""
    found = setting.export(model, "planted_plain", "--recipe", "int8", "--max-drop", 100, "--trials", 0)
    worst = max(row["accuracy_change_points"] for row in int8_rows(found))
    return found, {"plain int8 loses more than 5 points in both formats": worst < -5}


def planted_searched(setting: Setting, model: Path) -> Case:
    """Export the hard model within a budget."""
    found = setting.export(model, "planted", "--recipe", "int8", "--max-drop", 0.5)
    return found, {"the search brings int8 inside 0.5 point in both formats": loss(found) <= 0.5 + EPSILON}


def planted_debug(setting: Setting, model: Path, row: Row) -> Case:
    """Ask where a plain int8 file of the hard model went wrong."""
    (file,) = setting.work.glob(f"planted_plain/**/{row['path']}")
    words = ("--reference", model, "--data", setting.data, "--limit", 500, "--out", setting.work / "debug")
    found = edgecnn("debug", file, *words)
    # The commands in it name this machine's folders.
    cause = found["cause"].replace(f"{setting.work}/", "").replace(setting.data, Path(setting.data).name)
    case = {"case": f"planted_debug_{row['format']}", "artifacts": [], "cause": cause}
    first = found["layers"][0]["layer"]
    return {**case, "layers": found["layers"][:5]}, {f"debug ranks {PLANTED['layer']} first": first == PLANTED["layer"]}


def cases(arguments: argparse.Namespace, work: Path) -> Iterator[Case]:
    """Yield every case: its document, and what was checked."""
    setting = Setting("digits" if arguments.smoke else str(arguments.cifar10), work, arguments.smoke)
    if arguments.mnist:
        yield lenet5(Setting(str(arguments.mnist), work))
    if arguments.resnet8:
        yield resnet8(setting, arguments.resnet8)
    if arguments.without_mobilenet:
        return
    model = arguments.mobilenet or trained_mobilenet(setting)
    found, checks = mobilenet(setting, model)
    yield found, checks
    yield quantization_aware(setting, model, found["reference"]["accuracy"])
    hard = planted(model, work / "planted_float" / "model.keras")
    plain, checks = planted_plain(setting, hard)
    yield plain, checks
    yield planted_searched(setting, hard)
    for row in int8_rows(plain):
        yield planted_debug(setting, hard, row)


def loss(document: dict[str, Any]) -> float:
    """Return the points that the worst int8 file of an export lost; a file that was rejected lost too much."""
    rows = int8_rows(document)
    return max((-row["accuracy_change_points"] if row["verdict"] == "pass" else 100.0) for row in rows)


def markdown(results: list[dict[str, Any]], checks: dict[str, bool]) -> str:
    """Return the whole table as Markdown."""
    lines = [
        "| model | format | recipe | size, bytes | accuracy, % | drop, points | p50, ms | times float32 | in float32 |"
    ]
    lines += ["|---|---|---|---:|---:|---:|---:|---:|---|"]
    for result in results:
        if "reference" in result:
            lines.append(
                f"| {result['case']} | Keras | float model | | {result['reference']['accuracy']:.2f} | | | | |"
            )
        for row in result["artifacts"]:
            figures = [
                row["size_bytes"],
                row["accuracy"],
                row["accuracy_change_points"],
                row["p50_ms"],
                row["float32_ratio"],
            ]
            shown = [
                "-" if value is None else format(value, pattern)
                for value, pattern in zip(figures, (",", ".2f", "+.2f", ".3f", ".2f"), strict=True)
            ]
            mark = "" if row["verdict"] == "pass" else " (refused)"
            excluded = ", ".join(row["excluded_layers"])
            lines.append(
                f"| {result['case']} | {row['format']} | {row['recipe']}{mark} | {' | '.join(shown)} | {excluded} |"
            )
    lines += ["", *(f"- {check}: {'yes' if passed else 'NO'}" for check, passed in checks.items()), ""]
    return "\n".join(lines)


def main() -> int:
    """Run every case, print the table and what was checked; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    for name in ("mnist", "cifar10", "resnet8", "mobilenet", "out"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--without-mobilenet", action="store_true", help="leave out all that needs the MobileNet")
    parser.add_argument("--smoke", action="store_true", help="one epoch on digits; the figures are not judged")
    arguments = parser.parse_args()
    if not arguments.smoke and arguments.cifar10 is None:
        parser.error("--cifar10 or --smoke")
    results: list[dict[str, Any]] = []
    checks: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        for document, checked in cases(arguments, Path(folder)):
            results.append(document)
            checks |= {f"{document['case']}: {check}": passed for check, passed in checked.items()}
    table = markdown(results, checks)
    print(table)
    if arguments.out:
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out / "quantization.json", {"created": created, "checks": checks, "results": results})
        write_text(arguments.out / "quantization.md", table)
    return 0 if arguments.smoke or all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
