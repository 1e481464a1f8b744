"""Two pictures of latency: every sample on one axis, and each round beside the file's own median.

On an axis that holds all files a difference of some percent is narrower than a line; the second
picture shows it. This module must not know how anything was measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from edgecnn.bench.pictures.drawing import SMALL, Box, Disc, Drawing, Line, Mark, Text, Ticks
from edgecnn.bench.pictures.frame import WIDTH, Frame, Named, format_keys, frame, legend, named_rows, plural
from edgecnn.bench.pictures.palette import format_role
from edgecnn.bench.pictures.scales import Scale, log_scale
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import signed, significant

_ROW_HEIGHT = 24.0
_SAMPLES_HEIGHT = 15.0
#: How dark a pixel's samples are drawn: a single one is seen, the most frequent place is full.
_SHADES = (0.3, 0.5, 0.75, 1.0)
#: Of the second picture: the axis ends, as ratios to the median, that are never passed or always held.
_FARTHEST, _NEAREST = (0.7, 2.0), (0.97, 1.06)
#: Share of a file's samples that may lie beyond an end before the axis is made longer for them.
_BEYOND = 0.02
_TICKS = (0.7, 0.8, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0)
_SMALLEST_MS = 1e-6  # a clock that did not move between two calls: a logarithm needs more than nothing


def median_ms(row: BenchmarkResult) -> float:
    """Return where a row's latency is drawn: its median, of however few samples."""
    return max(row.invoke.median_ms, _SMALLEST_MS) if row.invoke else _SMALLEST_MS


def draw_latency(report: Report) -> Drawing | None:
    """Return every trusted sample of ``invoke`` on a logarithmic axis; ``None`` where nothing was measured."""
    rows = [named for named in named_rows(report) if named.row.invoke is not None]
    if not rows:
        return None
    figures = [significant(median_ms(named.row)) for named in rows]
    keys, under = legend(format_keys(rows))
    place = frame(rows, _ROW_HEIGHT, figures, under)
    samples = {index: _milliseconds(named.row) for index, named in enumerate(rows)}
    ends = [end for values in samples.values() for end in (min(values), max(values))]
    scale = log_scale(ends, place.left, place.right)
    marks = [*keys, *place.rows_and_labels(), *place.axis(scale, "latency of one picture, ms (logarithmic)")]
    for index, named in enumerate(rows):
        middle, role = place.middle(index), format_role(named.row.format)
        marks += _strip(samples[index], scale, middle - _SAMPLES_HEIGHT / 2, _SAMPLES_HEIGHT, role)
        median = median_ms(named.row)
        tip = f"{named.full}: median {significant(median)} ms of {plural(len(samples[index]), 'sample')}"
        data = {"path": named.row.path, "p50_ms": median}
        marks.append(Disc(scale(median), middle, 4, role, rim="paper", tip=tip, data=data))
    marks += place.figures(figures, "median, ms")
    caption = (
        "Every sample of all trusted rounds is a line, darker where there are many; the dot is the median. "
        "Farther left is faster; a long tail to the right is what a camera would notice."
    )
    return Drawing("Latency of each file", caption, WIDTH, place.height, tuple(marks))


def draw_rounds(report: Report) -> Drawing | None:
    """Return each trusted round's samples as ratios to the file's own median, a lane per round."""
    rows = [named for named in named_rows(report) if named.row.invoke is not None]
    if not rows:
        return None
    most = max(len(named.row.trusted_rounds) for named in rows)
    lane = 5.0 if most <= 5 else 3.5 if most <= 12 else 2.0
    figures = [_spread(named.row) for named in rows]
    keys, under = legend([("base", "95 % interval of the median")], [("ink", "median of a round")])
    place = frame(rows, max(_ROW_HEIGHT, lane * most + 9), figures, under)
    scale = _ratio_scale(rows, place)
    ticks = [(ratio, _percent(ratio)) for ratio in _thinned(scale)]
    marks = [*keys, *place.rows_and_labels(), *place.axis(scale, "difference from the file's own median", ticks)]
    marks.append(Line(((scale(1), place.top), (scale(1), place.bottom)), "muted"))
    for index, named in enumerate(rows):
        marks += _lanes(named, scale, place.middle(index), lane)
    marks += place.figures(figures, "between rounds")
    left_out = sum(len(named.row.rounds) - len(named.row.trusted_rounds) for named in rows)
    tainted = f" {plural(left_out, 'round')} that the machine disturbed left out." if left_out else ""
    caption = (
        "A lane is one round: a fresh process of the file. Lanes that do not agree are noise between processes; "
        f"the figure is how far the rounds' medians lie apart.{tainted}"
    )
    return Drawing("Noise between rounds", caption, WIDTH, place.height, tuple(marks))


