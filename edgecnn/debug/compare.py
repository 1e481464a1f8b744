"""The float model and the quantized file side by side on the same pictures, layer by layer.

This module must not know engines: the file comes with its tensors already within reach.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.artifact import Artifact
from edgecnn.data import Dataset
from edgecnn.debug.causes import Evidence, find_causes
from edgecnn.debug.match import Matches, Node, assign, match
from edgecnn.debug.results import Answers, ComparedLayer, DebugReport, by_harm
from edgecnn.debug.signal import Signal, as_channels_last, span
from edgecnn.debug.tapping import tapped
from edgecnn.errors import InputError
from edgecnn.metrics import GUESSING_LEVEL, guessing_probability
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes.taps import TappedModel
from edgecnn.spec import ModelSpec, picture_facts
from edgecnn.tensors import TensorInfo
from edgecnn.vision.classify import class_probabilities
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info, range_mismatch

#: Pictures whose tensors, of all layers, are in memory at once; fewer, where they have more pixels together.
_BATCH = 20
_BATCH_PIXELS = 20 * 96 * 96
#: Of the file's activations, those that the float model's quantization can be made to imitate.
_IMITATED = ("int8", "uint8")
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DebugRequest:
    """What is to be compared.

    Args:
        artifact: the quantized file.
        reference: the float Keras file that it came from.
        model: that file, loaded.
        spec: the contract that feeds both.
        data: pictures, their classes counted as the contract counts them.
    """

    artifact: Artifact
    reference: Artifact
    model: Any
    spec: ModelSpec
    data: Dataset


def debug(request: DebugRequest, reporter: Reporter = SILENT) -> DebugReport:
    """Compare every layer that both have, and say what the figures point at.

    Raises:
        InputError: the file is not quantized, is no file of this model, or names no layer of it.
        EngineError: the engine refuses or fails on the file.
    """
    from edgecnn.fakequant.harm import harm
    from edgecnn.fakequant.model import FakeQuantizedModel

    _require_one_model(request)
    with tapped(request.artifact) as file:
        require_quantized(request.artifact, file.integers or request.artifact.recipe is not None)
        float_model = FakeQuantizedModel(request.model)
        run = _Run(request, file, float_model)
        batches = _batches(len(request.data), request.spec.input.height * request.spec.input.width)
        for pictures in reporter.progress(batches, "float model and file side by side"):
            run.add([request.data.pictures[index] for index in pictures])
    ranges = {
        name: span(signal.quant)
        for name, signal in run.signals.items()
        if signal.quant is not None and signal.quant.dtype in _IMITATED
    }
    lost: dict[str, float] = {}
    if ranges:
        lost = harm(float_model, np.concatenate(run.fed), request.data.classes, ranges, reporter)
    layers = [
        ComparedLayer(
            point.name,
            point.op,
            file.taps[run.chosen[point.name]].name,
            depth,
            run.signals[point.name],
            lost.get(point.name) if point.name in ranges else None,
        )
        for depth, point in enumerate(float_model.layers)
        if point.name in run.signals
    ]
    answers = run.answers()
    findings = find_causes(_evidence(request, run, layers, answers))
    missing = tuple(point.name for point in float_model.layers if point.name not in run.signals)
    return DebugReport(
        request.artifact.path,
        request.reference.path,
        request.data.name,
        answers,
        by_harm(layers),
        missing,
        run.matches.how,
        findings,
    )


def require_quantized(artifact: Artifact, integers: bool = True) -> None:
    """Refuse a file in which nothing is quantized.

    Args:
        integers: whether the file holds any, if that is known.

    Raises:
        InputError: it is a Keras file, or a float one.
    """
    remedy = "give a quantized .tflite or .onnx file: edgecnn export MODEL --recipe int8"
    if artifact.is_keras:
        raise InputError(f"{str(artifact.path)!r} is a Keras file, nothing in it is quantized", remedy)
    if (artifact.recipe is not None and artifact.recipe.scheme == "float") or not integers:
        name = artifact.recipe_name if artifact.recipe is not None else "float"
        raise InputError(f"{str(artifact.path)!r} is a {name} file, nothing in it is quantized", remedy)


def _require_one_model(request: DebugRequest) -> None:
    """Refuse a file whose input or output cannot be that of the float model."""
    model, artifact = request.model, request.artifact
    for what, theirs, ours in (
        ("input", artifact.inputs, model.inputs[0].shape),
        ("output", artifact.outputs, model.outputs[0].shape),
    ):
        sides = [sorted(_fixed_sides(shape)) for shape in (theirs[0].shape, ours)]
        if len(theirs) != 1 or (all(-1 not in each for each in sides) and sides[0] != sides[1]):
            raise InputError(
                f"{str(artifact.path)!r} has the {what} {theirs[0].shape}, "
                f"the float model {tuple(side or -1 for side in ours)}: these are two models",
                "give the .keras or .h5 file that the file was made from with --reference",
            )


def _fixed_sides(shape: Sequence[int | None]) -> list[int]:
    """Return the sides of one picture, -1 where free."""
    return [-1 if side is None or side < 0 else side for side in shape[1:]]


def _batches(count: int, pixels: int) -> list[range]:
    size = max(1, min(_BATCH, _BATCH_PIXELS // pixels))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


class _Run:
    """Both models on the pictures so far: sums per layer, answers, what the float model was fed."""

    def __init__(self, request: DebugRequest, file: TappedModel, float_model: Any) -> None:
        self._spec, self._data, self.file, self._float_model = request.spec, request.data, file, float_model
        self._output = request.artifact.outputs[0]
        self.last_layer = float_model.layers[-1].name if float_model.layers else ""
        self._float_output = TensorInfo("output", (), "float32")
        fed = _laid_out(request.spec, request.model.inputs[0].shape)
        self._for_float = Preprocessor(fed.input, float_tensor_info(fed.input))
        tensor = request.artifact.inputs[0]
        self._for_file = Preprocessor(_laid_out(request.spec, tensor.shape).input, tensor)
        self.fed: list[Floats] = []
        self.input = Signal(file.taps[file.input_tap].quant)
        self.signals: dict[str, Signal] = {}
        self.chosen: dict[str, int] = {}
        self.matches = Matches()
        self._float_answers: list[Floats] = []
        self._file_answers: list[Floats] = []

    def add(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Run both models on these pictures."""
        x = np.concatenate([np.array(self._for_float(picture)) for picture in pictures])
        real = self._float_model.outputs(x, len(x))
        calls = [self.file.run(self._for_file(picture).copy()) for picture in pictures]
        self.fed.append(x)
        head = self._spec.head
        self._float_answers.append(class_probabilities(self._float_model.predict(x), head, self._float_output))
        self._file_answers += [class_probabilities(call.output, head, self._output) for call in calls]

        def found(tap: int) -> Floats:
            return np.concatenate([self.file.taps[tap].real(call.values[tap]) for call in calls])

        if not self.chosen:
            self._match(real, calls[0].values, found)
        fed = as_channels_last(found(self.file.input_tap), x)
        if fed is not None:
            self.input.add(x, fed)
        for name, tap in self.chosen.items():
            values = as_channels_last(found(tap), real[name])
            if values is not None:
                self.signals[name].add(real[name], values)

    def _match(self, real: dict[str, Floats], values: Sequence[npt.NDArray[Any]], found: Any) -> None:
        """Find the tensor of each layer, from the first pictures."""
        layers = [Node(point.name, point.op, real[point.name].shape[1:]) for point in self._float_model.layers]
        taps = zip(self.file.taps, values, strict=True)
        # A tensor without the side of the batch is no layer's output: it gets a shape that nothing has.
        tensors = [Node(tap.name, tap.op, each.shape[1:] if each.shape[:1] == (1,) else (-1,)) for tap, each in taps]
        self.matches = match(layers, tensors)
        for group in self.matches.groups:
            given = [found(tap) for tap in group.tensors]
            nearness = [[_cosine(real[name], as_channels_last(q, real[name])) for q in given] for name in group.layers]
            for value, tensor in assign(nearness):
                self.chosen[group.layers[value]] = group.tensors[tensor]
                self.signals[group.layers[value]] = Signal(self.file.taps[group.tensors[tensor]].quant)
        if not self.chosen:
            raise InputError(
                "no tensor of the file can be told to be the output of a layer of the float model",
                "give the Keras model that the file was made from, or export it again: edgecnn export MODEL",
            )

    def answers(self) -> Answers:
        """Return what both models made of the pictures."""
        float_ids, file_ids = (
            np.concatenate(rows).argmax(axis=1) for rows in (self._float_answers, self._file_answers)
        )
        agreement, classes = float((float_ids == file_ids).mean() * 100), self._data.classes
        if classes is None:
            return Answers(len(float_ids), agreement)
        right = [float((ids == classes).mean() * 100) for ids in (float_ids, file_ids)]
        enough = guessing_probability(len(classes), classes) <= GUESSING_LEVEL
        guess = enough and guessing_probability(int((float_ids == classes).sum()), classes) > GUESSING_LEVEL
        return Answers(len(float_ids), agreement, right[0], right[1], guess)


