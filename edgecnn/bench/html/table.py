"""The table of a page: a row per file, the reference on top. This module must not know how anything was measured.

Each figure stands in ``data-value`` in full, so that programs read the page as people do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edgecnn.bench.html.markup import Markup, breakable, element, joined
from edgecnn.bench.pictures.frame import plural
from edgecnn.bench.pictures.palette import format_role
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import NOTHING, shared_prefix, signed, significant
from edgecnn.bench.verdict import Verdict

#: What all names begin with stands in the heading if it is longer.
_LONGEST_BEGIN = 16


@dataclass(frozen=True)
class Cell:
    """What a row has to say in one column: the figure in full, and how it is shown."""

    value: float | str | None
    shown: str | None = None
    more: str | None = None
    look: str | None = None
    bold: bool = False


class Rows:
    """The rows of a report, and what they are compared with."""

    def __init__(self, report: Report, best: BenchmarkResult | None) -> None:
        self.report, self.best = report, best
        self.labels = _labels(report)
        self.shared = shared_prefix([row.name for row in report.results])
        measured = [row for row in report.rows if row.rounds]
        self.all_disturbed = all(taken.taints for row in measured for taken in row.rounds)
        self.counts = len({row.threads for row in report.results if row.threads is not None})


def _labels(report: Report) -> list[str]:
    """Return the files' names: engine and threads stand below them; the path where two of these are alike too."""
    keys = Counter((row.name, row.runtime, row.threads) for row in report.rows)
    return [row.name if keys[row.name, row.runtime, row.threads] == 1 else row.path for row in report.rows]


@dataclass(frozen=True)
class Column:
    """One column: its key, its heading, the unit below it, and how a row fills it.

    ``always``: shown even where no row has anything to say in it.
    """

    key: str
    title: str
    unit: str
    cell: Callable[[BenchmarkResult, Rows], Cell]
    always: bool = False


def _status(row: BenchmarkResult, rows: Rows) -> Cell:
    tainted = sum(bool(taken.taints) for taken in row.rounds)
    whole = len(row.rounds)
    kept = None if rows.all_disturbed else f"{whole - tainted} of {whole} rounds" if tainted < whole else "disturbed"
    return Cell(row.status, row.status, kept if tainted else None, look="ok" if row.ok else "failed")


def _median(row: BenchmarkResult, _: Rows) -> Cell:
    median, interval = row.p50_ms, row.ci95_ms()
    between = f"{significant(interval[0])} to {significant(interval[1])}" if interval and median is not None else None
    return Cell(median, significant(median), between, bold=True)


def _percentile(percent: float) -> Callable[[BenchmarkResult, Rows], Cell]:
    def cell(row: BenchmarkResult, _: Rows) -> Cell:
        value = row.invoke.percentile_ms(percent) if row.invoke else None
        return Cell(value, significant(value))

    return cell


def _verdict(seen: Verdict | None) -> Cell:
    """Return ``2.31x faster`` or ``1.40x slower``; where neither is shown, that."""
    if seen is None:
        return Cell(None)
    low, times, high = seen.low, seen.ratio, seen.high
    if seen.word == "slower":
        low, times, high = 1 / high, 1 / times, 1 / low
    between = f"{significant(low)} to {significant(high)}"
    if not seen.told_apart:
        return Cell(seen.ratio, "no difference shown", between, "muted")
    return Cell(seen.ratio, f"{significant(times)}x {seen.word}", between, seen.word)


def _against_reference(row: BenchmarkResult, rows: Rows) -> Cell:
    if row is rows.report.reference:
        return Cell(None, "reference" if row.invoke else None)
    return _verdict(rows.report.against_reference(row))


def _size(row: BenchmarkResult, _: Rows) -> Cell:
    return Cell(row.size_bytes, _mega(row.size_bytes))


def _mega(size: float | None) -> str:
    return significant(None if size is None else size / 1e6)


def _memory(row: BenchmarkResult, _: Rows) -> Cell:
    if row.memory is None:
        return Cell(None)
    device = row.memory.device_peak_bytes
    more = f"{_mega(row.memory.model_rss_bytes)} model" + ("" if device is None else f", {_mega(device)} GPU")
    return Cell(row.memory.peak_rss_bytes, _mega(row.memory.peak_rss_bytes), more)


def _accuracy(row: BenchmarkResult, rows: Rows) -> Cell:
    reference = rows.report.reference
    change = None
    if row.accuracy is not None and reference is not None and row is not reference and reference.accuracy is not None:
        change = signed(row.accuracy - reference.accuracy)
    return Cell(row.accuracy, _percent(row.accuracy), change)


def _agreement(row: BenchmarkResult, _: Rows) -> Cell:
    return Cell(row.agreement, _percent(row.agreement))


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


