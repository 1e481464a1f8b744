"""Names beside points, so that none covers another or a point. This module must not know what the points are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.bench.pictures.drawing import SMALL, Line, Mark, Text, fitted, text_width

_LONGEST = 190.0
_HEIGHT = SMALL * 1.1
#: Where a name may stand, as the direction from its point: right and left first, then above and below.
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
#: How far from the rim of its circle; from the second on a thin line leads to it.
_DISTANCES = (4.0, 16.0, 30.0, 46.0)


@dataclass(frozen=True)
class Spot:
    """A circle and its name."""

    x: float
    y: float
    radius: float
    words: str


Rectangle = tuple[float, float, float, float]


def placed_labels(
    spots: Sequence[Spot], order: Sequence[int], inside: Rectangle, kept_free: Sequence[Rectangle] = ()
) -> tuple[list[Mark], int]:
    """Return the names that find room, and how many do not.

    Args:
        spots: all circles.
        order: their places, the most important name first.
        inside: left, top, right and bottom of where names may stand.
        kept_free: where they may not, although it is inside.
    """
    marks: list[Mark] = []
    taken = list(kept_free)
    unnamed = 0
    for place in order:
        found = _room(spots, place, taken, inside)
        if found is None:
            unnamed += 1
            continue
        rectangle, led = found
        taken.append(rectangle)
        spot = spots[place]
        left, top, right, bottom = rectangle
        if led:
            near = min(max(spot.x, left), right), min(max(spot.y, top), bottom)
            marks.append(Line(((spot.x, spot.y), near), "muted", 0.8))
        words = fitted(spot.words, _LONGEST, SMALL)
        marks.append(Text((left + right) / 2, bottom - _HEIGHT * 0.2, words, "ink", SMALL, "middle", halo=True))
    return marks, unnamed


def _room(
    spots: Sequence[Spot], place: int, taken: Sequence[Rectangle], inside: Rectangle
) -> tuple[Rectangle, bool] | None:
    spot = spots[place]
    width = text_width(fitted(spot.words, _LONGEST, SMALL), SMALL)
    for number, distance in enumerate(_DISTANCES):
        for across, down in _DIRECTIONS:
            reach = (spot.radius + distance) / (math.hypot(across, down) or 1)
            x = spot.x + across * (reach + width / 2)
            y = spot.y + down * (reach + _HEIGHT / 2)
            found = (x - width / 2, y - _HEIGHT / 2, x + width / 2, y + _HEIGHT / 2)
            if _is_inside(found, inside) and not any(_overlap(found, other) for other in taken):
                others = (other for index, other in enumerate(spots) if index != place)
                if not any(_touches(found, other) for other in others):
                    return found, number > 0
    return None


def _is_inside(one: Rectangle, other: Rectangle) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _touches(rectangle: Rectangle, spot: Spot) -> bool:
    near = min(max(spot.x, rectangle[0]), rectangle[2]), min(max(spot.y, rectangle[1]), rectangle[3])
    return math.hypot(near[0] - spot.x, near[1] - spot.y) < spot.radius + 1
