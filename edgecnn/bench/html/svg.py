"""A drawing as SVG inside a page, coloured by the page's own variables. This module must not know what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecnn.bench.html.markup import Markup, element, joined
from edgecnn.bench.pictures.drawing import NORMAL, Box, Disc, Drawing, Line, Mark, Text, Ticks


def svg(drawing: Drawing, name: str) -> Markup:
    """Return a drawing; ``name`` tells it from the page's others."""
    marks = joined(_WRITERS[type(mark)](mark) for mark in drawing.marks)
    size = f"{_short(drawing.width)} {_short(drawing.height)}"
    title = element("title", f"{drawing.title}. {drawing.caption}")
    return element("svg", title, marks, viewBox=f"0 0 {size}", role="img", id=name)


def _short(value: float) -> str:
    """Return a pixel to a tenth: more is not seen, and takes room."""
    return f"{value:.1f}".removesuffix(".0")


def _opacity(value: float) -> str | None:
    return None if value == 1 else f"{value:g}"


def _data(mark: Box | Disc | Text) -> dict[str, Any]:
    return {f"data_{key}": value for key, value in mark.data.items()}


def _tip(words: str | None) -> Markup | None:
    return None if words is None else element("title", words)


def _line(mark: Line) -> Markup:
    places = "L".join(f"{_short(x)} {_short(y)}" for x, y in mark.points)
    dash = None if mark.dash is None else " ".join(map(_short, mark.dash))
    return element(
        "path", d=f"M{places}", class_=f"s-{mark.role}", stroke_width=_short(mark.width), stroke_dasharray=dash,
        opacity=_opacity(mark.opacity),
    )  # fmt: skip


def _ticks(mark: Ticks) -> Markup:
    path = "".join(f"M{_short(x)} {_short(top)}v{_short(bottom - top)}" for x, top, bottom in mark.places)
    look = {"stroke_width": _short(mark.width), "opacity": _opacity(mark.opacity)}
    return element("path", d=path, class_=f"s-{mark.role}", **look)


def _box(mark: Box) -> Markup:
    shape = {name: _short(getattr(mark, name)) for name in ("x", "y", "width", "height")}
    tip = _tip(mark.tip)
    children = () if tip is None else (tip,)
    return element("rect", *children, **shape, class_=f"f-{mark.role}", opacity=_opacity(mark.opacity), **_data(mark))


def _disc(mark: Disc) -> Markup:
    shape = {"cx": _short(mark.x), "cy": _short(mark.y), "r": _short(mark.radius)}
    tip = _tip(mark.tip)
    children = () if tip is None else (tip,)
    look = {"class_": f"f-{mark.role} s-{mark.rim}", "stroke_width": "1.2", "opacity": _opacity(mark.opacity)}
    return element("circle", *children, **shape, **look, **_data(mark))


def _text(mark: Text) -> Markup:
    turned = f"rotate(-90 {_short(mark.x)} {_short(mark.y)})" if mark.upright else None
    look = f"t-{mark.role} halo" if mark.halo else f"t-{mark.role}"
    return element(
        "text", mark.words, _tip(mark.tip), x=_short(mark.x), y=_short(mark.y), class_=look,
        font_size=None if mark.size == NORMAL else _short(mark.size),
        text_anchor=None if mark.anchor == "start" else mark.anchor, font_weight="bold" if mark.bold else None,
        dominant_baseline="central" if mark.upright else None, transform=turned, **_data(mark),
    )  # fmt: skip


_WRITERS: dict[type[Mark], Callable[[Any], Markup]] = {
    Line: _line, Ticks: _ticks, Box: _box, Disc: _disc, Text: _text,
}  # fmt: skip
