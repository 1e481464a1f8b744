"""Fitting a Keras model to pictures, and measuring it: what every way of training shares.

This module must not know files or the command line.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from edgecnn.errors import InputError
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import ModelSpec
from edgecnn.training.batches import PictureBatches
from edgecnn.training.callbacks import EpochReport, KeepBest
from edgecnn.training.plan import TrainingPlan
from edgecnn.training.splits import TrainingData


def objective(spec: ModelSpec) -> dict[str, Any]:
    """Return the loss and the metrics that fit what the contract says of the output."""
    losses = {
        "probabilities": keras.losses.SparseCategoricalCrossentropy,
        "logits": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "binary": keras.losses.BinaryCrossentropy,
    }
    return {"loss": losses[spec.head.kind](), "metrics": ["accuracy"]}


def fit(
    model: Any,
    data: TrainingData,
    spec: ModelSpec,
    plan: TrainingPlan,
    *,
    start: tuple[float, float] | None = None,
    reporter: Reporter = SILENT,
) -> tuple[dict[str, list[float]], int]:
    """Train ``model`` in place, its best weights restored; return what every epoch measured, and the best epoch.

    Args:
        model: takes float32 as ``spec`` says.
        plan: with its epochs and its learning rate told.
        start: accuracy (0..1) and loss on the validation pictures before the first epoch, where those
            weights are to be kept unless an epoch is better: the best epoch is 0 then.

    Returns:
        ``loss``, ``val_loss``, ``accuracy``, ``val_accuracy`` (percent) per epoch; the best, counted from 1.

    Raises:
        InputError: the loss stopped being a number.
    """
    train = PictureBatches(
        data.train,
        spec.input,
        plan.batch_size,
        shuffle_seed=plan.seed,
        augmentations=plan.augment,
        reporter=reporter,
    )
    validation = PictureBatches(data.validation, spec.input, plan.batch_size, reporter=reporter)
    epochs = plan.epochs_for(len(data.train), 1)
    schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, decay_steps=epochs * len(train))
    model.compile(optimizer=keras.optimizers.Adam(schedule), **objective(spec))
    keeper = KeepBest(plan.patience, start)
    history: dict[str, list[float]] = model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # the batches shuffle themselves, by the plan's seed
        verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN(), keeper, EpochReport(reporter, epochs, len(train), keeper)],
    ).history
    if not all(map(math.isfinite, [*history["loss"], *history.get("val_loss", [math.nan])])):
        raise InputError("the loss is no longer a number: training diverged", "choose a smaller --lr")
    units = {"accuracy": 100.0, "val_accuracy": 100.0}  # Keras counts 0..1
    measured = {name: [units.get(name, 1.0) * float(value) for value in values] for name, values in history.items()}
    return measured, keeper.best_epoch


def evaluate(model: Any, batches: PictureBatches) -> tuple[float, float]:
    """Return the loss and the accuracy (percent) of a compiled model."""
    measured = model.evaluate(batches, verbose=0, return_dict=True)
    return float(measured["loss"]), 100 * float(measured["accuracy"])
