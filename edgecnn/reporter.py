"""How long work tells what it is doing, without knowing whether a terminal, a test or nobody listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


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
