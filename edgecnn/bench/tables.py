"""A report as people read it: a table for the terminal, Markdown, CSV.

This module must not know how anything was measured; it words what the figures carry, no more.
"""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.bench.profile import profile_csv
from edgecnn.bench.report import Report
from edgecnn.bench.results import STAGES, BenchmarkResult
from edgecnn.bench.timing import key_of
from edgecnn.bench.verdict import Verdict

NOTHING = "-"
_LONGEST_NAME = 26
Cell = Callable[[BenchmarkResult, Report], str]


@dataclass(frozen=True)
class Column:
    """One column: its two-line heading, and how a row fills it.

    ``wide``: not on a terminal; ``text``: words, to the left.
    """

    title: str
    unit: str
    cell: Cell
    wide: bool = False
    text: bool = False


def significant(value: float | None) -> str:
    """Return a positive figure with three digits that count: ``0.00216``, ``0.334``, ``12.5``, ``1234``."""
    if value is None:
        return NOTHING
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 3
    return f"{value:.{decimals}f}"


def signed(change: float, decimals: int = 2) -> str:
    """Return a change with its sign: ``+0.22``."""
    return f"{change:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _median(row: BenchmarkResult, report: Report) -> str:
    """Return the median with the larger half of its 95 % interval in percent of it, or how the row ended."""
    if row.invoke is None:
        return row.status
    median, interval = row.p50_ms, row.ci95_ms()
    if median is None or interval is None:
        return NOTHING
    half = max(interval[1] - median, median - interval[0])
    if not median:
        return significant(median)
    return f"{significant(median)} ±{half / median:.1%}" if half < median else f"{significant(median)} ±>100%"


def _percentile(percent: float) -> Cell:
    return lambda row, _: significant(row.invoke.percentile_ms(percent)) if row.invoke else NOTHING


def _stage(name: str) -> Cell:
    return lambda row, _: significant(row.latency[name].percentile_ms(50)) if name in row.latency else NOTHING


def _speed(row: BenchmarkResult, report: Report) -> str:
    """Return ``3.1x``: so many times the reference's speed; ``~`` where no difference is shown."""
    if row is report.reference:
        return "1x" if row.invoke else NOTHING
    return _times(report.against_reference(row))


def _times(seen: Verdict | None) -> str:
    if seen is None:
        return NOTHING
    if not seen.told_apart:
        return "~"
    decimals = 2 if seen.ratio < 1.05 else 1 if seen.ratio < 100 else 0
    return f"{seen.ratio:.{decimals}f}x"


def _against_float(row: BenchmarkResult, report: Report) -> str:
    """Return how many times as fast a quantized file is as its float32 twin."""
    return _times(report.against_float32(row))


def _accuracy(row: BenchmarkResult, report: Report) -> str:
    """Return the accuracy, or how the row ended where its time was measured and only this is missing."""
    return row.status if row.invoke and not row.ok and row.accuracy is None else _percent(row.accuracy)


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"


def _mega(size: float | None) -> str:
    return NOTHING if size is None else f"{size / 1e6:.2f}" if size < 1e7 else f"{size / 1e6:.1f}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


#: Columns that are left out where no row has anything to say in them.
_IF_TOLD = ("p99", "p99.9", "speed", "vs f32", "private", "top-1", "agree")
COLUMNS = (
    Column("runtime", "", lambda row, _: row.runtime or NOTHING, text=True),
    Column("recipe", "", lambda row, _: row.recipe or NOTHING, wide=True, text=True),
    Column("size", "MB", lambda row, _: _mega(row.size_bytes)),
    Column("thr", "", lambda row, _: NOTHING if row.threads is None else str(row.threads)),
    Column("load", "ms", lambda row, _: significant(row.median_of(lambda taken: taken.load_ms))),
    Column("first", "ms", lambda row, _: significant(row.median_of(lambda taken: taken.first_ms)), wide=True),
    Column("warm-up", "calls", lambda row, _: _count(row.median_of(lambda taken: taken.warmup.calls)), wide=True),
    Column("p50 ±95% CI", "ms", _median),
    Column("p90", "ms", _percentile(90)),
    Column("p99", "ms", _percentile(99)),
    Column("p99.9", "ms", _percentile(99.9), wide=True),
    Column("end to end", "ms", _stage("end_to_end"), wide=True),
    Column("rate", "1/s", lambda row, _: significant(row.pictures_per_s), wide=True),
    Column("speed", "", _speed),
    Column("vs f32", "", _against_float),
    Column("peak", "MB", lambda row, _: f"{row.memory.peak_rss_bytes / 1e6:.0f}" if row.memory else NOTHING),
    Column("model", "MB", lambda row, _: f"{row.memory.model_rss_bytes / 1e6:.1f}" if row.memory else NOTHING),
    Column("private", "MB", lambda row, _: _mega(row.memory.private_bytes if row.memory else None), wide=True),
    Column("top-1", "%", _accuracy),
    Column("agree", "%", lambda row, _: _percent(row.agreement)),
    Column("status", "", lambda row, _: row.status, wide=True, text=True),
)


