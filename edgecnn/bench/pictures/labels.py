"""Names beside points, so that none covers another or a point. This module must not know what the points are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
Lead = tuple[tuple[float, float], tuple[float, float]]


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
    taken, leads = list(kept_free), list[Lead]()
    names: list[Mark] = []
    for place in order:
        found = _room(spots, place, taken, leads, inside)
        if found is None:
            continue
        (left, top, right, bottom), lead = found
        taken.append((left, top, right, bottom))
        leads += [lead] if lead else []
        words = fitted(spots[place].words, _LONGEST, SMALL)
        names.append(Text((left + right) / 2, bottom - _HEIGHT * 0.2, words, "ink", SMALL, "middle", halo=True))
    return [*(Line(lead, "muted", 0.8) for lead in leads), *names], len(order) - len(names)


def _room(
    spots: Sequence[Spot], place: int, taken: Sequence[Rectangle], leads: Sequence[Lead], inside: Rectangle
) -> tuple[Rectangle, Lead | None] | None:
    """Return where a name may stand, and the line that leads to it, if it needs one."""
    spot, others = spots[place], [*spots[:place], *spots[place + 1 :]]
    width = text_width(fitted(spot.words, _LONGEST, SMALL), SMALL)
    for number, distance in enumerate(_DISTANCES):
        for across, down in _DIRECTIONS:
            reach = (spot.radius + distance) / math.hypot(across, down)
            x = spot.x + across * (reach + width / 2)
            y = spot.y + down * (reach + _HEIGHT / 2)
            found = (x - width / 2, y - _HEIGHT / 2, x + width / 2, y + _HEIGHT / 2)
            near = min(max(spot.x, found[0]), found[2]), min(max(spot.y, found[1]), found[3])
            lead = ((spot.x, spot.y), near) if number else None
            if (
                _is_inside(found, inside)
                and not any(_overlap(found, other) for other in taken)
                and not any(_touches(found, other) for other in others)
                and not any(_crosses(other, found) for other in leads)
                and not (lead and any(_crosses(lead, other) for other in taken))
                and not (lead and any(_passes(lead, spot.radius, other) for other in others))
            ):
                return found, lead
    return None


def _crosses(lead: Lead, rectangle: Rectangle) -> bool:
    """Return whether a line passes through a rectangle, looked at in steps smaller than a name is high."""
    return any(_is_inside((*point, *point), rectangle) for point in _along(lead))


def _passes(lead: Lead, radius: float, other: Spot) -> bool:
    """Return whether a line that has left its own circle passes through another: it would seem to be that one's."""
    outside = (point for point in _along(lead) if math.dist(point, lead[0]) > radius)
    return any(math.hypot(x - other.x, y - other.y) < other.radius for x, y in outside)


def _along(lead: Lead) -> Iterator[tuple[float, float]]:
    (x, y), (to_x, to_y) = lead
    steps = max(1, math.ceil(math.dist(*lead) / (_HEIGHT / 3)))
    return ((x + (to_x - x) * step / steps, y + (to_y - y) * step / steps) for step in range(steps + 1))


def _is_inside(one: Rectangle, other: Rectangle) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _touches(rectangle: Rectangle, spot: Spot) -> bool:
    near = min(max(spot.x, rectangle[0]), rectangle[2]), min(max(spot.y, rectangle[1]), rectangle[3])
    return math.hypot(near[0] - spot.x, near[1] - spot.y) < spot.radius + 1
