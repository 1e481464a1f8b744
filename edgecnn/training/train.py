"""From a model's name and a data set to ``model.keras``, ``curves.png`` and ``history.json``.

A fixed seed gives the same weights on the CPU of one machine: see :func:`train`. This module must not know
the command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecnn import __version__
from edgecnn.errors import InputError
from edgecnn.files import ensure_folder, write_json
from edgecnn.models.loading import import_keras
from edgecnn.models.registry import ModelEntry, build_model, model_entry
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import Head, InputSpec, ModelSpec
from edgecnn.training.plan import TrainingPlan
from edgecnn.training.splits import TrainingData, load_splits

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


def _model_spec(name: str, data: str, shape: tuple[int, int, int], labels: tuple[str, ...]) -> ModelSpec:
    height, width, channels = shape
    image = InputSpec(height, width, channels, color="gray" if channels == 1 else "rgb", scale=1 / 255)
    full_name = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{name}_{Path(data).stem}").strip("_")
    return ModelSpec(full_name, "classify", image, Head("probabilities"), labels)


def _fit(
    model: Any, data: TrainingData, spec: ModelSpec, plan: TrainingPlan, entry: ModelEntry, reporter: Reporter
) -> tuple[dict[str, list[float]], int]:
    """Train ``model`` in place, its best weights restored; return what every epoch measured, and the best epoch.

    Accuracies are percent.
    """
    import keras

    from edgecnn.training.batches import PictureBatches
    from edgecnn.training.callbacks import EpochReport, KeepBest

    train_batches = PictureBatches(
        data.train,
        spec.input,
        plan.batch_size,
        shuffle_seed=plan.seed,
        augmentations=plan.augment,
        reporter=reporter,
    )
    validation_batches = PictureBatches(data.validation, spec.input, plan.batch_size, reporter=reporter)
    epochs = plan.epochs_for(len(data.train), entry.epochs)
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate or entry.learning_rate, decay_steps=epochs * len(train_batches)
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    keeper = KeepBest(plan.patience)
    history: dict[str, list[float]] = model.fit(
        train_batches,
        validation_data=validation_batches,
        epochs=epochs,
        shuffle=False,  # the batches shuffle themselves, by the plan's seed
        verbose=0,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keeper,
            EpochReport(reporter, epochs, len(train_batches), keeper),
        ],
    ).history
    if not all(map(math.isfinite, [*history["loss"], *history.get("val_loss", [math.nan])])):
        raise InputError("the loss is no longer a number: training diverged", "choose a smaller --lr")
    units = {"accuracy": 100.0, "val_accuracy": 100.0}  # Keras counts 0..1
    measured = {name: [units.get(name, 1.0) * float(value) for value in values] for name, values in history.items()}
    return measured, keeper.best_epoch


def _evaluate(model: Any, data: TrainingData, spec: ModelSpec, plan: TrainingPlan) -> tuple[float, float]:
    """Return the loss and the accuracy (percent) on the test pictures."""
    from edgecnn.training.batches import PictureBatches

    measured = model.evaluate(PictureBatches(data.test, spec.input, plan.batch_size), verbose=0, return_dict=True)
    return float(measured["loss"]), 100 * float(measured["accuracy"])


def _provenance(
    entry: ModelEntry, data_name: str, data: TrainingData, plan: TrainingPlan, options: Mapping[str, float | str]
) -> dict[str, str]:
    """Return what repeats this training: no dates and no paths of a machine, so equal runs write equal files."""
    import keras
    import numpy as np

    facts: dict[str, object] = {
        "edgecnn": __version__,
        "keras": keras.__version__,
        "keras_backend": keras.backend.backend(),
        "model": entry.name,
        **{f"model_{option}": value for option, value in {**entry.options, **options}.items()},
        "data": Path(data_name).name,
        **{f"{split}_samples": count for split, count in data.counts().items()},
        **asdict(plan),
        "epochs": plan.epochs_for(len(data.train), entry.epochs),
        "learning_rate": plan.learning_rate or entry.learning_rate,
        "augment": ",".join(plan.augment) or None,
    }
    if isinstance(data.train.pictures, np.ndarray):  # a folder would have to be read once more
        facts["train_sha256"] = data.train.sha256()
    return {name: str(value) for name, value in facts.items() if value is not None}


def train(
    model_name: str,
    data_name: str,
    out: Path,
    plan: TrainingPlan | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    options: Mapping[str, float | str] | None = None,
    reporter: Reporter = SILENT,
) -> TrainingResult:
    """Train a model of the zoo and write it, its curves and its history to a folder.

    Adam on the cross-entropy, the learning rate falling to 0 along a half cosine; training stops
    early when the validation accuracy does not rise any more, and the weights of its highest value
    are kept (among equals, of the lowest validation loss). Test pictures are looked at once, at the end.

    The same seed gives the same weights, byte for byte, on the CPU of one machine with the same
    versions, backend and number of threads. GPU kernels of JAX and PyTorch are not covered: they may
    add in another order. On TensorFlow that needs ``TF_DETERMINISTIC_OPS=1`` in the
    environment before Keras is imported; ``edgecnn train`` sets it.

    Args:
        model_name: one of :data:`edgecnn.models.MODELS`.
        data_name: the grammar of :func:`edgecnn.data.load_data`; classes and labels follow from it.
        out: folder; checked before training starts.
        plan: the numbers of the run; ``None`` for the model's defaults.
        input_size: height and width in pixels; the model's default when ``None``.
        channels: 1 feeds grey, 3 RGB, whatever the pictures are; as the pictures when ``None``.
        options: of the model, as its entry lists them.
        reporter: is told how it goes.

    Raises:
        InputError: unknown names, impossible numbers, data that cannot train; or the loss stopped
            being a number.
        OutputError: ``out`` cannot be written.
    """
    plan = plan or TrainingPlan()
    entry = model_entry(model_name)
    chosen = dict(options or {})
    ensure_folder(out)
    data = load_splits(data_name, limit=plan.limit, seed=plan.seed, reporter=reporter)
    keras = import_keras()
    shape = (*(input_size or entry.input_shape[:2]), channels or data.channels)
    keras.utils.set_random_seed(plan.seed)
    model = build_model(model_name, shape, len(data.labels), **chosen)
    spec = _model_spec(model_name, data_name, shape, data.labels)
    reporter.say(
        f"{model_name}: {'x'.join(map(str, shape))}, {len(data.labels)} classes, {model.count_params():,} parameters; "
        f"pictures: {', '.join(f'{count:,} {split}' for split, count in data.counts().items())}"
    )
    history, best_epoch = _fit(model, data, spec, plan, entry, reporter)
    test_loss, test_accuracy = _evaluate(model, data, spec, plan)
    result = TrainingResult(
        model=out / "model.keras",
        curves=out / "curves.png",
        history=out / "history.json",
        spec=spec,
        parameters=int(model.count_params()),
        samples=data.counts(),
        epochs=len(history["loss"]),
        best_epoch=best_epoch,
        validation_accuracy=history["val_accuracy"][best_epoch - 1],
        test_accuracy=test_accuracy,
        test_loss=test_loss,
        provenance=_provenance(entry, data_name, data, plan, chosen),
    )
    # A fresh model holds no optimizer, whose state would triple the file.
    bare = build_model(model_name, shape, len(data.labels), **chosen)
    bare.set_weights(model.get_weights())
    _write(result, bare, history, f"{model_name} on {Path(data_name).name}")
    return result


def _write(result: TrainingResult, model: Any, history: Mapping[str, list[float]], title: str) -> None:
    from edgecnn.training.curves import draw_curves
    from edgecnn.training.save import save_model

    save_model(model, result.model, result.spec, result.provenance)
    document = {
        name: value for name, value in result.to_dict().items() if name not in ("model", "curves", "history", "spec")
    }
    write_json(result.history, {"schema_version": HISTORY_SCHEMA_VERSION, **document, "per_epoch": dict(history)})
    draw_curves(history, result.curves, title=title, best_epoch=result.best_epoch, test_accuracy=result.test_accuracy)
