"""Two pictures of what a file costs: memory, and where the time of one prediction goes.

This module must not know how anything was measured.
"""

from __future__ import annotations

from edgecnn.bench.pictures.drawing import SMALL, Box, Drawing, Line, Mark, Text, text_width
from edgecnn.bench.pictures.frame import WIDTH, Frame, Named, format_keys, frame, legend, named_rows, plural
from edgecnn.bench.pictures.palette import format_role
from edgecnn.bench.pictures.scales import Scale
from edgecnn.bench.report import Report
from edgecnn.bench.results import STAGES, BenchmarkResult
from edgecnn.bench.tables import significant

_ROW_HEIGHT = 24.0
_BAR_HEIGHT = 14.0
#: A bar more than so many times as long as all others is cut, so that these can be seen.
_CUT = 2.0
_PARTS = STAGES[:-1]


def draw_memory(report: Report) -> Drawing | None:
    """Return each file's peak of resident memory and what of it the model added; ``None`` where none is known."""
    rows = [named for named in named_rows(report) if named.row.memory is not None]
    if not rows:
        return None
    figures = [_memory_words(named.row) for named in rows]
    keys, under = legend([("base", "Python, numpy and the engine"), *format_keys(rows, "the {} model")])
    place = frame(rows, _ROW_HEIGHT, figures, under)
    peaks = sorted(_peak_mb(named.row) for named in rows)
    longest = peaks[-1] if len(peaks) == 1 or peaks[-1] <= _CUT * peaks[-2] else peaks[-2] * 1.15
    scale = Scale(0, longest * 1.02, place.left, place.right)
    marks = [*keys, *place.rows_and_labels(), *place.axis(scale, "resident memory at its peak, MB")]
    for index, named in enumerate(rows):
        marks += _memory_bar(named, scale, place.middle(index))
    marks += place.figures(figures, "peak, model's part")
    caption = (
        "The most memory that the process ever had, and in colour what opening and running the model added "
        "to the bare engine: weights, buffers, working threads."
    )
    cut = sum(peak > longest for peak in peaks)
    if cut:
        caption += " The longest bar is cut; its figure is true."
    return Drawing("Memory", caption, WIDTH, place.height, tuple(marks))


def draw_stages(report: Report) -> Drawing | None:
    """Return the share of each stage in one prediction; ``None`` where only the engine was timed."""
    rows = [named for named in named_rows(report) if _parts(named.row)]
    if not rows:
        return None
    figures = [_total_words(named.row) for named in rows]
    used = [stage for stage in _PARTS if any(stage in _parts(named.row) for named in rows)]
    keys, under = legend([(stage, stage) for stage in used])
    place = frame(rows, _ROW_HEIGHT, figures, under)
    scale = Scale(0, 100, place.left, place.right)
    ticks = [(float(share), f"{share} %") for share in (0, 25, 50, 75, 100)]
    marks = [*keys, *place.rows_and_labels(), *place.axis(scale, "share of one prediction, batch 1", ticks)]
    for index, named in enumerate(rows):
        marks += _stage_bar(named, scale, place, index)
    marks += place.figures(figures, "end to end, ms")
    left_out = sum(named.row.invoke is not None for named in named_rows(report)) - len(rows)
    caption = (
        "What a picture passes through, by the stages' medians. Only invoke is the engine's: where it is narrow, "
        "a faster file makes no faster program."
    )
    if left_out:
        caption += f" {plural(left_out, 'file')} without a contract: only the engine was timed."
    return Drawing("Stages of one prediction", caption, WIDTH, place.height, tuple(marks))


def _peak_mb(row: BenchmarkResult) -> float:
    return row.memory.peak_rss_bytes / 1e6 if row.memory else 0.0


def _memory_words(row: BenchmarkResult) -> str:
    assert row.memory is not None, "rows without memory are not drawn"  # noqa: S101
    device = row.memory.device_peak_bytes
    extra = f" + {device / 1e6:.0f} GPU" if device is not None else ""
    return f"{_peak_mb(row):.0f}, {row.memory.model_rss_bytes / 1e6:.1f}{extra}"


def _memory_bar(named: Named, scale: Scale, middle: float) -> list[Mark]:
    memory = named.row.memory
    assert memory is not None, "rows without memory are not drawn"  # noqa: S101
    peak, model = memory.peak_rss_bytes / 1e6, memory.model_rss_bytes / 1e6
    start, end = scale(0), scale(peak)
    cut = peak > scale.high
    # The model's part stands at the right end, where a cut bar has its length left out: there to the same scale.
    width = min(scale(min(model, scale.high)) - start, end - start)
    top = middle - _BAR_HEIGHT / 2
    tip = f"{named.full}: {peak:.1f} MB at its peak, {model:.1f} MB of it the model's"
    data = {"path": named.row.path, "peak_rss_bytes": memory.peak_rss_bytes, "model_rss_bytes": memory.model_rss_bytes}
    marks: list[Mark] = [
        Box(start, top, end - start, _BAR_HEIGHT, "base", tip=tip, data=data),
        Box(end - width, top, width, _BAR_HEIGHT, format_role(named.row.format), tip=tip),
    ]
    if cut:
        at = start + (end - start) * 0.2
        slash = ((at - 3, middle + _BAR_HEIGHT / 2 + 2), (at + 3, middle - _BAR_HEIGHT / 2 - 2))
        marks.append(Line(slash, "paper", 4))
    return marks


def _parts(row: BenchmarkResult) -> dict[str, float]:
    """Return the median of each stage but the sum, ms; empty where only the engine was timed."""
    found = {stage: row.latency[stage].median_ms for stage in _PARTS if stage in row.latency}
    return found if len(found) > 1 and sum(found.values()) > 0 else {}


def _total_words(row: BenchmarkResult) -> str:
    whole = row.latency.get(STAGES[-1])
    return significant(whole.median_ms if whole else sum(_parts(row).values()))


def _stage_bar(named: Named, scale: Scale, place: Frame, index: int) -> list[Mark]:
    parts, top = _parts(named.row), place.middle(index) - _BAR_HEIGHT / 2
    whole, done = sum(parts.values()), 0.0
    marks: list[Mark] = []
    for stage, took in parts.items():
        start, done = done, done + took / whole * 100
        share = f"{took / whole:.0%}".replace("%", " %")
        x, width = scale(start), scale(done) - scale(start)
        tip = f"{named.full}: {stage} {significant(took)} ms, {share}"
        data = {"path": named.row.path, "stage": stage, "p50_ms": took}
        marks.append(Box(x, top, width, _BAR_HEIGHT, stage, tip=tip, data=data))
        if text_width(share, SMALL) + 6 < width:
            middle = place.middle(index) + SMALL * 0.36
            marks.append(Text(x + width / 2, middle, share, "dark", SMALL, "middle"))
    return marks
