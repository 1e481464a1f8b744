"""A drawing as PNG, by matplotlib, which only fills pixels here: every place is the drawing's own.

This module must not know what is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.bench.pictures.drawing import SMALL, Box, Disc, Drawing, Line, Mark, Text, Ticks, fitted
from edgecnn.bench.pictures.palette import PALETTE
from edgecnn.errors import MissingDependency
from edgecnn.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The figure's inch has so many of the drawing's pixels, and the PNG so many.
_UNITS, _DOTS = 100, 200
_POINTS = 72 / _UNITS
_HEADING = 54.0
_HALO = 3.0


def require_matplotlib(purpose: str) -> None:
    """Check that PNG can be written, before long work begins.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependency("matplotlib", "train", purpose)


def write_pngs(drawings: Mapping[str, Drawing], folder: Path, subtitle: str, suffix: str = "") -> list[Path]:
    """Write each drawing as ``NAMESUFFIX.png`` and return the paths.

    Raises:
        MissingDependency: matplotlib is not installed.
        OutputError: the folder cannot be written to.
    """
    require_matplotlib("a picture as PNG")
    written = []
    for name, drawing in drawings.items():
        path = folder / f"{name}{suffix}.png"
        write_bytes(path, png_bytes(drawing, subtitle))
        written.append(path)
    return written


def png_bytes(drawing: Drawing, subtitle: str = "") -> bytes:
    """Return a drawing on white, twice its size, under its title.

    Args:
        drawing: what is drawn.
        subtitle: where and on what, in one line.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    height = drawing.height + _HEADING
    figure = Figure(figsize=(drawing.width / _UNITS, height / _UNITS), dpi=_DOTS, facecolor=_color("paper"))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, drawing.width), ylim=(drawing.height, -_HEADING))
    axes.set_axis_off()
    width = drawing.width - 20
    heading = Text(10, 22 - _HEADING, fitted(drawing.title, width, 17), size=16, bold=True)
    below = Text(10, 41 - _HEADING, fitted(subtitle, width, SMALL), "muted", SMALL)
    for order, mark in enumerate((heading, below, *drawing.marks)):
        _PAINTERS[type(mark)](axes, mark, order)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _color(role: str) -> str:
    return PALETTE[role][0]


def _line(axes: Axes, mark: Line, order: int) -> None:
    across, down = zip(*mark.points, strict=True)
    style: Any = "-" if mark.dash is None else (0, tuple(length / mark.width for length in mark.dash))
    axes.plot(
        across, down, color=_color(mark.role), linewidth=mark.width * _POINTS, linestyle=style, alpha=mark.opacity,
        zorder=order, solid_capstyle="butt",
    )  # fmt: skip


def _ticks(axes: Axes, mark: Ticks, order: int) -> None:
    from matplotlib.collections import LineCollection

    lines = [[(x, top), (x, bottom)] for x, top, bottom in mark.places]
    look: dict[str, Any] = {"colors": _color(mark.role), "linewidths": mark.width * _POINTS, "alpha": mark.opacity}
    axes.add_collection(LineCollection(lines, zorder=order, capstyle="butt", **look), autolim=False)


def _box(axes: Axes, mark: Box, order: int) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (mark.x, mark.y), mark.width, mark.height, color=_color(mark.role), alpha=mark.opacity, linewidth=0,
            zorder=order,
        )
    )  # fmt: skip


def _disc(axes: Axes, mark: Disc, order: int) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(
        Circle(
            (mark.x, mark.y), mark.radius, facecolor=_color(mark.role), edgecolor=_color(mark.rim),
            alpha=mark.opacity, linewidth=1.2 * _POINTS, zorder=order,
        )
    )  # fmt: skip


def _text(axes: Axes, mark: Text, order: int) -> None:
    from matplotlib.patheffects import withStroke

    axes.text(
        mark.x, mark.y, mark.words, color=_color(mark.role), fontsize=mark.size * _POINTS,
        horizontalalignment={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
        verticalalignment="center" if mark.upright else "baseline", rotation=90 if mark.upright else 0,
        fontweight="bold" if mark.bold else "normal", zorder=order, parse_math=False,
        path_effects=[withStroke(linewidth=_HALO * _POINTS, foreground=_color("band"))] if mark.halo else None,
    )  # fmt: skip


_PAINTERS: dict[type[Mark], Callable[[Axes, Any, int], None]] = {
    Line: _line, Ticks: _ticks, Box: _box, Disc: _disc, Text: _text,
}  # fmt: skip