def _cosine(f: Floats, q: Floats | None) -> float:
    """Return the cosine of the angle between two tensors: 0 if one is silent, minus infinity if there is none."""
    if q is None:
        return -math.inf
    length = float(np.linalg.norm(f) * np.linalg.norm(q))
    return float((f * q).sum()) / length if length > 0 else 0.0


def _laid_out(spec: ModelSpec, shape: Sequence[int | None]) -> ModelSpec:
    """Return the contract with the layout, channels first or last, of an input tensor."""
    layout = picture_facts(shape, classes=None).layout or spec.input.layout
    return replace(spec, input=replace(spec.input, layout=layout))


def _evidence(request: DebugRequest, run: _Run, layers: Sequence[ComparedLayer], answers: Answers) -> Evidence:
    artifact, tap = request.artifact, run.file.taps[run.file.input_tap]
    mismatch = ""
    # Of 16 bits, one of them the sign by definition, half may lie idle.
    if tap.quant is not None and tap.quant.dtype in _IMITATED:
        tensor = TensorInfo(artifact.inputs[0].name, (), tap.quant.dtype, tap.quant)
        mismatch = range_mismatch(request.spec.input, tensor)
    return Evidence(
        layers=layers,
        answers=answers,
        input=run.input,
        output=run.signals.get(run.last_layer),
        output_is_probabilities=request.spec.head.kind != "logits",
        range_mismatch=mismatch,
        recipe_name=artifact.recipe.name if artifact.recipe is not None else "int8",
        calibration=artifact.recipe.calibration if artifact.recipe is not None else None,
        model=shlex.quote(str(request.reference.path)),
        data=shlex.quote(request.data.name),
    )
