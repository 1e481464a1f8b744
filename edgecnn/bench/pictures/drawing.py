"""What a picture consists of: a few kinds of marks, placed in pixels, coloured by roles.

This module must not know what the marks mean, nor into which kind of file they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgecnn.bench.tables import shortened

#: Sizes of text, in pixels.
SMALL, NORMAL = 11.5, 13.0
#: Advance widths of DejaVu Sans, rounded up, in tenths of the size: a wide face, so other faces fit too.
_WIDTHS = {
    letter: tenths / 10
    for tenths, letters in {
        3: "'IJijl",
        4: " !(),-./:;[\\]frt|·",
        5: '"*_`',
        6: "?FLPTYackosvxyz",
        7: "$0123456789ABCEKRSVXZbdeghnpqu{}",
        8: "&DGHNOQU",
        9: "#+<=>M^w~±\N{MINUS SIGN}",
    }.items()
    for letter in letters
}


@dataclass(frozen=True)
class Line:
    """A line through points; ``dash`` in pixels on and off."""

    points: tuple[tuple[float, float], ...]
    role: str
    width: float = 1.0
    dash: tuple[float, float] | None = None
    opacity: float = 1.0


@dataclass(frozen=True)
class Ticks:
    """Upright lines of one look: ``(x, top, bottom)`` each. Hundreds of samples are one mark."""

    places: tuple[tuple[float, float, float], ...]
    role: str
    width: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    role: str
    opacity: float = 1.0
    tip: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Disc:
    """A filled circle with a rim in the colour of the paper, or of ``rim``."""

    x: float
    y: float
    radius: float
    role: str
    rim: str = "paper"
    opacity: float = 1.0
    tip: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """Words: ``y`` is their base line, ``anchor`` is ``start``, ``middle`` or ``end``.

    ``upright``: turned by 90 degrees, read from below; ``halo``: with a rim that keeps other marks off
    the letters; ``tip``: what pointing at them tells.
    """

    x: float
    y: float
    words: str
    role: str = "ink"
    size: float = NORMAL
    anchor: str = "start"
    bold: bool = False
    upright: bool = False
    halo: bool = False
    tip: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


Mark = Line | Ticks | Box | Disc | Text


@dataclass(frozen=True)
class Drawing:
    """One picture.

    Args:
        title: what it shows, in a few words.
        caption: how it is read, and what of it follows, in whole sentences.
        width, height: in pixels.
        marks: in the order in which they are painted.
    """

    title: str
    caption: str
    width: float
    height: float
    marks: tuple[Mark, ...]


def text_width(words: str, size: float = NORMAL) -> float:
    """Return how wide words are at most, in pixels, in the faces that browsers have."""
    return size * sum(_WIDTHS.get(letter, 1.0) for letter in words)


def fitted(words: str, width: float, size: float = NORMAL) -> str:
    """Return words that fit into a width; of longer ones the middle is left out."""
    longest = len(words)
    shown = words
    while text_width(shown, size) > width and longest > 4:
        longest -= 1
        shown = shortened(words, longest)
    return shown
