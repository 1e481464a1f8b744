"""``edgecnn debug FILE``: where quantization went wrong, layer by layer."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract
from edgecnn.cli.info import feeding
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact
    from edgecnn.debug.results import DebugReport
    from edgecnn.spec import ModelSpec

EPILOG = """\
Runs the quantized file and its float model side by side and compares every layer's output. SQNR is
signal to quantization noise, 10 log10(sum f^2 / sum (f-q)^2), as it has come about up to that layer;
harm is the accuracy that the float model loses when that layer alone is quantized as the file does
(agreement, where the data has no classes). Writes layers.csv, layers.png and debug.json.

examples:
  edgecnn debug files/lenet5_digits_int8.tflite --reference lenet5/model.keras --data digits
  edgecnn debug theirs.tflite --reference theirs.h5 --data cifar10 --scale 1 --color rgb --out why
"""

#: Kind of cause -> the options of export that mend it; for others it searches.
_MENDING = {
    "feeding": ("--spec", "auto"),
    "outliers": ("--calibration-method", "percentile"),
    "few_calibration_samples": ("--calibration-samples", "300"),
    "dead_channels": (),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``debug``."""
    parser.add_argument("file", metavar="FILE", help="a quantized .tflite or .onnx file")
    parser.add_argument("--reference", required=True, metavar="MODEL", help="the float Keras model it was made from")
    parser.add_argument("--data", required=True, metavar="DATA", help="pictures: a name, an .npz or a folder")
    parser.add_argument(
        "--limit", type=int, default=200, metavar="N", help="compare on N pictures, class-balanced (default: 200)"
    )
    parser.add_argument("--out", type=Path, default=Path("debug"), metavar="DIR", help="default: debug")
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )
    add_contract_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare, show the table and the causes, write the files."""
    from edgecnn.artifact import open_artifact
    from edgecnn.data import load_data
    from edgecnn.debug.compare import DebugRequest, debug, require_quantized
    from edgecnn.debug.report import write_report
    from edgecnn.files import ensure_folder
    from edgecnn.models.loading import load_keras_model
    from edgecnn.runtimes.probe import require_survivable
    from edgecnn.verify import align_classes

    # Everything that can be wrong is looked at before the long work begins.
    if arguments.limit < 1:
        raise InputError(f"--limit must be 1 or more, not {arguments.limit}", "200 is the default")
    artifact, reference = open_artifact(arguments.file), open_artifact(arguments.reference)
    require_quantized(artifact)
    if not reference.is_keras:
        raise InputError(
            f"{arguments.reference!r} is a .{reference.format} file", "--reference is the .keras or .h5 file"
        )
    told = told_contract(arguments)
    data = load_data(arguments.data, "test").balanced(arguments.limit, seed=0)
    out = ensure_folder(arguments.out)
    require_survivable(artifact)  # before Keras, which cannot be forked
    model = load_keras_model(reference, trust=arguments.trust)
    spec = _contract(artifact, reference, model, told, data.class_names)
    _warn_of_another_source(artifact, reference, console)
    console.say(f"{artifact.path.name} ({artifact.recipe_name}) beside {reference.path.name}, fed as {feeding(spec)}")
    request = DebugRequest(artifact, reference, model, spec, align_classes(data, spec))
    report = replace(debug(request, console), data=arguments.data)
    written = write_report(report, out)  # before anything is shown: who reads that may leave
    _show(report, console)
    console.say(f"\nwrote {', '.join(map(str, written))}")
    console.document(report.to_dict())
    console.next_command(_next(report, arguments))
    return 0


def _contract(
    artifact: Artifact, reference: Artifact, model: Any, told: dict[str, Any], labels: tuple[str, ...] | None
) -> ModelSpec:
    """Return the file's own contract, else the float model's, else what the flags tell."""
    from edgecnn.models.loading import facts_of
    from edgecnn.specfile import settle_spec

    carried = artifact.spec or reference.spec
    return settle_spec(carried, told, lambda: facts_of(model), name=artifact.path.stem, labels=labels)


def _warn_of_another_source(artifact: Artifact, reference: Artifact, console: Console) -> None:
    source = artifact.provenance.get("source_sha256")
    if source is not None and source != reference.sha256:
        name = artifact.provenance.get("source", "another file")
        console.warn(f"{artifact.path.name} says that it was made from {name} {source[:12]}, not from this model")


def _show(report: DebugReport, console: Console) -> None:
    from edgecnn.debug.report import HEADER, summary_lines, table_rows

    for line in summary_lines(report):
        console.say(line)
    console.say()
    console.table(HEADER, table_rows(report.layers))
    console.say()
    for number, finding in enumerate(report.findings):
        console.say(f"{'likely cause' if number == 0 else 'also'}: {finding.text}")
        console.say(f"  remedy: {finding.remedy}")


def _next(report: DebugReport, arguments: argparse.Namespace) -> str:
    """Return the command that would mend the likeliest cause, or measure a file that has none."""
    kind = report.findings[0].kind
    if kind == "none":
        words = ["bench", arguments.file, "--reference", arguments.reference, "--data", arguments.data]
    elif kind == "accumulated":
        words = ["train", arguments.reference, "--quantize-aware", "--data", arguments.data]
    else:
        mend = _MENDING.get(kind, ("--max-drop", "0.5"))
        words = ["export", arguments.reference, "--data", arguments.data, "--recipe", "int8", *mend]
    return shlex.join(["edgecnn", *words])
