"""The comparison as people read it: a table for the terminal, CSV, and the files of ``--out``.

This module must not know how anything was measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edgecnn.debug.results import ComparedLayer, DebugReport
from edgecnn.files import write_json, write_text

HEADER = ("layer", "op", "SQNR dB", "cosine", "float range", "scale", "zero", "channels differ", "dead", "harm points")
#: Columns of the CSV: the keys of a layer's JSON, with the range in two columns.
_CSV = (
    "layer", "op", "depth", "sqnr_db", "identical", "cosine", "float_low", "float_high", "scale", "zero_point", "dtype",
    "harm_points", "channels", "dead_channels", "channel_ratio", "clipped_share", "tensor",
)  # fmt: skip
_LONGEST_NAME = 34
#: Of channels whose ranges differ by more, the weaker one is next to nothing.
_RATIO_SHOWN = 9999


def table_rows(layers: Sequence[ComparedLayer]) -> list[list[str]]:
    """Return one row of :data:`HEADER` per layer."""
    return [_row(layer) for layer in layers]


def _row(layer: ComparedLayer) -> list[str]:
    signal, quant, ratio = layer.signal, layer.signal.quant, layer.signal.channel_ratio
    low, high = signal.float_range
    name = layer.name if len(layer.name) <= _LONGEST_NAME else f"…{layer.name[1 - _LONGEST_NAME :]}"
    return [
        name,
        layer.op,
        layer.sqnr_text,
        "-" if signal.cosine is None else f"{signal.cosine:.4f}",
        f"[{low:.4g}, {high:.4g}]",
        "-" if quant is None else f"{quant.scale:.4g}",
        "-" if quant is None else str(quant.zero_point),
        "-" if ratio is None else f"{ratio:.3g}x" if ratio < _RATIO_SHOWN else f">{_RATIO_SHOWN:.0f}x",
        str(signal.dead_channels or "-"),
        "-" if layer.harm_points is None else f"{layer.harm_points + 0.0:+.2f}",
    ]


def summary_lines(report: DebugReport) -> list[str]:
    """Return what both models answer, in a line or two."""
    answers = report.answers
    lines = [f"{answers.pictures} pictures of {report.data}: agreement {answers.agreement:.2f} %"]
    if answers.float_accuracy is not None and answers.file_accuracy is not None:
        lines[0] += f", accuracy {answers.float_accuracy:.2f} % float, {answers.file_accuracy:.2f} % quantized"
    if report.matched_by == "order":
        lines.append("the file's names tell no layers: tensors were matched by the order of operators and their shapes")
    if report.not_compared:
        lines.append(f"not compared, the file has no tensor of: {', '.join(report.not_compared)}")
    return lines


def csv_text(report: DebugReport) -> str:
    """Return one line per layer, most harmful first, figures in full, empty where there is none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _CSV, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for layer in report.layers:
        record = layer.to_dict()
        record["float_low"], record["float_high"] = record["float_range"]
        writer.writerow(record)
    return stream.getvalue()


def write_report(report: DebugReport, folder: Path) -> list[Path]:
    """Write ``layers.csv``, ``layers.png`` and ``debug.json``; return their paths.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from edgecnn.debug.chart import draw_layers

    paths = [folder / name for name in ("layers.csv", "layers.png", "debug.json")]
    write_text(paths[0], csv_text(report))
    draw_layers(report, paths[1])
    write_json(paths[2], report.to_dict())
    return paths
