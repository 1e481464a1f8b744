"""What a person or a program sees of a verb: lines, tables, progress bars, one JSON document.

With ``--json`` standard output carries one JSON document and nothing else; people's lines then go
to standard error, as errors and progress bars always do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from edgecnn.reporter import PROGRESS_VARIABLE, progress_line

Item = TypeVar("Item")


class Console:
    """Args:
    as_json: whether standard output belongs to the JSON document.
    nested: whether the verb is a step of another, which has the document and the last word.
    """

    def __init__(self, as_json: bool = False, *, nested: bool = False) -> None:
        self.as_json = as_json
        self._nested = nested

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        print(harmless(text), file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def warn(self, text: str) -> None:
        """Print a line that people should not miss, always on standard error."""
        print(f"warning: {harmless(text)}", file=sys.stderr, flush=True)

    def next_command(self, command: str) -> None:
        """End a verb by naming the next useful command, quoted for a shell."""
        if not self._nested:
            self.say(f"\nnext: {command}")

    def document(self, document: dict[str, Any]) -> None:
        """Print the JSON document, if it was asked for."""
        if self.as_json and not self._nested:
            print(json.dumps(document, indent=2, allow_nan=False), flush=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
        for line in format_table(header, rows):
            self.say(line)

    def progress(self, items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
        """Iterate with a bar on standard error; silent where that is not a terminal, unless lines are wanted there."""
        if not sys.stderr.isatty():
            return _told(items, label, total) if total and os.environ.get(PROGRESS_VARIABLE) else iter(items)
        from tqdm import tqdm

        return iter(tqdm(items, desc=label, total=total, leave=False, file=sys.stderr))


def _told(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    for done, item in enumerate(items, 1):
        print(progress_line(label, done, total), file=sys.stderr, flush=True)
        yield item


def harmless(text: str) -> str:
    """Return text for a terminal: a label from a file of others may hold escape sequences."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a plain-text table: figures to the right, words to the left."""
    columns = list(zip(header, *rows, strict=True))
    figures = [all(cell[:1] in "+-0123456789" for cell in column[1:]) for column in columns]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, figures, strict=True)
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def human_bytes(size: float) -> str:
    """Return a size in powers of 1000, as file managers show it: ``98.3 kB``."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def human_count(count: int) -> str:
    """Return a count with thousands separated: ``545,546``."""
    return f"{count:,}"
