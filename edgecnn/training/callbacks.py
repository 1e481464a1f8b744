"""The best epoch is kept; every epoch is told, with a bar where somebody watches.

This module must not know data or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from edgecnn.reporter import Reporter


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Keeps the weights of the best epoch, restores them at the end, stops when no better ones come.

    Best is the highest validation accuracy and, among equals, the lowest validation loss: the
    accuracy of a small validation set has many ties, while the loss alone rises with
    overconfidence although the accuracy still grows.

    Args:
        patience: epochs without a better one after which training stops.
        start: validation accuracy (0..1) and loss before the first epoch, where those weights are
            to be kept unless an epoch is better.

    ``best_epoch`` counts from 1; 0 while no epoch had a finite loss, or none was better than ``start``.
    """

    def __init__(self, patience: int, start: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.best_epoch = 0
        self._patience = patience
        self._start = start
        self._best = (-math.inf, -math.inf) if start is None else (start[0], -start[1])
        self._weights: list[Any] | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._start is not None:
            self._weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        told = logs or {}
        loss = float(told.get("val_loss", math.nan))
        reached = (float(told.get("val_accuracy", -math.inf)), -loss)
        if math.isfinite(loss) and reached > self._best:
            self._best, self.best_epoch = reached, epoch + 1
            self._weights = self.model.get_weights()
        elif epoch + 1 - self.best_epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)


class EpochReport(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Tells a reporter how training goes.

    Args:
        reporter: gets the bar of every epoch and the line at its end.
        epochs: of the whole run.
        steps: per epoch.
        keeper: knows which epoch is the best; must come before this one in the list of callbacks.
    """

    def __init__(self, reporter: Reporter, epochs: int, steps: int, keeper: KeepBest) -> None:
        super().__init__()
        self._reporter = reporter
        self._epochs = epochs
        self._steps = steps
        self._bar: Iterator[int] = iter(())
        self._keeper = keeper

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._bar = self._reporter.progress(range(self._steps), f"epoch {epoch + 1}/{self._epochs}", self._steps)
        next(self._bar, None)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        next(self._bar, None)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for _ in self._bar:  # a bar that is not run to its end stays on the screen
            pass
        told = logs or {}
        val_loss = float(told.get("val_loss", math.nan))
        width = len(str(self._epochs))
        self._reporter.say(
            f"epoch {epoch + 1:{width}}/{self._epochs}"
            f"  loss {float(told['loss']):.4f}  accuracy {100 * float(told['accuracy']):6.2f} %"
            f"  validation loss {val_loss:.4f}  accuracy {100 * float(told['val_accuracy']):6.2f} %"
            f"{'  best' if self._keeper.best_epoch == epoch + 1 else ''}"
        )