def _shown(report: Report, *, wide: bool) -> list[Column]:
    """Return the columns that say something about at least one row."""
    kept = []
    for column in COLUMNS:
        told = any(column.cell(row, report) != NOTHING for row in report.rows)
        if column.title == "thr" and len({row.threads for row in report.results}) < 2 and not wide:
            continue
        if (wide or not column.wide) and (told or column.title not in _IF_TOLD):
            kept.append(column)
    return kept


def shortened(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a name that fits a column; of a longer one the middle, which tells least, is left out."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) * 2 // 3
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def shared_prefix(names: Sequence[str]) -> str:
    """Return what all names begin with, up to an underscore or hyphen: said once, it leaves room for the rest."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)  # what these two share, all share
    common = first[
        : next((i for i, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first))
    ]
    return common[: max(common.rfind("_"), common.rfind("-")) + 1]


def text_table(report: Report) -> list[str]:
    """Return the lines of the table for a terminal of 120 columns, the reference in the top row."""
    columns = _shown(report, wide=False)
    shared = shared_prefix([row.name for row in report.results])
    heading = f"file {shortened(shared, _LONGEST_NAME - 6)}…" if shared else "file"
    cells = [[heading, *(column.title for column in columns)], ["", *(column.unit for column in columns)]]
    for row in report.rows:
        mark = " (ref)" if row is report.reference else ""
        own = f"…{row.name.removeprefix(shared)}" if shared and row.name.startswith(shared) else row.name
        name = shortened(own, _LONGEST_NAME - len(mark)) + mark
        cells.append([name, *(column.cell(row, report) for column in columns)])
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return [*lines[:2], "  ".join("-" * width for width in widths), *lines[2:]]


def failure_lines(report: Report) -> list[str]:
    """Return one sentence for each row that did not end well."""
    return [f"{row.status.upper()} {_who(row)}: {row.reason}" for row in report.failed]


def warning_lines(report: Report) -> list[str]:
    """Return every warning once, with the rows that it is about (none named where it is all)."""
    about: dict[str, list[BenchmarkResult]] = {}
    for row in report.rows:
        for text in row.warnings:
            about.setdefault(text, []).append(row)
    measured = sum(row.invoke is not None for row in report.rows)
    return [
        text if len(rows) == measured and measured > 1 else f"{', '.join(map(_who, rows))}: {text}"
        for text, rows in about.items()
    ]


def verdict_lines(report: Report) -> list[str]:
    """Return for each quantized file, in a sentence, whether it is faster than its float32 twin."""
    lines = []
    for row in report.results:
        twin, seen = report.float_twin(row), report.against_float32(row)
        if twin is not None and seen is not None:
            lines.append(seen.sentence(_who(row), _who(twin)))
    return lines


def context_lines(report: Report) -> list[str]:
    """Return host, protocol and reference in words: what the figures are worth nothing without."""
    protocol = report.protocol
    load = report.host.state.load_average
    counts = " and ".join(map(str, protocol.threads))
    threads = "1 thread" if protocol.threads == (1,) else f"{counts} threads"
    effort = f"up to {protocol.runs:,} runs each, {protocol.max_seconds:g} s in all, after a warm-up"
    rounds = "1 round" if protocol.rounds == 1 else f"{protocol.rounds} rounds"
    lines = [
        f"host: {report.host.describe()}" + (f", load average {load:.2f} before" if load is not None else ""),
        f"{rounds} of a fresh process per file, batch 1, {threads}, {effort}",
    ]
    if report.pictures is not None:
        lines.append(f"data: {report.data}, {report.pictures:,} pictures")
    if report.reference is not None and report.reference.invoke is not None:
        row, elsewhere = report.reference, report.reference_host
        threads = ", threads of its own choice" if row.threads is None else ""
        where = "" if elsewhere is None else f", measured before on {elsewhere.describe()}"
        lines.append(f"reference: {row.name} on {row.device}, {row.runtime_version}{threads}{where}")
    return lines


def markdown(report: Report) -> str:
    """Return the report as a Markdown page."""
    columns = _shown(report, wide=True)
    titles = ["file", *(f"{c.title} ({c.unit})" if c.unit else c.title for c in columns)]
    lines = ["# Benchmark", "", *(f"- {line}" for line in context_lines(report))]
    lines += [f"- edgecnn {report.edgecnn_version}, {report.created}", ""]
    if report.command:
        lines += ["```", shlex.join(report.command), "```", ""]
    lines += [_markdown_row(titles), _markdown_row(["---", *("---" if column.text else "---:" for column in columns)])]
    for row in report.rows:
        name = f"{row.name} (reference)" if row is report.reference else row.name
        lines.append(_markdown_row([name, *(column.cell(row, report) for column in columns)]))
    sections = (("Verdicts", verdict_lines), ("Failed", failure_lines), ("Warnings", warning_lines))
    for title, found in ((title, lines_of(report)) for title, lines_of in sections):
        if found:
            lines += ["", f"## {title}", "", *(f"- {line}" for line in found)]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def csv_text(report: Report) -> str:
    """Return the report as CSV, one line per row, figures in full, empty where there is none."""
    stream = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in report.rows:
        record = _flat(row, report)
        if writer is None:
            writer = csv.DictWriter(stream, list(record), lineterminator="\n")
            writer.writeheader()
        writer.writerow(record)
    return stream.getvalue()


def _flat(row: BenchmarkResult, report: Report) -> dict[str, object]:
    document = row.to_dict()
    invoke, memory = document["latency"]["invoke"], document["memory"]
    seen = report.against_reference(row) if row is not report.reference else None
    low, high = invoke["ci95_ms"] or (None, None)
    plain = ("format", "recipe", "runtime", "runtime_version", "device", "threads", "status", "size_bytes")
    return {
        "file": row.path,
        "is_reference": row is report.reference,
        **{key: document[key] for key in plain},
        **{key: document[key] for key in ("import_ms", "load_ms", "first_ms")},
        **{key: invoke[key] for key in (*map(key_of, (50, 90, 99, 99.9)), "samples")},
        "ci95_low_ms": low,
        "ci95_high_ms": high,
        "speed_ratio": seen.ratio if seen else None,
        "speed_low": seen.low if seen else None,
        "speed_high": seen.high if seen else None,
        "verdict": seen.word if seen else None,
        **{f"{stage}_p50_ms": document["latency"].get(stage, {}).get("p50_ms") for stage in STAGES[:2] + STAGES[3:]},
        "pictures_per_s": document["pictures_per_s"],
        **memory,
        **{key: document[key] for key in ("accuracy", "agreement", "max_drift", "reason")},
        "warnings": "; ".join(row.warnings),
    }


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``results.json`` (with raw samples), ``results.md``, ``results.csv`` and, where operators were
    profiled, ``profile.csv``; return their paths.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from edgecnn.files import write_json, write_text

    paths = [folder / f"results.{suffix}" for suffix in ("json", "md", "csv")]
    write_json(paths[0], report.to_dict(raw=True))
    write_text(paths[1], markdown(report))
    write_text(paths[2], csv_text(report))
    if report.profiles:
        paths.append(folder / "profile.csv")
        write_text(paths[-1], profile_csv(report.profiles))
    return paths


def _who(row: BenchmarkResult) -> str:
    if not row.runtime:
        return row.name
    threads = f", {row.threads} threads" if (row.threads or 1) > 1 else ""
    return f"{row.name} ({row.runtime}{threads})"