def _milliseconds(row: BenchmarkResult) -> list[float]:
    assert row.invoke is not None, "rows without samples are not drawn"  # noqa: S101
    return [max(ns / 1e6, _SMALLEST_MS) for ns in row.invoke.nanoseconds]


def _strip(values: Sequence[float], scale: Scale, top: float, height: float, role: str) -> list[Mark]:
    """Return the samples as upright lines, those of one pixel as one, in a few shades."""
    counts = Counter(round(scale(value)) for value in values)
    most = max(counts.values())
    shades: dict[float, list[tuple[float, float, float]]] = {}
    for pixel, count in sorted(counts.items()):
        level = math.ceil(count / most * len(_SHADES)) - 1
        shades.setdefault(_SHADES[level], []).append((float(pixel), top, top + height))
    return [Ticks(tuple(places), role, 1.0, shade) for shade, places in shades.items()]


def _ratio_scale(rows: Sequence[Named], place: Frame) -> Scale:
    lows, highs = [_NEAREST[0]], [_NEAREST[1]]
    for named in rows:
        median, values = median_ms(named.row), sorted(_milliseconds(named.row))
        lows.append(values[int(len(values) * _BEYOND)] / median)
        highs.append(values[math.ceil(len(values) * (1 - _BEYOND)) - 1] / median)
    low, high = max(min(lows), _FARTHEST[0]), min(max(highs), _FARTHEST[1])
    return Scale(low / 1.005, high * 1.005, place.left, place.right, logarithmic=True)


def _thinned(scale: Scale) -> list[float]:
    """Return those ticks whose words do not touch, 1 first."""
    kept = [1.0]
    for ratio in sorted(_TICKS, key=lambda ratio: -abs(math.log(ratio))):
        inside = scale.low <= ratio <= scale.high
        if inside and all(abs(scale(ratio) - scale(other)) > 44 for other in kept):
            kept.append(ratio)
    return sorted(kept)


def _percent(ratio: float) -> str:
    return "0" if ratio == 1 else f"{signed((ratio - 1) * 100, 0)} %"


def _spread(row: BenchmarkResult) -> str:
    """Return how far the rounds' medians lie apart, in percent of the file's median."""
    medians = [taken.latency["invoke"].median_ms for taken in row.trusted_rounds]
    if len(medians) < 2:
        return "1 round"
    percent = (max(medians) - min(medians)) / median_ms(row) * 100
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _lanes(named: Named, scale: Scale, middle: float, lane: float) -> list[Mark]:
    row, median, role = named.row, median_ms(named.row), format_role(named.row.format)
    rounds = row.trusted_rounds
    top = middle - lane * len(rounds) / 2
    marks: list[Mark] = []
    interval = row.ci95_ms()
    if interval is not None:
        low, high = (scale(max(end, _SMALLEST_MS) / median) for end in interval)
        marks.append(Box(low, top - 2, max(high - low, 1), lane * len(rounds) + 4, "base", 0.45))
    beyond = 0
    medians = []
    for number, taken in enumerate(rounds):
        ratios = [max(ns / 1e6, _SMALLEST_MS) / median for ns in taken.latency["invoke"].nanoseconds]
        beyond += sum(ratio > scale.high for ratio in ratios)
        inside = [ratio for ratio in ratios if scale.low <= ratio <= scale.high]
        y = top + number * lane
        if inside:
            marks += _strip(inside, scale, y + 0.4, lane - 0.8, role)
        own = max(taken.latency["invoke"].median_ms, _SMALLEST_MS) / median
        medians.append((scale(own), y, y + lane))
    marks.append(Ticks(tuple(medians), "ink", 2.0))
    if beyond:
        tip = f"{named.full}: {plural(beyond, 'sample')} beyond the right end"
        marks.append(Text(scale.end - 2, middle + SMALL * 0.36, f"{beyond} >", "muted", SMALL, "end", tip=tip))
    return marks
