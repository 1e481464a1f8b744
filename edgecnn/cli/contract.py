"""The flags by which any verb is told a contract, and the mapping that they make."""

from __future__ import annotations

import argparse
from typing import Any

_INPUT_FLAGS = ("color", "scale", "mean", "std", "resize")


def add_contract_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--spec`` and the flags that say the same piece by piece."""
    group = parser.add_argument_group(
        "contract", "how a model without a contract is fed and read: (pixel * scale - mean) / std, pixel in 0..255"
    )
    group.add_argument("--spec", metavar="FILE", help="the contract as YAML; flags win over it")
    group.add_argument("--color", choices=["rgb", "bgr", "gray"], help="order of the channels that the model takes")
    group.add_argument("--scale", metavar="NUMBER", help="1 feeds 0..255, 1/255 feeds 0..1")
    group.add_argument("--mean", metavar="A[,B,C]", help="subtracted per channel, after scale (default 0)")
    group.add_argument("--std", metavar="A[,B,C]", help="divided by per channel (default 1)")
    group.add_argument("--resize", choices=["stretch", "letterbox", "center_crop"], help="default: stretch")
    group.add_argument("--labels", metavar="FILE", help="text file, one label per line, in class order")
    group.add_argument("--head", choices=["probabilities", "logits", "binary"], help="what the output means")


def told_contract(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the partial contract that the flags tell; empty when none was given."""
    from edgecnn.specfile import load_labels, load_spec_file

    told: dict[str, Any] = load_spec_file(arguments.spec) if arguments.spec else {}
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
