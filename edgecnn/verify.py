"""The gates of export: is the reference worth comparing with, and did a file keep what it knew?

This module must not know how a file was made: it runs any artifact beside the float reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.data import Dataset
from edgecnn.errors import CheckFailed, EdgecnnError, InputError
from edgecnn.metrics import Fidelity, chance_accuracy, fidelity, top1_accuracy
from edgecnn.pipeline import Pipeline
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import Runtime, open_runtime
from edgecnn.spec import ModelSpec

#: Largest drift of any sample that rounding alone explains, by recipe. float32: sums in another order
#: differ by 1e-6 to 4e-6; float16 has 11 significant bits, so weights move by up to 2^-11, which a
#: sharp softmax turns into about 0.01: five times that is no rounding.
MAX_DRIFT = {"float32": 1e-3, "float16": 5e-2}
#: Mean drift of a quantized file. A healthy int8 ResNet-8 has 0.03 on real pictures; a scale that is
#: wrong, yet leaves the order of the classes alone, shows here first.
MEAN_DRIFT = 0.1


@dataclass(frozen=True)
class Reference:
    """The float model's answers on the data: probabilities (N, C), accuracy in percent, device."""

    probabilities: npt.NDArray[np.float32]
    accuracy: float | None
    device: str

    @property
    def samples(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True)
class Verdict:
    """What verification found. Percentages for accuracy and agreement, points for their change."""

    passed: bool
    reason: str
    accuracy: float | None = None
    accuracy_change_points: float | None = None
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
    names = dataset.class_names
    if names is not None and all(name.casefold() in known for name in names) and len(known) == spec.classes:
        number = np.array([known[name.casefold()] for name in names], np.int64)
        return replace(dataset, classes=number[dataset.classes], class_names=spec.labels)
    if dataset.class_count > spec.classes or (names is not None and len(names) != spec.classes):
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
        floor: accuracy in percent that it must reach; ``None`` asks that it be no guess.

    Raises:
        CheckFailed: it does not: its feeding, its labels or the data are wrong.
    """
    probabilities = Pipeline(runtime, spec).probabilities(dataset.pictures, reporter, "float reference")
    if dataset.classes is None:
        return Reference(probabilities, None, runtime.device)
    accuracy = top1_accuracy(probabilities, dataset.classes)
    least = chance_accuracy(dataset.classes) if floor is None else floor
    if accuracy < least:
        what = "which is no better than a guess" if floor is None else f"below the floor of {floor:g} %"
        raise CheckFailed(
            f"the float model scores {accuracy:.2f} % on {dataset.name!r} ({len(dataset)} pictures), {what}",
            "check how it is fed (--scale --mean --std --color) and the order of its labels; --floor 0 goes on",
        )
    return Reference(probabilities, accuracy, runtime.device)


def verify(
    artifact: Artifact, dataset: Dataset, reference: Reference, *, max_drop: float, reporter: Reporter = SILENT
) -> Verdict:
    """Run a file, fed as its own contract says, on the data and judge it against the reference.

    Args:
        max_drop: accuracy, in points, that it may lose (agreement, where the data has no classes).
    """
    label = f"verify {artifact.format} {artifact.recipe_name}"
    try:
        spec = artifact.require_spec()
        probabilities = Pipeline(open_runtime(artifact), spec).probabilities(dataset.pictures, reporter, label)
    except EdgecnnError as error:
        return Verdict(False, error.message)
    if probabilities.shape != reference.probabilities.shape:
        return Verdict(
            False, f"it gives {probabilities.shape[1]} classes, the float model {reference.probabilities.shape[1]}"
        )
    found = fidelity(probabilities, reference.probabilities)
    accuracy = change = None
    lost = 100 - found.agreement
    if dataset.classes is not None and reference.accuracy is not None:
        accuracy = top1_accuracy(probabilities, dataset.classes)
        change = accuracy - reference.accuracy
        lost = -change
    reason = _complaint(artifact, found, lost, max_drop, "agreement" if accuracy is None else "accuracy")
    return Verdict(not reason, reason, accuracy, change, found.agreement, found.max_drift, found.mean_drift)


def _complaint(artifact: Artifact, found: Fidelity, lost: float, max_drop: float, measure: str) -> str:
    if lost > max_drop:
        return f"loses {lost:.2f} points of {measure}, {max_drop:g} allowed"
    allowed = MAX_DRIFT.get(artifact.recipe_name)
    if allowed is not None and found.max_drift > allowed:
        return f"a probability drifts by {found.max_drift:.4f}, rounding explains {allowed:g}"
    if found.mean_drift > MEAN_DRIFT:
        return f"probabilities drift by {found.mean_drift:.3f} on average, {MEAN_DRIFT:g} allowed"
    integer_io = artifact.recipe is not None and artifact.recipe.io == "integer"
    if integer_io and not all(tensor.is_quantized for tensor in (*artifact.inputs, *artifact.outputs)):
        return "its input or output stayed float32, the recipe promises integers"
    return ""
