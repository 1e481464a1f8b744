"""The numbers of a training run."""

from __future__ import annotations

import pytest

from edgecnn.errors import InputError
from edgecnn.training import TrainingPlan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("patience", -1),
        ("limit", 0),
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_impossible_numbers_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        TrainingPlan(**{field: value})  # type: ignore[arg-type]
    assert caught.value.remedy.startswith("--")


def test_small_data_gets_more_epochs_and_a_told_number_wins() -> None:
    assert TrainingPlan(batch_size=100).epochs_for(54_000, default=10) == 10
    assert TrainingPlan(batch_size=100).epochs_for(1_000, default=10) == 40
    assert TrainingPlan(batch_size=100, epochs=3).epochs_for(1_000, default=10) == 3
    assert TrainingPlan(batch_size=100).steps_per_epoch(101) == 2
