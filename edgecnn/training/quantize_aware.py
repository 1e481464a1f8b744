"""Quantization-aware training: a trained float model learns to live with int8.

This module must not know the command line, nor which files will be made of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.errors import InputError
from edgecnn.files import ensure_folder
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import ModelSpec
from edgecnn.training.plan import TrainingPlan
from edgecnn.training.results import TrainingResult, files_in, provenance, write_result
from edgecnn.training.splits import TrainingData

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact
    from edgecnn.fakequant import FakeQuantizedModel

#: Fine-tuning needs few passes at a small rate (Krishnamoorthi, "Quantizing deep convolutional networks
#: for efficient inference: A whitepaper", 2018, section 3.2).
DEFAULT_EPOCHS = 3
DEFAULT_LEARNING_RATE = 2e-4
#: Training pictures whose extremes the ranges start from.
CALIBRATION_SAMPLES = 512
#: Share of the steps during which the ranges move; then they stand still and the weights settle.
MOVING_SHARE = 2 / 3


@dataclass(frozen=True)
class QuantizeAwareResult(TrainingResult):
    """What quantization-aware training left behind.

    ``validation_accuracy``, ``test_accuracy`` and ``test_loss`` are those of the fake-quantized
    model with the weights kept: what an int8 file of ``model`` is expected to reach. A
    ``best_epoch`` of 0 says that no epoch was better than the calibrated model before training.

    Args:
        float_before: test accuracy of the model that was given, percent.
        quantized_before: of the same, its layers fake-quantized with calibrated ranges.
        float_after: of the float model with the weights kept; the int8 file is compared to it.
        trained_ranges: layer -> smallest and largest value of its output, as written into the model file.
    """

    float_before: float
    quantized_before: float
    float_after: float
    trained_ranges: Mapping[str, tuple[float, float]]


def check_feeding(spec: ModelSpec) -> None:
    """Check that a model can be fine-tuned here.

    Raises:
        InputError: it takes channels first.
    """
    if spec.input.layout != "nhwc":
        raise InputError("the model takes channels first, which is not trained here", "build it with channels last")


def train_quantize_aware(
    model: Any,
    source: Artifact,
    spec: ModelSpec,
    data: TrainingData,
    data_name: str,
    out: Path,
    plan: TrainingPlan | None = None,
    *,
    reporter: Reporter = SILENT,
) -> QuantizeAwareResult:
    """Fine-tune a trained Keras model with its layers fake-quantized, and write it as ``train`` does.

    Normalizations are folded first, as the converters do. Ranges of activations start from the
    extremes over training pictures and follow a moving average of the batches' extremes for two
    thirds of the steps; then they stand still (Jacob et al., "Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference", 2018, section 3.1). Weights get
    gradients straight through the rounding. The weights with the highest validation accuracy of
    the *fake-quantized* model are kept, those before training among them.

    ``OUT/model.keras`` is the folded float model with these weights, of Keras' own layers, with the
    ranges beside the contract: an int8 file made with exactly these computes what was trained.

    Args:
        model: the Keras model of ``source``; not changed.
        source: its file, for the provenance.
        spec: how it is fed and read.
        data: three sets of pictures with classes as ``spec.labels`` counts them.
        data_name: what the data is called.
        out: folder; checked before training starts.
        plan: the numbers of the run; by default 3 epochs (more for small data) at 2e-4.
        reporter: is told how it goes.

    Raises:
        InputError: the model's layers are not known, or the loss stopped being a number.
        OutputError: ``out`` cannot be written.
    """
    import keras

    from edgecnn.fakequant import FakeQuantizedModel, fold
    from edgecnn.training.batches import PictureBatches
    from edgecnn.training.fitting import evaluate, fit, objective

    check_feeding(spec)
    ensure_folder(out)
    plan = _told(plan or TrainingPlan(), data)
    keras.utils.set_random_seed(plan.seed)
    # Folded first, so that layers are called as in the file that is written, which has no models inside it.
    quantized = FakeQuantizedModel(fold(model), spec.input.value_range)
    quantized.set_ranges(quantized.calibrate(_calibration_tensors(data, spec, plan)))
    test = PictureBatches(data.test, spec.input, plan.batch_size)
    validation = PictureBatches(data.validation, spec.input, plan.batch_size)
    trainer = quantized.trainer
    trainer.compile(**objective(spec))
    float_before = _float_accuracy(quantized, spec, test)
    quantized_before = evaluate(trainer, test)[1]
    loss, accuracy = evaluate(trainer, validation)
    reporter.say(
        f"{len(quantized.layers)} quantized layers; test accuracy {float_before:.2f} % in float, "
        f"{quantized_before:.2f} % fake-quantized before training"
    )
    steps = (plan.epochs or 1) * plan.steps_per_epoch(len(data.train))
    quantized.move_ranges(round(MOVING_SHARE * steps))
    history, best_epoch = fit(trainer, data, spec, plan, start=(accuracy / 100, loss), reporter=reporter)
    quantized.set_ranges(quantized.ranges)  # parameters from here on as every reader of the ranges computes them
    test_loss, test_accuracy = evaluate(trainer, test)
    finished = quantized.float_model()
    result = QuantizeAwareResult(
        **files_in(out),
        spec=_renamed(spec),
        parameters=int(finished.count_params()),
        samples=data.counts(),
        epochs=len(history["loss"]),
        best_epoch=best_epoch,
        validation_accuracy=history["val_accuracy"][best_epoch - 1] if best_epoch else accuracy,
        test_accuracy=test_accuracy,
        test_loss=test_loss,
        provenance=provenance(_facts(source), data_name, data, plan),
        float_before=float_before,
        quantized_before=quantized_before,
        float_after=_float_accuracy(quantized, spec, test),
        trained_ranges=_carried(quantized),
    )
    title = f"{spec.name} quantization-aware on {Path(data_name).name}"
    write_result(result, finished, history, title, result.trained_ranges)
    return result


def _told(plan: TrainingPlan, data: TrainingData) -> TrainingPlan:
    epochs = plan.epochs_for(len(data.train), DEFAULT_EPOCHS)
    return replace(plan, epochs=epochs, learning_rate=plan.learning_rate or DEFAULT_LEARNING_RATE)


def _calibration_tensors(data: TrainingData, spec: ModelSpec, plan: TrainingPlan) -> Any:
    """Return float32 (N, height, width, channels) of class-balanced training pictures."""
    from edgecnn.training.batches import PictureBatches

    count = min(CALIBRATION_SAMPLES, len(data.train))
    return PictureBatches(data.train.balanced(count, plan.seed), spec.input, count)[0][0]


def _float_accuracy(quantized: FakeQuantizedModel, spec: ModelSpec, batches: Any) -> float:
    """Return the accuracy (percent) of the folded float model as its weights are now."""
    from edgecnn.training.fitting import evaluate, objective

    model = quantized.float_model()
    model.compile(**objective(spec))
    return evaluate(model, batches)[1]


def _carried(quantized: FakeQuantizedModel) -> dict[str, tuple[float, float]]:
    """Return the ranges whose layers are one operator in every file; the others' are left to calibration."""
    return {layer.name: quantized.ranges[layer.name] for layer in quantized.layers if layer.is_one_operator}


def _facts(source: Artifact) -> dict[str, object]:
    return {"model": "quantize_aware", "source": source.path.name, "source_sha256": source.sha256}


def _renamed(spec: ModelSpec) -> ModelSpec:
    """Return the contract under a name of its own: files of both models can share a folder."""
    return spec if spec.name.endswith("_qat") else replace(spec, name=f"{spec.name[:96]}_qat")
