"""The flags that say how anything is measured, and the protocol that they make."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.bench import Protocol


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every measuring verb has."""
    parser.add_argument("--limit", type=int, metavar="N", help="use N pictures (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="fresh processes per file, in turns (default: 5)"
    )
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="timed calls per round (default: 1000)")
    parser.add_argument(
        "--warmup", type=int, default=10, metavar="N", help="calls before, until they are steady (default: 10)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=10.0, metavar="S", help="of timed calls per file, at most (default: 10)"
    )
    parser.add_argument(
        "--precision",
        type=float,
        default=0.5,
        metavar="PERCENT",
        help="a round ends when half of its median's interval is as narrow (default: 0.5)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        metavar="N",
        help="pictures per call for the throughput of engines that take many (default: 32)",
    )
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="for one process, accuracy included (default: 300)"
    )
    parser.add_argument(
        "--until-clean", action="store_true", help="repeat rounds that the machine's state tainted, up to as many"
    )
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )


def told_protocol(arguments: argparse.Namespace) -> Protocol:
    """Return the protocol that the flags tell.

    Raises:
        InputError: a number is impossible.
    """
    from edgecnn.bench import Protocol

    return Protocol(
        threads=thread_counts(getattr(arguments, "threads", "1")),
        rounds=arguments.rounds,
        runs=arguments.runs,
        warmup=arguments.warmup,
        max_seconds=arguments.max_seconds,
        precision=arguments.precision / 100,
        batch=arguments.batch,
        timeout_s=arguments.timeout,
        limit=arguments.limit,
        trust=arguments.trust,
        until_clean=arguments.until_clean,
        leak_invokes=getattr(arguments, "leak_check", 0),
        profile=getattr(arguments, "profile", False),
    )


def thread_counts(text: str) -> tuple[int, ...]:
    """Return the counts in ``1,2,4``, each once.

    Raises:
        InputError: one is no whole number.
    """
    try:
        return tuple(dict.fromkeys(int(word) for word in text.split(",")))
    except ValueError as error:
        raise InputError(f"--threads {text!r} is no list of whole numbers", "--threads 1,2,4") from error
