"""The error along the depth of the network as a picture. Needs matplotlib.

This module must not know how anything was measured.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecnn.debug.results import ComparedLayer, DebugReport
from edgecnn.files import write_bytes

# Okabe and Ito's palette, told apart by colour-blind readers too.
_SQNR, _HARM, _CALM, _TEXT = "#0072b2", "#d55e00", "#aaaaaa", "#333333"
_NAMED = 3
#: Names below the axis: all while they can be read, then every k-th.
_MOST_TICKS = 60


def draw_layers(report: DebugReport, path: Path) -> None:
    """Write the chart as PNG: signal to noise above, harm below, layers in the order of execution.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    from matplotlib.figure import Figure

    layers = report.in_order()
    width = min(max(8.0, 3.5 + 0.3 * len(layers)), 22.0)
    figure = Figure(figsize=(width, 6.6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    worst = _worst(report)
    _draw_sqnr(above, layers, worst)
    _draw_harm(below, layers, worst, report.answers.chance_points)
    step = -(-len(layers) // _MOST_TICKS)
    ticks = range(0, len(layers), step)
    below.set_xticks(
        ticks, [layers[i].name for i in ticks], rotation=60, ha="right", rotation_mode="anchor", fontsize=8
    )
    for label, i in zip(below.get_xticklabels(), ticks, strict=True):
        if layers[i].name in worst:
            label.set(color=_HARM, weight="bold")
    below.set_xlim(-0.6, len(layers) - 0.4)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
    figure.suptitle(f"{report.file.name} beside {report.reference.name}", weight="bold")
    caption = "\n".join(textwrap.wrap(report.findings[0].text, int(width * 12)))
    above.set_title(caption, fontsize=9.5, loc="left", color=_TEXT)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_bytes(path, picture.getvalue())


def _worst(report: DebugReport) -> set[str]:
    """Return the names of the layers worth naming: those that cost more than luck; without any, the noisiest one."""
    harmful = [layer.name for layer in report.layers if report.answers.counts(layer.harm_points or 0.0)]
    noisy = sorted(
        (layer for layer in report.layers if layer.signal.sqnr_db is not None),
        key=lambda layer: layer.signal.sqnr_db or 0.0,
    )
    return set(harmful[:_NAMED] or [layer.name for layer in noisy[:1]])


def _draw_sqnr(axes: Any, layers: Sequence[ComparedLayer], worst: set[str]) -> None:
    known = [(i, layer) for i, layer in enumerate(layers) if layer.signal.sqnr_db is not None]
    finite = [layer.signal.sqnr_db for _, layer in known if not layer.is_identical]
    ceiling = max([value for value in finite if value is not None], default=0.0)
    heights = [ceiling if layer.is_identical else (layer.signal.sqnr_db or 0.0) for _, layer in known]
    places = [i for i, _ in known]
    colors = [_HARM if layer.name in worst else _SQNR for _, layer in known]
    axes.plot(places, heights, color=_SQNR, linewidth=1.4, alpha=0.6, zorder=2)
    axes.scatter(places, heights, c=colors, s=34, zorder=3)
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    room = max(high - low, 4.0)
    axes.set_ylim(low - 0.12 * room, high + 0.22 * room)
    for place, (_, layer), height in zip(places, known, heights, strict=True):
        if layer.name in worst or layer.is_identical:
            text = "identical" if layer.is_identical else f"{layer.name}\n{layer.sqnr_text} dB"
            axes.annotate(
                text, (place, height), (0, 7), textcoords="offset points", fontsize=8, ha="center", va="bottom",
                color=_HARM if layer.name in worst else _TEXT, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
            )  # fmt: skip
    axes.set_ylabel("signal to quantization noise, dB")


def _draw_harm(axes: Any, layers: Sequence[ComparedLayer], worst: set[str], chance: float) -> None:
    points = [layer.harm_points for layer in layers]
    if all(value is None for value in points):
        axes.set_yticks([])
        axes.text(0.5, 0.5, "harm is not measured: activations are not int8", transform=axes.transAxes, ha="center")
        return
    heights = [value or 0.0 for value in points]
    colors = [_HARM if layer.name in worst else _CALM for layer in layers]
    axes.bar(range(len(layers)), heights, color=colors, width=0.7)
    axes.axhline(0, color=_TEXT, linewidth=0.8)
    axes.axhspan(-chance, chance, color=_CALM, alpha=0.22, linewidth=0, zorder=0)
    axes.text(
        0.995, chance, f"within {chance:.2g} points: luck ", transform=axes.get_yaxis_transform(), fontsize=7.5,
        ha="right", va="bottom", color="#777777",
    )  # fmt: skip
    low, high = min(*heights, 0.0), max(*heights, chance)
    room = high - low
    axes.set_ylim(low - (0.12 * room if low < 0 else 0), high + 0.2 * room)
    for i, layer in enumerate(layers):
        if layer.name in worst and layer.harm_points:
            axes.annotate(
                f"{layer.harm_points:+.1f}", (i, heights[i]), (0, 3), textcoords="offset points", ha="center",
                fontsize=8, color=_HARM, weight="bold",
            )  # fmt: skip
        elif layer.harm_points is None:
            axes.annotate("n/a", (i, 0), (0, 3), textcoords="offset points", ha="center", fontsize=7, color=_TEXT)
    axes.set_ylabel("harm alone, points")
