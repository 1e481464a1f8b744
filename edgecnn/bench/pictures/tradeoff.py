"""One picture of what is gained and lost: latency across, accuracy upwards, size as area, and the Pareto front.

Where nothing is known of the accuracy, size is upwards. This module must not know how anything was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgecnn.bench.headline import TOLERATED_POINTS
from edgecnn.bench.pareto import pareto_front
from edgecnn.bench.pictures.drawing import SMALL, Box, Disc, Drawing, Line, Mark, Text
from edgecnn.bench.pictures.frame import WIDTH, Named, format_keys, legend, named_rows, plural
from edgecnn.bench.pictures.labels import Spot, placed_labels
from edgecnn.bench.pictures.latency import median_ms
from edgecnn.bench.pictures.palette import format_role
from edgecnn.bench.pictures.scales import Scale, log_scale, tick_text
from edgecnn.bench.quality import quality, quality_name
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import significant
from edgecnn.bench.wording import bytes_text

_LEFT, _RIGHT, _PLOT_HEIGHT, _BELOW = 58.0, WIDTH - 14, 350.0, 42.0
_LARGEST_RADIUS, _SMALLEST_RADIUS, _PLAIN_RADIUS = 20.0, 3.5, 6.0
#: Points of accuracy below the best that are drawn to scale; what lost more stands in a strip of its own.
_SHOWN_POINTS = 12.0
_STRIP = 34.0
_QUALITY_WORDS = {"accuracy": "top-1 accuracy, %", "agreement": "agreement with the reference, %"}


@dataclass(frozen=True)
class Point:
    """A row in the picture: what is to the right, and what is upwards."""

    named: Named
    ms: float
    up: float


@dataclass(frozen=True)
class Tradeoff:
    """What the picture shows.

    Args:
        quality: ``accuracy`` or ``agreement``; ``None`` where size is upwards.
        points: of files; ``front`` are the places of those that no other beats in both.
        reference: the float model, where it was measured beside the files.
        target: the quality that the files are held against.
    """

    quality: str | None
    points: tuple[Point, ...]
    front: tuple[int, ...]
    reference: Point | None
    target: float | None


def tradeoff_of(report: Report) -> Tradeoff:
    """Return what the picture of a report shows; there may be no points."""
    name = quality_name(report.results)
    everyone = [
        Point(named, median_ms(named.row), up)
        for named in named_rows(report)
        if named.row.invoke is not None and (up := _up(named.row, name)) is not None
    ]
    points = [point for point in everyone if point.named.row is not report.reference and point.named.row.ok]
    sign = 1 if name is None else -1
    front = pareto_front([(point.ms, sign * point.up) for point in points])
    beside = [point for point in everyone if point.named.row is report.reference]
    target = None
    if name == "agreement":
        target = 100.0
    elif name == "accuracy" and report.reference is not None:
        target = report.reference.accuracy
    reference = beside[0] if beside and report.reference_host is None else None
    return Tradeoff(name, tuple(points), tuple(front), reference, target)


def _up(row: BenchmarkResult, name: str | None) -> float | None:
    return quality(row, name) if name is not None else row.size_bytes and row.size_bytes / 1e6


def draw_tradeoff(report: Report) -> Drawing | None:
    """Return latency against accuracy (or size) with the Pareto front; ``None`` where no file has both."""
    shown = tradeoff_of(report)
    if not shown.points:
        return None
    drawn = [*shown.points, *([shown.reference] if shown.reference else [])]
    entries = format_keys(point.named for point in drawn)
    lines = [("ink", "Pareto front")]
    if shown.target is not None:
        lines.append(("good", f"reference, {shown.target:.2f} %, and {TOLERATED_POINTS:g} point below"))
    largest = max(point.named.row.size_bytes or 0 for point in drawn) or 1
    area = f"area: size of the file, {bytes_text(largest)} at most" if shown.quality else None
    keys, under = legend(entries, lines, area)
    top = under + 12
    bottom = top + _PLOT_HEIGHT
    across = log_scale([point.ms for point in drawn], _LEFT + 24, _RIGHT - 24)
    whole = Scale(across.low, across.high, across.start, across.end, logarithmic=True)
    upwards, below = _upward_scale(shown, drawn, top, bottom)
    spots = [_spot(point, shown, whole, upwards, below, largest) for point in drawn]
    marks: list[Mark] = [*keys, *_axes(shown, whole, upwards, below, top, bottom)]
    steps = _steps(shown, spots)
    if len(steps) > 1:
        marks.append(Line(tuple(steps), "ink", 1.4))
    # The large ones first, so that no circle hides a smaller one.
    marks += [
        _disc(drawn[place], spots[place], shown, place in shown.front, drawn[place] is shown.reference)
        for place in sorted(range(len(drawn)), key=lambda place: -spots[place].radius)
    ]
    order = [*shown.front, *(place for place in range(len(drawn)) if place not in shown.front)]
    stairs = [(min(x, u), min(y, v), max(x, u) + 1, max(y, v) + 1) for (x, y), (u, v) in pairwise(steps)]
    labels, unnamed = placed_labels(spots, order, (_LEFT + 4, top + 4, _RIGHT - 4, bottom - 4), stairs)
    marks += labels
    return Drawing(_title(shown), _caption(report, shown, unnamed), WIDTH, bottom + _BELOW, tuple(marks))


def _upward_scale(shown: Tradeoff, drawn: Sequence[Point], top: float, bottom: float) -> tuple[Scale, float | None]:
    """Return the axis upwards, and the middle of the strip for what lost too much to be drawn to scale."""
    if shown.quality is None:
        return log_scale([point.up for point in drawn], bottom - 26, top + 26), None
    values = [point.up for point in drawn] + ([shown.target] if shown.target is not None else [])
    best = max(values)
    some = max(point.up for point in shown.points) >= best - _SHOWN_POINTS
    kept = [value for value in values if not some or value >= best - _SHOWN_POINTS]
    below = len(kept) < len(values)
    low, high = min(kept), best
    missing = max(0.0, 2 - (high - low))  # a difference of a tenth of a point must not fill a picture
    low, high = low - missing * 0.6, high + missing * 0.4
    end = bottom - 26 - (_STRIP if below else 0)
    return Scale(low, high, end, top + 26), bottom - _STRIP / 2 if below else None


def _spot(point: Point, shown: Tradeoff, across: Scale, upwards: Scale, below: float | None, largest: float) -> Spot:
    if shown.quality is None:
        radius = _PLAIN_RADIUS
    else:
        share = (point.named.row.size_bytes or 0) / largest
        radius = max(_LARGEST_RADIUS * share**0.5, _SMALLEST_RADIUS)
    outside = below is not None and point.up < upwards.low
    y = below if outside and below is not None else upwards(point.up)
    words = point.named.short.removesuffix(".tflite").removesuffix(".onnx") + point.named.suffix
    if outside:
        words += f" {point.up:.1f} %"
    return Spot(across(point.ms), y, radius, words)


def _axes(shown: Tradeoff, across: Scale, upwards: Scale, below: float | None, top: float, bottom: float) -> list[Mark]:
    floor = bottom - (_STRIP if below is not None else 0)
    marks: list[Mark] = [Box(_LEFT, top, _RIGHT - _LEFT, bottom - top, "band")]
    if shown.quality is not None and shown.target is not None and upwards.low < shown.target:
        edge, least = upwards(shown.target), max(shown.target - TOLERATED_POINTS, upwards.low)
        under = upwards(least) if least > upwards.low else floor
        marks += [
            Box(_LEFT, edge, _RIGHT - _LEFT, under - edge, "good", 0.1),
            Line(((_LEFT, edge), (_RIGHT, edge)), "good", 1.2, (5, 3)),
        ]
    for value in across.ticks(7):
        marks.append(Line(((across(value), top), (across(value), bottom)), "grid"))
        marks.append(Text(across(value), bottom + 16, tick_text(value), "muted", SMALL, "middle"))
    for value in (value for value in upwards.ticks(7) if shown.quality is None or value <= 100):
        marks.append(Line(((_LEFT, upwards(value)), (_RIGHT, upwards(value))), "grid"))
        marks.append(Text(_LEFT - 6, upwards(value) + 4, tick_text(value), "muted", SMALL, "end"))
    if below is not None:
        marks.append(Line(((_LEFT, floor), (_RIGHT, floor)), "muted", 1, (2, 3)))
        marks.append(Text(_LEFT - 6, below + 4, "lower", "muted", SMALL, "end"))
    up = "file size, MB (lower is better)" if shown.quality is None else _QUALITY_WORDS[shown.quality]
    marks.append(Text(14, (top + bottom) / 2, up, "muted", SMALL, "middle", upright=True))
    words = "median latency of one picture, ms (farther left is better)"
    marks.append(Text((_LEFT + _RIGHT) / 2, bottom + 34, words, "muted", SMALL, "middle"))
    return marks


def _steps(shown: Tradeoff, spots: Sequence[Spot]) -> list[tuple[float, float]]:
    """Return the staircase through the front, to the right and then up, or down: what lies beyond it is beaten."""
    front = sorted((spots[place].x, spots[place].y) for place in shown.front)
    steps = front[:1]
    for x, y in front[1:]:
        steps += [(x, steps[-1][1]), (x, y)]
    return [*steps, (_RIGHT, steps[-1][1])] if steps else []


def _disc(point: Point, spot: Spot, shown: Tradeoff, on_front: bool, is_reference: bool) -> Mark:
    row = point.named.row
    size = "" if row.size_bytes is None else f", {bytes_text(row.size_bytes)}"
    told = "" if shown.quality is None else f", {shown.quality} {point.up:.2f} %"
    front = ", on the Pareto front" if on_front else ""
    tip = f"{point.named.full}: {significant(point.ms)} ms{told}{size}{front}"
    data = {
        "path": row.path, "p50_ms": point.ms, shown.quality or "size_mb": point.up,
        "front": "yes" if on_front else "no", "reference": "yes" if is_reference else None,
    }  # fmt: skip
    rim = "ink" if on_front else "paper"
    return Disc(spot.x, spot.y, spot.radius, format_role(row.format), rim, 0.8, tip, data)


def _title(shown: Tradeoff) -> str:
    return f"Latency against {shown.quality or 'size'}"


def _caption(report: Report, shown: Tradeoff, unnamed: int) -> str:
    better = "both faster and smaller" if shown.quality is None else "both faster and better"
    words = [f"No file is {better} than one on the line, the Pareto front."]
    if shown.quality is None:
        words.append("Accuracy was not measured.")
    missing = sum(row.invoke is not None for row in report.results) - len(shown.points)
    if missing:
        which = f"that failed, or without {shown.quality or 'a size'},"
        words.append(f"{plural(missing, 'row')} {which} {'is' if missing == 1 else 'are'} not in the picture.")
    if unnamed:
        words.append(f"{plural(unnamed, 'name')} left out for want of room: point at a circle to read it.")
    return " ".join(words)
