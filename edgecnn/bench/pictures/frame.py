"""What the pictures share: their width, how rows are named and placed, axes and legends.

This module must not know which figures are drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgecnn.bench.pictures.drawing import NORMAL, SMALL, Box, Disc, Line, Mark, Text, fitted, text_width
from edgecnn.bench.pictures.palette import format_role
from edgecnn.bench.pictures.scales import Scale, tick_text
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import shared_prefix
from edgecnn.bench.wording import row_labels

#: Of every picture: readable on a telephone, two beside each other on a desk.
WIDTH = 530.0
_WIDEST_LABEL = 220.0
_GAP = 10.0
#: From so many rows on the axis stands above them too.
_LONG = 14
_TICKS_HEIGHT = 18.0
_HEADING_HEIGHT = 26.0
_AXIS_HEIGHT = 42.0
_FORMAT_WORDS = {"tflite": "TFLite", "onnx": "ONNX", "keras": "Keras"}


@dataclass(frozen=True)
class Named:
    """A row and what it is called in a picture.

    Args:
        name: in sentences.
        short: the file's name without what all begin with.
        suffix: what else tells the row from others of the file.
    """

    row: BenchmarkResult
    name: str
    short: str
    suffix: str = ""

    @property
    def label(self) -> str:
        return self.short + self.suffix

    def fitted(self, width: float, size: float = NORMAL) -> str:
        """Return the label for a width: of the file's name the middle is left out, not of what follows it."""
        return fitted(self.short, width - text_width(self.suffix, size), size) + self.suffix

    @property
    def full(self) -> str:
        """The path: what pointing at the row tells."""
        return self.row.path


def named_rows(report: Report) -> list[Named]:
    """Return all rows, in the report's order, the reference marked."""
    labels = row_labels(report.rows)
    shared = shared_prefix([row.name for row in report.results])
    return [
        Named(row, label, row.name.removeprefix(shared), " (reference)" if row is report.reference else suffix)
        for row, label, suffix in zip(report.rows, labels, _suffixes(report.rows), strict=True)
    ]


def _suffixes(rows: Sequence[BenchmarkResult]) -> list[str]:
    """Return engine and threads of each row, where another of the same file has another."""
    engines, counts = defaultdict(set), defaultdict(set)
    for row in rows:
        engines[row.path].add(row.runtime)
        counts[row.path].add(row.threads)
    return [
        (f" {row.runtime}" if len(engines[row.path]) > 1 else "")
        + (f" {row.threads} thr" if len(counts[row.path]) > 1 else "")
        for row in rows
    ]


@dataclass(frozen=True)
class Frame:
    """Where rows, axis and figures of a picture of rows stand.

    Args:
        rows: that are drawn.
        row_height: of each, in pixels.
        top: of the first row.
        left, right: of the plot: labels stand to the left, figures to the right.
    """

    rows: tuple[Named, ...]
    row_height: float
    top: float
    left: float
    right: float

    @property
    def is_long(self) -> bool:
        """Whether the axis stands above the rows too."""
        return len(self.rows) >= _LONG

    @property
    def bottom(self) -> float:
        return self.top + self.row_height * len(self.rows)

    @property
    def height(self) -> float:
        """Of the whole picture, the axis below included."""
        return self.bottom + _AXIS_HEIGHT

    def middle(self, place: int) -> float:
        """Return the middle of a row, in pixels from above."""
        return self.top + (place + 0.5) * self.row_height

    def rows_and_labels(self) -> list[Mark]:
        """Return every second row's ground, and the labels."""
        marks: list[Mark] = [
            Box(0, self.top + place * self.row_height, WIDTH, self.row_height, "band")
            for place in range(0, len(self.rows), 2)
        ]
        for place, named in enumerate(self.rows):
            words = named.fitted(self.left - 2 * _GAP)
            marks.append(Text(_GAP, self.middle(place) + NORMAL * 0.36, words, tip=named.full))
        return marks

    def figures(self, words: Sequence[str], heading: str) -> list[Mark]:
        """Return a figure at the right end of each row, and the heading above them."""
        edge = WIDTH - _GAP
        above = self.top - 8 - (_TICKS_HEIGHT if self.is_long else 0)
        marks: list[Mark] = [Text(edge, above, heading, "muted", SMALL, "end")]
        return marks + [
            Text(edge, self.middle(place) + NORMAL * 0.36, text, anchor="end") for place, text in enumerate(words)
        ]

    def axis(self, scale: Scale, title: str, texts: Sequence[tuple[float, str]] | None = None) -> list[Mark]:
        """Return grid, ticks and title of the axis across; ``texts`` are the ticks, if not round figures."""
        ticks = [(value, tick_text(value)) for value in scale.ticks(6)] if texts is None else texts
        marks: list[Mark] = [
            Line(((scale(value), self.top), (scale(value), self.bottom)), "grid") for value, _ in ticks
        ]
        heights = [self.bottom + 16] + ([self.top - 8] if self.is_long else [])
        marks += [
            Text(scale(value), height, text, "muted", SMALL, "middle") for value, text in ticks for height in heights
        ]
        marks.append(Text((self.left + self.right) / 2, self.bottom + 34, title, "muted", SMALL, "middle"))
        return marks


def frame(rows: Iterable[Named], row_height: float, figures: Sequence[str], above: float) -> Frame:
    """Return the frame in which labels and figures have room, below a legend that ends at ``above``."""
    kept = tuple(rows)
    top = above + _HEADING_HEIGHT + (_TICKS_HEIGHT if len(kept) >= _LONG else 0)
    label = min(_WIDEST_LABEL, max(text_width(named.label) for named in kept))
    right = max(map(text_width, figures))
    return Frame(kept, row_height, top, label + 2 * _GAP + 1, WIDTH - right - 2.5 * _GAP)


def legend(
    entries: Sequence[tuple[str, str]], lines: Sequence[tuple[str, str]] = (), area: str | None = None
) -> tuple[list[Mark], float]:
    """Return squares of colour with their words, then strokes, then a disc, and where they end, from above.

    Args:
        entries, lines: role and words of each.
        area: what the area of a disc stands for.
    """
    marks: list[Mark] = []
    x, y = _GAP, 4.0
    for place, (role, words) in enumerate((*entries, *lines, *([("base", area)] if area else []))):
        width = 16 + text_width(words, SMALL) + 16
        if x > _GAP and x + width - 16 > WIDTH:
            x, y = _GAP, y + 18
        if place < len(entries):
            marks.append(Box(x, y, 11, 11, role))
        elif place < len(entries) + len(lines):
            marks.append(Line(((x, y + 6), (x + 12, y + 6)), role, 2))
        else:
            marks.append(Disc(x + 6, y + 6, 6, role))
        marks.append(Text(x + 16, y + 10, words, "muted", SMALL))
        x += width
    return marks, y + 11


def format_keys(rows: Iterable[Named], words: str = "{}") -> list[tuple[str, str]]:
    """Return for the legend the formats of rows, each within ``words``."""
    roles = dict.fromkeys(format_role(named.row.format) for named in rows)
    return [(role, words.format(_FORMAT_WORDS[role])) for role in roles]


def plural(count: int, noun: str) -> str:
    """Return ``1 file``, ``12 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
