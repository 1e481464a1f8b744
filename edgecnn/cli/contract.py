"""The flags by which any verb is told a contract, and the mapping that they make."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.feeding import Found
    from edgecnn.runtimes import Runtime
    from edgecnn.spec import ModelFacts

#: What ``--spec`` is given where the feeding is to be found; a file of that name is ./auto.
AUTO = "auto"
_INPUT_FLAGS = ("color", "scale", "mean", "std", "resize")


def add_contract_options(parser: argparse.ArgumentParser, *, finds_feeding: bool = False) -> None:
    """Add ``--spec`` and the flags that say the same piece by piece.

    Args:
        finds_feeding: whether the verb can find the feeding by itself: it has labelled pictures.
    """
    group = parser.add_argument_group(
        "contract", "how a model without a contract is fed and read: (pixel * scale - mean) / std, pixel in 0..255"
    )
    parser.set_defaults(finds_feeding=finds_feeding)
    group.add_argument(
        "--spec",
        metavar="FILE|auto" if finds_feeding else "FILE",
        help="the contract as YAML; flags win over it"
        + ("; auto tries the usual ways of feeding on labelled --data" if finds_feeding else ""),
    )
    group.add_argument("--color", choices=["rgb", "bgr", "gray"], help="order of the channels that the model takes")
    group.add_argument("--scale", metavar="NUMBER", help="1 feeds 0..255, 1/255 feeds 0..1")
    group.add_argument("--mean", metavar="A[,B,C]", help="subtracted per channel, after scale (default 0)")
    group.add_argument("--std", metavar="A[,B,C]", help="divided by per channel (default 1)")
    group.add_argument("--resize", choices=["stretch", "letterbox", "center_crop"], help="default: stretch")
    group.add_argument("--labels", metavar="FILE", help="text file, one label per line, in class order")
    group.add_argument("--head", choices=["probabilities", "logits", "binary"], help="what the output means")


def told_contract(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the partial contract that the flags tell; empty when none was given.

    Raises:
        InputError: a file cannot be read, or the feeding is to be found by a verb that cannot.
    """
    from edgecnn.specfile import load_labels, load_spec_file

    if wants_feeding(arguments) and not arguments.finds_feeding:
        raise InputError("--spec auto needs labelled pictures", "edgecnn export finds it and writes it into the files")
    told: dict[str, Any] = load_spec_file(arguments.spec) if arguments.spec and not wants_feeding(arguments) else {}
    image = dict(told.get("input") or {})
    for flag in _INPUT_FLAGS:
        value = getattr(arguments, flag)
        if value is not None:
            image[flag] = value.split(",") if flag in ("mean", "std") else value
    if image:
        told["input"] = image
    if arguments.labels:
        told["labels"] = load_labels(arguments.labels)
    if arguments.head:
        told["head"] = {"kind": arguments.head}
    return told


def wants_feeding(arguments: argparse.Namespace) -> bool:
    """Return whether the feeding is to be found: ``--spec auto``."""
    return bool(arguments.spec == AUTO)


def found_contract(
    arguments: argparse.Namespace, runtime: Runtime, facts: ModelFacts, console: Console, *, name: str
) -> Found:
    """Find how the model is fed on the labelled pictures of ``--data``, and show what was tried.

    Args:
        arguments: of a verb that has ``--data``; what its flags tell restricts the search.
        name: of the model, where the flags do not tell.

    Raises:
        InputError: the data has no classes, or cannot tell two ways of feeding apart.
        CheckFailed: no way of feeding does better than a guess.
    """
    from edgecnn.data import load_data
    from edgecnn.feeding import find_feeding

    try:
        training = load_data(arguments.data, "train")
    except InputError:
        training = None  # its mean and deviation are then those of the test pictures
    found = find_feeding(
        runtime,
        facts,
        told_contract(arguments),
        load_data(arguments.data, "test"),
        name=name,
        training=training,
        reporter=console,
    )
    console.say(f"feeding found on {found.chosen.samples} labelled pictures of {found.data}:")
    header, rows = found.table()
    console.table(header, rows)
    console.say(f"the same by flags: {found.chosen.convention.flags}\n")
    return found
