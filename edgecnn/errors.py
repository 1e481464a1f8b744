"""The error tree of edgecnn: every error says what happened, with which value, and the remedy.

This module must not know who raises or who prints: it imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EdgecnnError(Exception):
    """Base of all errors that edgecnn raises on purpose.

    Args:
        message: what happened, with the offending value, in one sentence.
        remedy: what the user can do about it, in one line; may be a command.

    The class attribute ``exit_code`` is what the command line exits with.
    """

    exit_code: int = 4

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message


class CheckFailed(EdgecnnError):
    """A budget or a floor was not kept: the work was done, its result is not acceptable."""

    exit_code = 1


class InputError(EdgecnnError):
    """Wrong usage or bad input: a flag, a file, a picture, a data set."""

    exit_code = 2


class MissingDependency(EdgecnnError):
    """A package of an extra is not installed; the remedy is the pip line that cures it."""

    exit_code = 3

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            f"pip install 'edgecnn[{extra}]'",
        )
        self.package = package
        self.extra = extra


class EngineError(EdgecnnError):
    """An inference engine or a converter failed on a file that looked valid."""

    exit_code = 4


class OutputError(EdgecnnError):
    """A result could not be written (disk full, folder not writable); nothing half-written stays."""

    exit_code = 4


def closest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word nearest to ``word``, else ``""``."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {match[0]!r}?)" if match else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> InputError:
    """Return the error for a misspelt name: the closest match and the whole list."""
    names = list(known)
    return InputError(f"unknown {kind} {word!r}{closest(word, names)}", f"one of: {', '.join(names)}")
