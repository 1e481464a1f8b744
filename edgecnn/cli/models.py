"""``edgecnn models``: what can be built, and what it costs."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any

from edgecnn.cli.console import Console, human_count
from edgecnn.errors import InputError

EPILOG = """\
examples:
  edgecnn models
  edgecnn models mobilenet --input-size 96 --classes 2 --alpha 0.5

MACs are multiply-accumulates per picture in convolutions and dense layers; additions of biases,
normalization and pooling are not counted."""


def input_size(text: str) -> tuple[int, int]:
    """Return height and width of ``HxW`` or ``N``.

    Raises:
        InputError: neither.
    """
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if match is None or not int(match[1]) or (match[2] is not None and not int(match[2])):
        raise InputError(f"an input size is HxW or N pixels, not {text!r}", "--input-size 96 or --input-size 96x128")
    return int(match[1]), int(match[2] or match[1])


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="*", metavar="MODEL", help="show these only (default: all)")
    parser.add_argument("--input-size", metavar="HxW", help="height and width in pixels, or one number for both")
    parser.add_argument("--classes", type=int, metavar="N", help="number of classes (default: 10)")
    parser.add_argument("--alpha", type=float, metavar="F", help="width multiplier, for models that have one")


def run(args: argparse.Namespace, console: Console) -> int:
    from edgecnn.models.registry import MODELS, model_entry

    size = input_size(args.input_size) if args.input_size else None
    entries = [model_entry(name) for name in args.model] or list(MODELS.values())
    if args.alpha is not None and args.model and not any("alpha" in entry.options for entry in entries):
        raise InputError(f"{', '.join(args.model)} has no --alpha", "leave it out, or choose mobilenet")
    documents = _documents([entry.name for entry in entries], size, args, console)
    console.table(
        ("model", "input", "parameters", "MACs", "", "summary"),
        [
            (
                document["name"],
                "x".join(map(str, document["input_shape"])),
                human_count(document["parameters"]),
                human_count(document["multiply_accumulates"]),
                "",
                document["summary"],
            )
            for document in documents
        ],
    )
    first = documents[0]["name"]
    console.next_command(shlex.join(["edgecnn", "train", first, "--data", "digits", "--out", first]))
    console.document({"models": documents})
    return 0


def _documents(
    names: list[str], size: tuple[int, int] | None, args: argparse.Namespace, console: Console
) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    refused: list[InputError] = []
    for name in console.progress(names, "building"):
        try:
            documents.append(_document(name, size, args.classes, args.alpha))
        except InputError as error:  # noqa: PERF203  (five rounds)
            refused.append(error)
    if refused and (args.model or not documents):
        raise refused[0]
    for refusal in refused:  # one that cannot take this size is no reason to hide the others
        console.warn(refusal.message)
    return documents


def _document(name: str, size: tuple[int, int] | None, classes: int | None, alpha: float | None) -> dict[str, Any]:
    from edgecnn.models.registry import build_model, model_entry

    entry = model_entry(name)
    shape = (*(size or entry.input_shape[:2]), entry.input_shape[2])
    options = dict(entry.options)
    if alpha is not None and "alpha" in options:
        options["alpha"] = alpha
    model = build_model(name, shape, classes, **options)
    from edgecnn.models.cost import multiply_accumulates  # imports Keras: late, so that build_model does, quietly

    return {
        "name": name,
        "family": entry.family,
        "summary": entry.summary,
        "input_shape": list(shape),
        "classes": entry.classes if classes is None else classes,
        "options": options,
        "parameters": int(model.count_params()),
        "multiply_accumulates": multiply_accumulates(model),
        "epochs": entry.epochs,
        "learning_rate": entry.learning_rate,
    }
