"""What a training run leaves behind: its figures, its files, and what repeats it.

This module must not know how a model is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn import __version__
from edgecnn.files import write_json
from edgecnn.spec import ModelSpec
from edgecnn.training.plan import TrainingPlan
from edgecnn.training.splits import TrainingData

HISTORY_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left behind.

    Args:
        model, curves, history: the files written.
        spec: the contract inside the model file.
        parameters: of the model, those of its normalizations included.
        samples: pictures per split: ``train``, ``validation``, ``test``.
        epochs: run, after early stopping.
        best_epoch: counted from 1; its weights were kept.
        validation_accuracy, test_accuracy: percent, with the weights kept.
        test_loss: mean cross-entropy on the test split (plus the model's weight decay, if any).
        provenance: as written into the model file.
    """

    model: Path
    curves: Path
    history: Path
    spec: ModelSpec
    parameters: int
    samples: Mapping[str, int]
    epochs: int
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    provenance: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, paths as text."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        files = {name: str(document.pop(name)) for name in ("model", "curves", "history")}
        return {
            **files,
            **document,
            "spec": self.spec.to_dict(),
            "samples": dict(self.samples),
            "provenance": dict(self.provenance),
        }


def files_in(out: Path) -> dict[str, Path]:
    """Return where a run writes its three files, by the names of :class:`TrainingResult`."""
    return {"model": out / "model.keras", "curves": out / "curves.png", "history": out / "history.json"}


def provenance(facts: Mapping[str, object], data_name: str, data: TrainingData, plan: TrainingPlan) -> dict[str, str]:
    """Return what repeats a training: no dates and no paths of a machine, so equal runs write equal files.

    Args:
        facts: of the model, ``None`` where one does not apply.
        plan: with its epochs and its learning rate told.
    """
    import keras

    known: dict[str, object] = {
        "edgecnn": __version__,
        "keras": keras.__version__,
        "keras_backend": keras.backend.backend(),
        **facts,
        "data": Path(data_name).name,
        **{f"{split}_samples": count for split, count in data.counts().items()},
        **asdict(plan),
        "augment": ",".join(plan.augment) or None,
    }
    if isinstance(data.train.pictures, np.ndarray):  # a folder would have to be read once more
        known["train_sha256"] = data.train.sha256()
    return {name: str(value) for name, value in known.items() if value is not None}


def write_result(
    result: TrainingResult,
    model: Any,
    history: Mapping[str, list[float]],
    title: str,
    trained_ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Write the three files of a run, each whole or not at all.

    Args:
        result: says where.
        model: the Keras model to save, not compiled.
        history: what every epoch measured, see :func:`~edgecnn.training.curves.draw_curves`.
        title: over the curves.
        trained_ranges: of the layers' outputs, for the model's contract.

    Raises:
        OutputError: a file cannot be written.
    """
    from edgecnn.training.curves import draw_curves
    from edgecnn.training.save import save_model

    save_model(model, result.model, result.spec, result.provenance, trained_ranges)
    document = {
        name: value for name, value in result.to_dict().items() if name not in ("model", "curves", "history", "spec")
    }
    write_json(result.history, {"schema_version": HISTORY_SCHEMA_VERSION, **document, "per_epoch": dict(history)})
    draw_curves(history, result.curves, title=title, best_epoch=result.best_epoch, test_accuracy=result.test_accuracy)
