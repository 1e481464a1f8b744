"""One picture of a report: latency, size and what became of the accuracy. Needs matplotlib.

This module must not know how anything was measured.
"""

from __future__ import annotations

import io
from pathlib import Path

from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import shared_prefix
from edgecnn.files import write_bytes

#: Okabe and Ito's palette, told apart by colour-blind readers too.
_COLORS = {"keras": "#7f7f7f", "h5": "#7f7f7f", "tflite": "#0072b2", "onnx": "#d55e00"}


def draw_chart(report: Report, path: Path) -> None:
    """Write the chart of a report as PNG: one bar a file, the reference on top.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    from matplotlib.figure import Figure

    rows = [row for row in report.rows if row.invoke is not None]
    shared = shared_prefix([row.name for row in report.results])
    names = [row.name.removeprefix(shared) + (" (float)" if row is report.reference else "") for row in rows]
    colors = [_COLORS[row.format or "keras"] for row in rows]
    figure = Figure(figsize=(10, 1.4 + 0.33 * len(rows)), dpi=120, layout="constrained")
    latency, size = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    positions = range(len(rows))

    # Points, not bars: a bar has no honest length on a logarithmic axis.
    medians = [_median_ms(row) for row in rows]
    latency.scatter(medians, positions, c=colors, s=60, zorder=3)
    latency.set_xscale("log")
    latency.grid(axis="x", which="both", alpha=0.25)
    latency.set_xlabel("median latency of one picture, ms")
    megabytes = [(row.size_bytes or 0) / 1e6 for row in rows]
    size.barh(positions, megabytes, color=colors, height=0.65)
    size.set_xlabel("file size, MB")
    size.tick_params(axis="y", length=0)
    for position, row, median, mega in zip(positions, rows, medians, megabytes, strict=True):
        latency.annotate(
            f"{median:.3g}", (median, position), (8, 0), textcoords="offset points", va="center", fontsize=8
        )
        told = f", {row.accuracy:.2f} %" if row.accuracy is not None else ""
        size.annotate(
            f"{mega:.2f}{told}", (mega, position), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    size.set_xlim(0, max(megabytes) * 1.35)  # room for the figures behind the bars
    latency.set_xlim(min(medians) / 1.3, max(medians) * 1.6)
    for axes in (latency, size):
        axes.spines[["top", "right"]].set_visible(False)
    latency.set_yticks(positions, names)
    latency.invert_yaxis()
    latency.set_title(f"{report.host.describe().partition(',')[0]}, {_threads(report)}", fontsize=10)
    size.set_title("size and top-1 accuracy", fontsize=10)
    title = shared.rstrip("_-") or "benchmark"
    figure.suptitle(f"{title} on {report.data}" if report.data else title, weight="bold")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_bytes(path, picture.getvalue())


def _median_ms(row: BenchmarkResult) -> float:
    return row.p50_ms or 0.0


def _threads(report: Report) -> str:
    counts = report.protocol.threads
    return "1 thread" if counts == (1,) else f"{' and '.join(map(str, counts))} threads"
