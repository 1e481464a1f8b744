"""From a model's name and a data set to ``model.keras``, ``curves.png`` and ``history.json``.

A fixed seed gives the same weights on the CPU of one machine: see :func:`train`. This module must not know
the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgecnn.files import ensure_folder
from edgecnn.models.loading import import_keras
from edgecnn.models.registry import ModelEntry, build_model, model_entry
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import Head, InputSpec, ModelSpec
from edgecnn.training.plan import TrainingPlan
from edgecnn.training.results import TrainingResult, files_in, provenance, write_result
from edgecnn.training.splits import TrainingData, load_splits


def _model_spec(name: str, data: str, shape: tuple[int, int, int], labels: tuple[str, ...]) -> ModelSpec:
    height, width, channels = shape
    image = InputSpec(height, width, channels, color="gray" if channels == 1 else "rgb", scale=1 / 255)
    full_name = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{name}_{Path(data).stem}").strip("_")
    return ModelSpec(full_name, "classify", image, Head("probabilities"), labels)


def _provenance(
    entry: ModelEntry, data_name: str, data: TrainingData, plan: TrainingPlan, options: Mapping[str, float | str]
) -> dict[str, str]:
    of_model = {f"model_{option}": value for option, value in {**entry.options, **options}.items()}
    return provenance({"model": entry.name, **of_model}, data_name, data, _told(plan, data, entry))


def _told(plan: TrainingPlan, data: TrainingData, entry: ModelEntry) -> TrainingPlan:
    """Return the plan with the model's own numbers where nobody told one."""
    epochs = plan.epochs_for(len(data.train), entry.epochs)
    return replace(plan, epochs=epochs, learning_rate=plan.learning_rate or entry.learning_rate)


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
    from edgecnn.training.batches import PictureBatches
    from edgecnn.training.fitting import evaluate, fit

    history, best_epoch = fit(model, data, spec, _told(plan, data, entry), reporter=reporter)
    test_loss, test_accuracy = evaluate(model, PictureBatches(data.test, spec.input, plan.batch_size))
    result = TrainingResult(
        **files_in(out),
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
    write_result(result, bare, history, f"{model_name} on {Path(data_name).name}")
    return result
