"""``edgecnn export MODEL``: a Keras file becomes verified files for the edge."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from edgecnn.cli.console import Console, human_bytes
from edgecnn.cli.contract import add_contract_options, told_contract

if TYPE_CHECKING:
    from edgecnn.export import Exported
    from edgecnn.verify import Reference

EPILOG = """examples:
  edgecnn export model.keras --data mnist --out models
  edgecnn export theirs.h5 --scale 1/255 --color rgb --data folder --recipe int8 --format tflite --out models

Every file is run beside the float model on --data; one that loses more than --max-drop points of
accuracy is moved to OUT/rejected and the exit code is 1. Recipes: float32, float16, dynamic_int8,
int8 (takes a camera's bytes), int8_float_io, or all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``export``."""
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file")
    parser.add_argument(
        "--data", required=True, metavar="DATA", help="pictures to verify on: a name, an .npz, a folder"
    )
    parser.add_argument("--format", default="all", metavar="F,...", help="tflite, onnx (default: both)")
    parser.add_argument("--recipe", default="all", metavar="R,...", help="recipes by name (default: all)")
    parser.add_argument(
        "--calibration", metavar="DATA", help="pictures for static int8 (default: train split of --data)"
    )
    parser.add_argument("--calibration-samples", type=int, default=300, metavar="N", help="default: 300")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the calibration draw (default: 0)")
    parser.add_argument("--limit", type=int, metavar="N", help="verify on N pictures (default: all)")
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="accuracy that may be lost (default: 1.0)"
    )
    parser.add_argument("--floor", type=float, metavar="PERCENT", help="accuracy that the float model must reach")
    parser.add_argument("--out", default="exported", metavar="DIR", help="default: exported")
    parser.add_argument("--trust", action="store_true", help="let the model's Lambda layers run their Python code")
    add_contract_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Export, show the table, return 1 if a file failed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pathlib import Path

    from edgecnn.artifact import open_artifact
    from edgecnn.data import load_data
    from edgecnn.export import FEW_CALIBRATION_SAMPLES, Calibration, ExportRequest, export, report_document
    from edgecnn.files import ensure_folder
    from edgecnn.recipe import formats_named, recipes_named
    from edgecnn.runtimes import open_runtime
    from edgecnn.specfile import settle_spec
    from edgecnn.verify import align_classes, measure_reference

    # Everything that can be wrong is looked at before the long work begins.
    formats, recipes = formats_named(arguments.format.split(",")), recipes_named(arguments.recipe.split(","))
    source = open_artifact(arguments.model)
    told = told_contract(arguments)
    data = load_data(arguments.data, "test", limit=arguments.limit)
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        pictures = load_data(arguments.calibration or arguments.data, "train")
        calibration = Calibration.draw(pictures, arguments.calibration_samples, arguments.seed)
        if calibration.record.samples < FEW_CALIBRATION_SAMPLES:
            drawn = calibration.record.samples
            console.warn(
                f"{drawn} calibration pictures: below {FEW_CALIBRATION_SAMPLES}, the ranges depend on the draw"
            )

    out = ensure_folder(Path(arguments.out))
    runtime = open_runtime(source, "keras" if source.is_keras else None, trust=arguments.trust)
    facts = getattr(runtime, "facts", None) or source.facts()
    spec = settle_spec(source.spec, told, lambda: facts, name=source.path.stem, labels=data.class_names)
    data = align_classes(data, spec)
    console.say(f"{spec.name}: {source.path.name} on {runtime.device}, verified on {len(data)} pictures of {data.name}")
    reference = measure_reference(runtime, spec, data, floor=arguments.floor, reporter=console)
    request = ExportRequest(
        source, spec, formats, recipes, out, data, reference, calibration, arguments.max_drop, trust=arguments.trust
    )
    exported = export(request, console)
    _show(console, reference, exported, source.size_bytes)
    console.document(report_document(reference, exported))
    console.next_command(f"edgecnn bench {arguments.out} --reference {arguments.model} --data {arguments.data}")
    return 0 if all(item.verdict.passed for item in exported) else 1


def _show(console: Console, reference: Reference, exported: list[Exported], source_bytes: int) -> None:
    def shown(value: float | None, pattern: str) -> str:
        return "-" if value is None else format(value, pattern)

    rows = [["float model", human_bytes(source_bytes), shown(reference.accuracy, ".2f"), "", "", "", "reference"]]
    for item in exported:
        verdict = item.verdict
        name = item.artifact.path.name if item.artifact else f"{item.format} {item.recipe.name}"
        rows.append(
            [
                name,
                human_bytes(item.artifact.size_bytes) if item.artifact else "-",
                shown(verdict.accuracy, ".2f"),
                shown(verdict.accuracy_change_points, "+.2f"),
                shown(verdict.agreement, ".2f"),
                shown(verdict.max_drift, ".4f"),
                "pass" if verdict.passed else "FAIL",
            ]
        )
    console.say()
    console.table(["file", "size", "accuracy %", "change", "agreement %", "max drift", "verdict"], rows)
    for item in exported:
        if not item.verdict.passed:
            console.say(f"FAIL {item.format} {item.recipe.name}: {item.verdict.reason}")
