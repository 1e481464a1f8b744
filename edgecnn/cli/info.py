"""``edgecnn info FILE``: what a model file says about itself, without running it."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console, human_bytes

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact
    from edgecnn.spec import ModelSpec
    from edgecnn.tensors import TensorInfo

_LABELS_SHOWN = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``info``."""
    parser.add_argument("file", metavar="FILE", help="a .tflite, .onnx, .keras or .h5 file")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Show format, tensors, contract, recipe and provenance."""
    from edgecnn.artifact import open_artifact

    artifact = open_artifact(arguments.file)
    for title, text in _lines(artifact):
        console.say(f"{title:<12} {text}")
    console.document(document(artifact))
    if artifact.spec is not None and not artifact.is_keras:
        console.next_command(f"edgecnn predict {shlex.quote(arguments.file)} IMAGE...")
    return 0


def document(artifact: Artifact) -> dict[str, Any]:
    """Return what ``info --json`` prints."""
    return {
        "path": str(artifact.path),
        "format": artifact.format,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "inputs": [tensor.to_dict() for tensor in artifact.inputs],
        "outputs": [tensor.to_dict() for tensor in artifact.outputs],
        "spec": artifact.spec.to_dict() if artifact.spec else None,
        "recipe": artifact.recipe.to_dict() if artifact.recipe else None,
        "provenance": dict(artifact.provenance),
    }


def _tensor(tensor: TensorInfo) -> str:
    shape = "x".join("?" if side == -1 else str(side) for side in tensor.shape)
    quant = f", scale {tensor.quant.scale:.6g}, zero point {tensor.quant.zero_point}" if tensor.quant else ""
    return f"{tensor.name}: {tensor.dtype} {shape}{quant}"


def feeding(spec: ModelSpec) -> str:
    """Return in one line how a picture becomes the model's input."""
    image = spec.input
    mean = "" if not any(image.mean) else f" - {_channels(image.mean)}"
    std = "" if set(image.std) == {1.0} else f" / {_channels(image.std)}"
    value = f"pixel * {image.scale:.6g}{mean}"
    return f"{image.width}x{image.height} {image.color}, {image.resize}, {f'({value})' if mean and std else value}{std}"


def _channels(values: tuple[float, ...]) -> str:
    shown = [f"{value:.6g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"


def _lines(artifact: Artifact) -> list[tuple[str, str]]:
    lines = [
        ("file", f"{artifact.path} ({artifact.format}, {human_bytes(artifact.size_bytes)})"),
        ("sha256", artifact.sha256),
        *(("input", _tensor(tensor)) for tensor in artifact.inputs),
        *(("output", _tensor(tensor)) for tensor in artifact.outputs),
    ]
    spec = artifact.spec
    if spec is None:
        lines.append(("contract", "none inside: feed it with --spec FILE, or --scale, --color and --head"))
    else:
        more = f", ... ({spec.classes} in all)" if spec.classes > _LABELS_SHOWN else ""
        lines += [
            ("model", f"{spec.name} ({spec.task})"),
            ("feeding", feeding(spec)),
            ("head", spec.head.kind),
            ("labels", ", ".join(spec.labels[:_LABELS_SHOWN]) + more),
        ]
    if artifact.recipe is not None:
        recipe = artifact.recipe
        lines.append(("recipe", f"{recipe.name}: {recipe.summary}"))
        if recipe.calibration is not None:
            record = recipe.calibration
            lines.append(
                ("calibration", f"{record.samples} of {record.data}, seed {record.seed}, {record.sha256[:12]}")
            )
    lines += [("made by", f"{name} {value}") for name, value in artifact.provenance.items()]
    return lines
