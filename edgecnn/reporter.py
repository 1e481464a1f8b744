"""How long work tells what it is doing, without knowing whether a terminal, a test or nobody listens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")

#: Set where progress is to be told in lines, for a program that shows it elsewhere.
PROGRESS_VARIABLE = "EDGECNN_PROGRESS_LINES"
_PROGRESS = re.compile(r"progress: (\w[\w /]{0,39}) (\d{1,9})/(\d{1,9})")


def progress_line(label: str, done: int, total: int) -> str:
    """Return one step as a line: the ``done``-th of ``total`` begins."""
    return f"progress: {label} {done}/{total}"


def told_progress(line: str) -> tuple[str, int, int] | None:
    """Return label, done and total of a :func:`progress_line`; ``None`` for any other line."""
    found = _PROGRESS.fullmatch(line)
    return (found[1], int(found[2]), int(found[3])) if found else None


class Reporter(Protocol):
    """Where progress goes; :class:`edgecnn.cli.console.Console` is one."""

    def say(self, text: str = "") -> None:
        """Tell one line."""
        ...

    def warn(self, text: str) -> None:
        """Tell one line that should not be missed."""
        ...

    def progress(self, items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
        """Iterate over ``items`` and show how far it is."""
        ...


class _Silent:
    def say(self, text: str = "") -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
        return iter(items)


SILENT: Reporter = _Silent()