COLUMNS = (
    Column("p50_ms", "median", "ms, 95 %", _median, always=True),
    Column("speed_ratio", "speed", "beside reference", _against_reference),
    Column("float32_ratio", "speed", "beside float32", lambda row, rows: _verdict(rows.report.against_float32(row))),
    Column("accuracy", "top-1", "%, points", _accuracy),
    Column("agreement", "agree", "%", _agreement),
    Column("size_bytes", "size", "MB", _size, always=True),
    Column("peak_rss_bytes", "memory", "peak, MB", _memory, always=True),
    Column("p90_ms", "p90", "ms", _percentile(90)),
    Column("p99_ms", "p99", "ms", _percentile(99)),
    Column("status", "status", "", _status, always=True),
)


def table(report: Report, best: BenchmarkResult | None, suffix: str = "") -> Markup:
    """Return the table of a report.

    Args:
        best: the row that is marked.
        suffix: of the identifier of the first failed row, ``failed``.
    """
    rows = Rows(report, best)
    cells = [[column.cell(row, rows) for column in COLUMNS] for row in report.rows]
    places = [
        place
        for place, column in enumerate(COLUMNS)
        if column.always or any(line[place].shown not in (None, NOTHING) for line in cells)
    ]
    shown = [COLUMNS[place] for place in places]
    heads = [element("th", column.title, _small(column.unit), scope="col", data_key=column.key) for column in shown]
    begin = f"{rows.shared}\N{HORIZONTAL ELLIPSIS}" if len(rows.shared) > _LONGEST_BEGIN else ""
    head = element("tr", element("th", "file", _small(breakable(begin)), scope="col", data_key="name"), *heads)
    first_failed = next(iter(report.failed), None)
    body = []
    for row, label, line in zip(report.rows, rows.labels, cells, strict=True):
        told = zip(shown, (line[place] for place in places), strict=True)
        figures = _reason(row, len(shown)) if row.invoke is None else joined(_cell(*pair) for pair in told)
        mark = f"failed{suffix}" if row is first_failed else None
        body.append(_row(row, _name(row, label, rows), figures, rows, mark))
    inside = element("table", element("thead", head), element("tbody", *body), class_="sortable")
    return element("div", inside, class_="scroll", tabindex="0", role="region", aria_label="results")


def _small(text: str | None, look: str = "small") -> Markup | None:
    return element("span", text, class_=look) if text else None


def _row(row: BenchmarkResult, name: Markup, figures: Markup, rows: Rows, mark: str | None) -> Markup:
    looks = {"reference": row is rows.report.reference, "best": row is rows.best}
    look = " ".join(name for name, is_so in looks.items() if is_so)
    about = {"path": row.path, "runtime": row.runtime, "threads": row.threads, "status": row.status}
    data = {f"data_{key}": value for key, value in about.items()}
    return element("tr", name, figures, id=mark, class_=look or None, **data)


def _name(row: BenchmarkResult, label: str, rows: Rows) -> Markup:
    """Return the first cell: the name, below it what the row is, and why it failed if figures stand beside it."""
    is_reference = row is rows.report.reference
    threads = plural(row.threads, "thread") if row.threads is not None and rows.counts > 1 else None
    device = f"on {row.device}" if row.device and (is_reference or row.device != "CPU") else None
    elsewhere = "another machine" if is_reference and rows.report.reference_host else None
    about = ["reference" if is_reference else None, row.recipe, row.runtime, threads, device, elsewhere]
    shared = rows.shared if label.startswith(rows.shared) and not is_reference else ""
    begin = "\N{HORIZONTAL ELLIPSIS}" if len(shared) > _LONGEST_BEGIN else shared
    words = [
        element("span", class_=f"key k-{format_role(row.format)}"),
        element("span", breakable(begin), class_="muted") if begin else None,
        breakable(label.removeprefix(shared)),
        _small(" \N{MIDDLE DOT} ".join(word for word in about if word)),
        _small(row.reason, "small failed") if row.invoke is not None else None,
    ]
    return element("th", *words, scope="row", data_key="name", data_value=label, title=row.path)


def _reason(row: BenchmarkResult, columns: int) -> Markup:
    """Return the one cell of a row without figures: why it has none."""
    status = element("b", row.status, class_="failed")
    data = {"data_key": "status", "data_value": row.status}
    why = element("div", status, f": {row.reason}")
    return element("td", why, class_="reason", colspan=columns, **data)


def _cell(column: Column, cell: Cell) -> Markup:
    shown = cell.shown or NOTHING
    words = element("b" if cell.bold else "span", shown, class_=cell.look)
    return element("td", words, _small(cell.more), data_key=column.key, data_value=cell.value)
