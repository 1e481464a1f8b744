"""Learning curves as a picture. This module must not know models or Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgecnn.files import atomic_path

# Two colours that stay apart for colour-blind readers (Okabe and Ito's palette).
_TRAIN_COLOR, _VALIDATION_COLOR, _TEST_COLOR = "#0072B2", "#D55E00", "#555555"


def draw_curves(
    history: Mapping[str, Sequence[float]], path: Path, *, title: str, best_epoch: int, test_accuracy: float
) -> None:
    """Write the loss and the accuracy of every epoch to a PNG, atomically.

    Args:
        history: ``loss``, ``val_loss`` (cross-entropy), ``accuracy``, ``val_accuracy``
            (percent), one value per epoch each.
        path: of the PNG.
        title: over both panels.
        best_epoch: counted from 1; the one whose weights were kept.
        test_accuracy: percent, measured with those weights.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold")
    epochs = range(1, len(history["loss"]) + 1)
    panels = (("loss", "Cross-entropy loss"), ("accuracy", "Accuracy (%)"))
    for axes, (key, label) in zip(figure.subplots(1, 2), panels, strict=True):
        for name, color, kind in ((key, _TRAIN_COLOR, "training"), (f"val_{key}", _VALIDATION_COLOR, "validation")):
            axes.plot(epochs, history[name], color=color, label=kind, linewidth=1.8, marker="o", markersize=3.5)
        if key == "accuracy":
            text = f"test {test_accuracy:.2f} %"
            axes.axhline(test_accuracy, color=_TEST_COLOR, linestyle=":", linewidth=1.4, label=text)
        axes.axvline(
            best_epoch, color=_TEST_COLOR, linewidth=0.9, alpha=0.6, label=f"weights kept (epoch {best_epoch})"
        )
        axes.set(xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
