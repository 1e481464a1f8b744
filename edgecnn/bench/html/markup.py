"""HTML and SVG elements, made so that text can never become markup. This module must not know what they say."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_VOID = {"meta", "br", "path", "rect", "circle"}


class Markup(str):
    """Text that is markup already: only this module makes it of what others wrote."""

    __slots__ = ()


def printable(text: str) -> str:
    """Return text without control letters, turned writing directions and halves of letters: each becomes ``?``."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def escaped(text: str) -> Markup:
    """Return text of anyone as markup that shows it, inside an element or a quoted attribute."""
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text), quote=True))


def element(tag: str, *children: str | None, **attributes: object) -> Markup:
    """Return an element.

    Args:
        tag: its name; written by the program, never from a file.
        children: markup as it is, other text escaped; ``None`` is nothing.
        attributes: ``None`` is left out, ``True`` has no value; ``data_value`` is written
            ``data-value``, ``class_`` is ``class``. Floats are written so that they are read back the same.
    """
    words = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        words.append(f" {key}" if value is True else f' {key}="{escaped(str(value))}"')
    start = f"<{tag}{''.join(words)}>"
    if tag in _VOID and not children:
        return Markup(start if tag in ("meta", "br") else f"{start[:-1]}/>")
    return Markup(f"{start}{joined(children)}</{tag}>")


def breakable(name: str) -> Markup:
    """Return a long name that may be broken after its hyphens, underscores and dots, not within a word."""
    return Markup(re.sub(r"([-_.·/])(?=\w)", r"\1<wbr>", escaped(name)))


def joined(children: Iterable[str | None]) -> Markup:
    """Return children one after the other."""
    return Markup("".join(escaped(child) for child in children if child is not None))
