"""``bench --host``: the user's own words, with files named as the board knows them, carried there.

An option that travels is not listed here: whatever ``bench`` takes is forwarded as it was said. Known
are only the options that name a file, the pictures, and what is done on this machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console
from edgecnn.cli.contract import AUTO, told_contract
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.bench import Report
    from edgecnn.bench.parcel import Parcel

#: Their values are files, which are sent.
FILES = ("--spec", "--labels")
REFERENCE, DATA = "--reference", "--data"
#: Done here, with the report that comes back.
KEPT_HERE = ("--host", "--host-python", "--out", "--png", "--json")


@dataclass(frozen=True)
class Occurrence:
    """One option as it stood on the command line, or the positional words.

    Args:
        option: as it was spelt; ``None`` for positional words.
        values: the words that it took, not converted.
        joined: whether it takes exactly one value, which may begin with ``-``.
    """

    option: str | None
    values: tuple[str, ...]
    joined: bool = False

    def words(self, values: Sequence[str] | None = None) -> list[str]:
        """Return the words that say it, or that say it with other values."""
        told = list(self.values if values is None else values)
        if self.option is None:
            return told
        return [f"{self.option}={told[0]}"] if self.joined else [self.option, *told]


def occurrences(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[Occurrence]:
    """Return what a parser that accepts ``words`` finds in them, nothing converted, in order."""
    found: list[Occurrence] = []

    class Record(argparse.Action):
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            told = () if values is None else (values,) if isinstance(values, str) else tuple(values)
            found.append(Occurrence(option_string, told, joined=self.nargs is None and option_string is not None))

    recorder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for action in parser._actions:
        recorder.add_argument(*(action.option_strings or [action.dest]), nargs=action.nargs, action=Record)
    recorder.parse_args(words)
    return found


def forwarded(parser: argparse.ArgumentParser, arguments: argparse.Namespace, parcel: Parcel) -> list[str]:
    """Fill the parcel with what the command names, and return the command's words for the board.

    Raises:
        InputError: a file or a data set cannot be read.
    """
    from edgecnn.bench.runner import model_files

    reference = [parcel.add_reference(arguments.reference)] if arguments.reference else []
    data = [parcel.add_data(arguments.data, arguments.limit)] if arguments.data else []
    paths = parcel.add_models(model_files(arguments.paths))
    options: list[str] = []
    for told in occurrences(parser, arguments.command[2:]):
        if told.option is None or told.option in KEPT_HERE:
            continue
        if told.option in FILES and told.values != (AUTO,):
            options += told.words([parcel.add_file(value) for value in told.values])
        elif told.option == REFERENCE:
            options += told.words(reference)
        elif told.option == DATA:
            options += told.words(data)
        else:
            options += told.words()
    return [*paths, *options]  # paths first: an option that takes several words would take them too


def there(
    arguments: argparse.Namespace, console: Console, *, on_interrupt: Callable[[Report], object]
) -> Report | None:
    """Run ``bench`` on the board that ``--host`` names and return its report; ``None`` without ``--host``.

    Raises:
        EdgecnnError: as of :func:`edgecnn.bench.remote.benchmark_on`; or what is wrong with the words.
    """
    if arguments.host is None:
        if arguments.host_python is not None:
            raise InputError("--host-python names the Python of a board, but there is no --host", "add --host HOST")
        return None
    from edgecnn.bench.parcel import Parcel
    from edgecnn.bench.remote import benchmark_on
    from edgecnn.bench.ssh import Board
    from edgecnn.cli.main import parser_for

    board = Board(arguments.host, arguments.host_python or "python3")
    told_contract(arguments)  # what is wrong with it is told before a connection is made
    with tempfile.TemporaryDirectory(prefix="edgecnn-bench-") as scratch:
        parcel = Parcel(Path(scratch))
        words = forwarded(parser_for("bench")[0], arguments, parcel)
        return benchmark_on(
            board,
            parcel,
            ["bench", *words],
            runtimes=arguments.runtime,
            reporter=console,
            on_interrupt=on_interrupt,
        )
