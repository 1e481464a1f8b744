"""The gates of export: is the reference worth comparing with, and did a file keep what it knew?

This module must not know how a file was made: it runs any artifact beside the float reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.data import Dataset
from edgecnn.errors import CheckFailed, EngineError, InputError
from edgecnn.metrics import (
    GUESSING_LEVEL,
    Fidelity,
    fidelity,
    guessing_probability,
    paired_change_interval,
    top1_accuracy,
)
from edgecnn.pipeline import Pipeline
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import Runtime, open_runtime
from edgecnn.spec import ModelSpec

#: Largest drift of any sample that rounding alone explains, by recipe. float32: sums in another order
#: differ by 1e-6 to 4e-6; float16 has 11 significant bits, so weights move by up to 2^-11, which a
#: sharp softmax turns into about 0.01: five times that is no rounding.
MAX_DRIFT = {"float32": 1e-3, "float16": 5e-2}
#: Mean drift of a quantized file. A healthy int8 ResNet-8 has 0.025 on real pictures; four times that
#: is no longer rounding, even where the order of the classes survives.
MEAN_DRIFT = 0.1
#: Confidence ratio of a quantized file: a wrong output scale leaves the order of the classes alone.
CONFIDENCE_RATIO = (1 / 1.12, 1.12)


#: Beyond 0..1 by more than rounding, a number is no probability.
_NO_PROBABILITY = 1e-3
#: A budget in points times a count of pictures is a float; a loss equal to it must pass.
_COUNT_TOLERANCE = 1e-6
_CHECK_FEEDING = "check how it is fed (--scale --mean --std --color) and the order of its labels; --floor 0 goes on"


@dataclass(frozen=True)
class Reference:
    """The float model's answers on the data: probabilities (N, C), accuracy in percent, device."""

    probabilities: npt.NDArray[np.float32]
    accuracy: float | None
    device: str

    @property
    def samples(self) -> int:
        return len(self.probabilities)

    def to_dict(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "samples": self.samples, "device": self.device}


@dataclass(frozen=True)
class Verdict:
    """What verification found. Percentages for accuracy and agreement, points for their change.

    ``change_ci95_points`` is the 95 % interval of the change: what the samples can show of it.
    """

    passed: bool
    reason: str
    accuracy: float | None = None
    accuracy_change_points: float | None = None
    change_ci95_points: tuple[float, float] | None = None
    agreement: float | None = None
    max_drift: float | None = None
    mean_drift: float | None = None


def align_classes(dataset: Dataset, spec: ModelSpec) -> Dataset:
    """Return the data with classes counted as the contract's labels count them.

    Class names that are all among the labels are matched by name; otherwise the order must stand
    for itself, and the counts must be equal.

    Raises:
        InputError: the data and the model do not have the same classes.
    """
    if dataset.classes is None:
        return dataset
    known = {label.casefold(): index for index, label in enumerate(spec.labels)}
    names = [name.casefold() for name in dataset.class_names or ()]
    strange = [name for name in names if name not in known]
    if names and not strange and len(known) == spec.classes:
        number = np.array([known[name] for name in names], np.int64)
        return replace(dataset, classes=number[dataset.classes], class_names=spec.labels)
    if 0 < len(strange) < len(names):
        raise InputError(
            f"some classes of data {dataset.name!r} are no labels of the model: {', '.join(strange[:5])}",
            "spell them alike: rename the folders, or give the model's labels with --labels FILE",
        )
    if dataset.class_count > spec.classes or (names and len(names) != spec.classes):
        raise InputError(
            f"data {dataset.name!r} has {dataset.class_count} classes, the model has {spec.classes}",
            "give the data that the model was trained for",
        )
    return dataset


