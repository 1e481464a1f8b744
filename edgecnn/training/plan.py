"""What a training run is asked to do. This module must not know Keras, models or pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecnn.errors import InputError
from edgecnn.training.augment import check_augmentations

LARGEST_SEED = 2**32 - 1
#: A small data set gets more epochs, so that the optimizer takes at least so many steps.
LEAST_STEPS = 400


@dataclass(frozen=True)
class TrainingPlan:
    """The numbers of one training run.

    Args:
        epochs: passes over the training pictures; ``None`` for the model's own number, raised for
            small data until the optimizer takes 400 steps.
        batch_size: pictures per step.
        learning_rate: the peak, for Adam; falls to 0 over the run along a half cosine. ``None``
            for the model's own.
        patience: training stops after so many epochs without a higher validation accuracy (or an equal
            one with a lower loss).
        seed: of the weights, of the order of the pictures and of the validation draw.
        limit: train on so many pictures, drawn class-balanced; ``None`` for all.
        augment: names of :data:`edgecnn.training.augment.AUGMENTATIONS`; training pictures only.

    Raises:
        InputError: a number is impossible.
    """

    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float | None = None
    patience: int = 8
    seed: int = 0
    limit: int | None = None
    augment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, option in (
            ("epochs", "--epochs"),
            ("batch_size", "--batch-size"),
            ("patience", "--patience"),
            ("limit", "--limit"),
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{option} must be at least 1, not {value}", f"{option} 10")
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and 0 < rate <= 1):
            raise InputError(f"--lr must be over 0 and up to 1, not {rate}", "--lr 0.001")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"--seed must be 0 to {LARGEST_SEED}, not {self.seed}", "--seed 0")
        object.__setattr__(self, "augment", check_augmentations(self.augment))

    def epochs_for(self, samples: int, default: int) -> int:
        """Return the number of epochs over ``samples`` pictures for a model that asks for ``default``."""
        if self.epochs is not None:
            return self.epochs
        return max(default, math.ceil(LEAST_STEPS / self.steps_per_epoch(samples)))

    def steps_per_epoch(self, samples: int) -> int:
        """Return the number of batches in ``samples`` pictures, the last one perhaps smaller."""
        return math.ceil(samples / self.batch_size)
