"""The pictures of a report, as plain descriptions: what is drawn where, in which role of a palette.

One description is written as SVG into the HTML page and as PNG beside it, so the two cannot differ.
Needs only the base install; PNG needs matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edgecnn.bench.pictures.costs import draw_memory, draw_stages
from edgecnn.bench.pictures.drawing import Drawing
from edgecnn.bench.pictures.latency import draw_latency, draw_rounds
from edgecnn.bench.pictures.tradeoff import draw_tradeoff
from edgecnn.bench.report import Report

#: Name of a picture, which is its file's too -> what draws it; ``None`` where a report has nothing to draw.
PICTURES: Mapping[str, Callable[[Report], Drawing | None]] = MappingProxyType(
    {
        "tradeoff": draw_tradeoff,
        "latency": draw_latency,
        "rounds": draw_rounds,
        "memory": draw_memory,
        "stages": draw_stages,
    }
)


def drawings(report: Report) -> dict[str, Drawing]:
    """Return the pictures of a report by name: those that it has something to draw for."""
    found = {name: draw(report) for name, draw in PICTURES.items()}
    return {name: drawing for name, drawing in found.items() if drawing is not None}