def measure_reference(
    runtime: Runtime, spec: ModelSpec, dataset: Dataset, *, floor: float | None = None, reporter: Reporter = SILENT
) -> Reference:
    """Run the float model over the data.

    Args:
        floor: accuracy in percent that it must reach; ``None`` asks that it be no guess, 0 asks nothing.

    Raises:
        CheckFailed: it does not: its feeding, its labels or the data are wrong.
        InputError: its output is not what the contract's head says.
    """
    probabilities = Pipeline(runtime, spec).probabilities(dataset.pictures, reporter, "float reference")
    low, high = float(probabilities.min()), float(probabilities.max())
    if low < -_NO_PROBABILITY or high > 1 + _NO_PROBABILITY:
        raise InputError(
            f"the float model's output goes from {low:.3g} to {high:.3g}: these are no probabilities",
            "say --head logits, if they are scores before a softmax",
        )
    if dataset.classes is None:
        if floor is None and len(np.unique(probabilities.argmax(axis=1))) == 1 < len(probabilities):
            raise CheckFailed(
                f"the float model names the same class for all {len(probabilities)} pictures of {dataset.name!r}",
                _CHECK_FEEDING,
            )
        return Reference(probabilities, None, runtime.device)
    accuracy = top1_accuracy(probabilities, dataset.classes)
    complaint = _guessing(probabilities, dataset.classes) if floor is None else ""
    if floor is not None and accuracy < floor:
        complaint = f"below the floor of {floor:g} %"
    if complaint:
        raise CheckFailed(
            f"the float model scores {accuracy:.2f} % on {dataset.name!r} ({len(dataset)} pictures), {complaint}",
            _CHECK_FEEDING,
        )
    return Reference(probabilities, accuracy, runtime.device)


def _guessing(probabilities: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]) -> str:
    """Return what is wrong with a model that cannot be told from a guesser, or with data that cannot tell."""
    if guessing_probability(len(classes), classes) > GUESSING_LEVEL:
        return "but these are too few pictures, or classes, to tell any model from a guess"
    correct = int((probabilities.argmax(axis=1) == classes).sum())
    return "which is no better than a guess" if guessing_probability(correct, classes) > GUESSING_LEVEL else ""


def verify(
    artifact: Artifact, dataset: Dataset, reference: Reference, *, max_drop: float, reporter: Reporter = SILENT
) -> Verdict:
    """Run a file, fed as its own contract says, on the data and judge it against the reference.

    Args:
        max_drop: accuracy, in points, that it may lose (agreement, where the data has no classes).

    Raises:
        MissingDependency: the engine that runs it is not installed.
    """
    label = f"verify {artifact.format} {artifact.recipe_name}"
    try:
        spec = artifact.require_spec()
        probabilities = Pipeline(open_runtime(artifact), spec).probabilities(dataset.pictures, reporter, label)
    except (EngineError, InputError) as error:
        return Verdict(False, error.message)
    if probabilities.shape != reference.probabilities.shape:
        classes, wanted = probabilities.shape[1], reference.probabilities.shape[1]
        return Verdict(False, f"it gives {classes} classes, the float model {wanted}")
    found = fidelity(probabilities, reference.probabilities)
    accuracy = change = interval = None
    samples = len(probabilities)
    lost = int((probabilities.argmax(axis=1) != reference.probabilities.argmax(axis=1)).sum())
    if dataset.classes is not None and reference.accuracy is not None:
        right = probabilities.argmax(axis=1) == dataset.classes
        was_right = reference.probabilities.argmax(axis=1) == dataset.classes
        wins, losses = int((right & ~was_right).sum()), int((was_right & ~right).sum())
        lost = losses - wins
        accuracy, change = float(right.mean() * 100), (wins - losses) / samples * 100
        interval = paired_change_interval(wins, losses, samples)
    measure = "agreement" if accuracy is None else "accuracy"
    reason = _complaint(artifact, found)
    if lost > max_drop * samples / 100 + _COUNT_TOLERANCE:
        reason = f"loses {lost / samples * 100:.2f} points of {measure}, {max_drop:g} allowed"
    return Verdict(not reason, reason, accuracy, change, interval, found.agreement, found.max_drift, found.mean_drift)


def _complaint(artifact: Artifact, found: Fidelity) -> str:
    """Return what is wrong with a file's answers, whatever their accuracy; empty where nothing is."""
    allowed = MAX_DRIFT.get(artifact.recipe_name)
    if allowed is not None and found.max_drift > allowed:
        return f"a probability drifts by {found.max_drift:.4f}, rounding explains {allowed:g}"
    if found.mean_drift > MEAN_DRIFT:
        return f"probabilities drift by {found.mean_drift:.3f} on average, {MEAN_DRIFT:g} allowed"
    least, most = CONFIDENCE_RATIO
    if not least <= found.confidence_ratio <= most:
        return f"its confidence is {found.confidence_ratio:.2f} times the float model's: a scale is wrong"
    integer_io = artifact.recipe is not None and artifact.recipe.io == "integer"
    if integer_io and not all(tensor.is_quantized for tensor in (*artifact.inputs, *artifact.outputs)):
        return "its input or output stayed float32, the recipe promises integers"
    return ""
