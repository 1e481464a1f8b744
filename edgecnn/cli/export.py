"""``edgecnn export MODEL``: a Keras file becomes verified files for the edge."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console, human_bytes
from edgecnn.cli.contract import add_contract_options, found_contract, told_contract, wants_feeding
from edgecnn.cli.info import feeding
from edgecnn.errors import InputError
from edgecnn.recipe import METHODS
from edgecnn.targets import TARGETS, target_named

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact
    from edgecnn.data import Dataset
    from edgecnn.export import Calibration, Exported, ExportRequest
    from edgecnn.feeding import Found
    from edgecnn.runtimes import Runtime
    from edgecnn.spec import ModelSpec
    from edgecnn.verify import Reference

EPILOG = """examples:
  edgecnn export model.keras --data mnist --out models
  edgecnn export theirs.h5 --scale 1/255 --color rgb --data folder --recipe int8 --format tflite --out models
  edgecnn export theirs.h5 --spec auto --data folder --max-drop 0.5 --out models

Every file is run beside the float model on --data. A quantized one that loses more than --max-drop
points of accuracy is searched for other ranges and for layers to leave in float32; one that keeps
its budget by nothing is moved to OUT/rejected and the exit code is 1. Recipes: float32, float16,
weight_only_int8, dynamic_int8, int8 (takes a camera's bytes), int8_uint8_io, int8_float_io, int16x8,
or all."""


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
    parser.add_argument(
        "--calibration-method",
        choices=METHODS,
        help="how ranges follow from the pictures (default: minmax, and what the search finds)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the calibration draw (default: 0)")
    parser.add_argument("--limit", type=int, metavar="N", help="verify on N pictures (default: all)")
    parser.add_argument(
        "--max-drop",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="accuracy that a file may lose; agreement, where the data has no classes (default: 1.0)",
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=24,
        metavar="N",
        help="of the search for a file over its budget; 0: none (default: 24)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="REGEX",
        help="layers to leave in float32, by their whole name; may be given again",
    )
    parser.add_argument(
        "--tune", action="store_true", help="time int8's variants on this machine, keep the fastest one"
    )
    parser.add_argument("--target", metavar="NAME", help=f"processor that the files are for: {', '.join(TARGETS)}")
    parser.add_argument("--floor", type=float, metavar="PERCENT", help="accuracy that the float model must reach")
    parser.add_argument("--out", default="exported", metavar="DIR", help="default: exported")
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )
    add_contract_options(parser, finds_feeding=True)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Export, show the table, return 1 if a file failed."""
    from edgecnn.artifact import open_artifact
    from edgecnn.data import load_data
    from edgecnn.export import ExportRequest, export, report_document, require_converters
    from edgecnn.files import ensure_folder
    from edgecnn.recipe import formats_named, recipes_named
    from edgecnn.runtimes import open_runtime
    from edgecnn.verify import align_classes, measure_reference

    # Everything that can be wrong is looked at before the long work begins.
    _check_numbers(arguments)
    formats, recipes = formats_named(arguments.format.split(",")), recipes_named(arguments.recipe.split(","))
    require_converters(formats)
    source = open_artifact(arguments.model)
    if not source.is_keras:
        raise InputError(f"{arguments.model!r} is a .{source.format} file", "export starts from a .keras or .h5 file")
    told = told_contract(arguments)
    data = load_data(arguments.data, "test", limit=arguments.limit)
    needs_calibration = any(recipe.needs_calibration for recipe in recipes)
    target = target_named(arguments.target) if arguments.target else None
    calibration = _calibration(arguments, data, console) if needs_calibration else None
    runtime = open_runtime(source, trust=arguments.trust)
    spec, found = _contract(arguments, source, runtime, told, data, console)
    data = align_classes(data, spec)
    out = ensure_folder(Path(arguments.out))
    request = ExportRequest(
        source,
        spec,
        formats,
        recipes,
        out,
        data,
        calibration,
        max_drop=arguments.max_drop,
        exclude=tuple(arguments.exclude),
        methods=(arguments.calibration_method,) if arguments.calibration_method else METHODS,
        most_trials=arguments.trials,
        tune=arguments.tune,
        target=target,
        feeding=found.to_dict() if found else None,
        trust=arguments.trust,
    )
    console.say(f"{spec.name}: {source.path.name} on {runtime.device}, verified on {len(data)} pictures of {data.name}")
    console.say(f"fed as {feeding(spec)}")
    _warn_of_weak_evidence(request, console)
    reference = measure_reference(runtime, spec, data, floor=arguments.floor, reporter=console)
    exported = export(request, reference, console)
    _show(console, reference, exported, source.size_bytes)
    console.document(report_document(reference, exported))
    bench = ["edgecnn", "bench", arguments.out, "--reference", arguments.model, "--data", arguments.data]
    console.next_command(shlex.join(bench))
    return 0 if all(item.verdict.passed for item in exported) else 1


def _contract(
    arguments: argparse.Namespace,
    source: Artifact,
    runtime: Runtime,
    told: Mapping[str, Any],
    data: Dataset,
    console: Console,
) -> tuple[ModelSpec, Found | None]:
    """Return the contract, and how its feeding was found where it was to be found."""
    from edgecnn.runtimes import facts_of
    from edgecnn.specfile import settle_spec

    for note in getattr(runtime, "notes", ()):  # only Keras repairs what it opens
        console.say(note)
    name = source.path.stem
    if wants_feeding(arguments):
        found = found_contract(arguments, runtime, facts_of(runtime, source), console, name=name)
        return found.spec, found
    return settle_spec(source.spec, told, lambda: facts_of(runtime, source), name=name, labels=data.class_names), None


def _check_numbers(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.max_drop <= 100:
        raise InputError(f"--max-drop must be 0 to 100 points, not {arguments.max_drop:g}", "1.0 is the default")
    if arguments.floor is not None and not 0 <= arguments.floor <= 100:
        raise InputError(f"--floor must be 0 to 100 percent, not {arguments.floor:g}", "0 accepts any float model")
    if arguments.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {arguments.seed}", "0 is the default")
    if arguments.trials < 0:
        raise InputError(f"--trials must be 0 or more, not {arguments.trials}", "0 does not search")
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit must be 1 or more, not {arguments.limit}", "leave it out for all pictures")


def _calibration(arguments: argparse.Namespace, data: Dataset, console: Console) -> Calibration:
    from edgecnn.data import load_data
    from edgecnn.export import FEW_CALIBRATION_SAMPLES, Calibration

    pictures = load_data(arguments.calibration or arguments.data, "train")
    method = arguments.calibration_method or METHODS[0]
    drawn = Calibration.draw(pictures, arguments.calibration_samples, arguments.seed, method)
    drawn.require_likeness(data)
    if drawn.record.samples < FEW_CALIBRATION_SAMPLES:
        few = drawn.record.samples
        console.warn(f"{few} calibration pictures: below {FEW_CALIBRATION_SAMPLES}, the ranges depend on the draw")
    return drawn


def _warn_of_weak_evidence(request: ExportRequest, console: Console) -> None:
    """Say where the verdict will rest on less than it seems to."""
    data, step_points = request.data, 100 / len(request.data)
    if data.split == "all" and data.classes is not None:
        console.warn(
            f"data {data.name!r} has no test split: the float model, and calibration, may have seen these pictures"
        )
    if step_points > request.max_drop > 0:
        console.warn(
            f"one of {len(data)} pictures is {step_points:.2f} points: more than --max-drop {request.max_drop:g}"
        )


def _show(console: Console, reference: Reference, exported: list[Exported], source_bytes: int) -> None:
    def shown(value: float | None, pattern: str) -> str:
        return "-" if value is None else format(value, pattern)

    rows = [["float model", human_bytes(source_bytes), shown(reference.accuracy, ".2f"), "", "", "", "", "reference"]]
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
                shown(item.p50_ms, ".3f"),
                "pass" if verdict.passed else "FAIL",
            ]
        )
    console.say()
    console.table(["file", "size", "accuracy %", "change", "agreement %", "max drift", "p50 ms", "verdict"], rows)
    for item in exported:
        for note in item.notes:
            console.say(f"{item.format} {item.recipe.name}: {note}")
        if not item.verdict.passed:
            console.say(f"FAIL {item.format} {item.recipe.name}: {item.verdict.reason}")
