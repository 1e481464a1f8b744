"""The gates can fail: each common mistake, made on purpose, is caught."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn import formats
from edgecnn.artifact import Artifact, contract_document, open_artifact
from edgecnn.data import Dataset
from edgecnn.errors import CheckFailed, InputError, MissingDependency
from edgecnn.pipeline import Pipeline
from edgecnn.runtimes import open_runtime
from edgecnn.spec import ModelSpec
from edgecnn.tensors import TensorInfo
from edgecnn.verify import Reference, align_classes, measure_reference, verify
from edgecnn.vision.preprocess import float_tensor_info
from tests.conftest import GOLDEN
from tests.golden.make import LABELS, pictures

EDGE_FILES = sorted(path.name for path in GOLDEN.glob("tiny_*"))


@pytest.fixture(scope="module")
def data() -> Dataset:
    samples, classes = pictures(300, seed=9)
    return Dataset("stripes", samples, classes, LABELS)


@pytest.fixture(scope="module")
def reference(data: Dataset) -> Reference:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    return measure_reference(open_runtime(artifact), artifact.require_spec(), data)


def with_spec(path: Path, change: Callable[[ModelSpec], ModelSpec]) -> Artifact:
    artifact = open_artifact(path)
    tensors = {tensor.name: tensor.quant.to_dict() for tensor in (*artifact.inputs, *artifact.outputs) if tensor.quant}
    contract = contract_document(change(artifact.require_spec()), artifact.recipe, {}, tensors)
    formats.embed(path, artifact.format, contract)
    return open_artifact(path)


@pytest.mark.parametrize("name", EDGE_FILES)
def test_good_files_pass(data: Dataset, reference: Reference, name: str) -> None:
    verdict = verify(open_artifact(GOLDEN / name), data, reference, max_drop=0.5)
    assert verdict.passed, verdict.reason
    assert verdict.accuracy == 100


@pytest.mark.parametrize("name", EDGE_FILES)
@pytest.mark.parametrize(
    "mistake",
    [
        {"color": "bgr"},
        {"scale": 1.0},  # 0..255 fed to a model that wants 0..1
        {"scale": 1 / 255, "mean": (0.5,), "std": (0.5,)},  # -1..1 fed likewise
        {"mean": (0.0, 0.2, 0.0)},
    ],
    ids=["channels swapped", "0..255", "-1..1", "one channel shifted"],
)
def test_a_wrong_feeding_is_caught(
    data: Dataset, reference: Reference, golden: Callable[[str], Path], name: str, mistake: dict[str, Any]
) -> None:
    broken = with_spec(golden(name), lambda spec: replace(spec, input=replace(spec.input, **mistake)))
    verdict = verify(broken, data, reference, max_drop=0.5)
    assert not verdict.passed
    assert verdict.reason


@pytest.mark.parametrize("name", ["tiny_int8.onnx"])
@pytest.mark.parametrize("tensor", ["input", "output"])
def test_a_corrupted_scale_is_caught(
    data: Dataset, reference: Reference, golden: Callable[[str], Path], name: str, tensor: str
) -> None:
    path = golden(name)
    artifact = open_artifact(path)
    quants = {t.name: t.quant.to_dict() for t in (*artifact.inputs, *artifact.outputs) if t.quant}
    quants[tensor]["scale"] *= 8
    formats.embed(path, "onnx", contract_document(artifact.require_spec(), artifact.recipe, {}, quants))
    assert not verify(open_artifact(path), data, reference, max_drop=0.5).passed


def test_a_corrupted_scale_inside_the_graph_is_caught(
    data: Dataset, reference: Reference, golden: Callable[[str], Path]
) -> None:
    """The first scale of each layer's weights, eight times too small, in the flatbuffer's own bytes.

    (A wrong scale between two layers is used by both and only costs resolution.)
    """
    path = golden("tiny_int8.tflite")
    content = path.read_bytes()
    caught = []
    for at in weight_scales(content):
        (scale,) = struct.unpack_from("<f", content, at)
        broken = bytearray(content)
        struct.pack_into("<f", broken, at, scale / 8)
        path.write_bytes(bytes(broken))
        caught.append(not verify(open_artifact(path), data, reference, max_drop=0.5).passed)
    assert len(caught) == 2  # the convolution and the dense layer
    assert all(caught)


def weight_scales(content: bytes) -> list[int]:
    """Where the first scale of each int8 weight tensor stands in a flatbuffer."""
    from edgecnn.formats import tflite

    model = tflite._root(content)
    (graph,) = model.tables(2)
    buffers = list(model.tables(4))
    found = []
    for tensor in graph.tables(0):
        quantization = tensor.table(4)
        is_weight = tensor.scalar(1, "<b") == 9 and buffers[tensor.scalar(2, "<I")].raw(0, most=1 << 20)
        if is_weight and quantization is not None:
            position = quantization.target(2)
            assert position is not None
            found.append(position + 4)
    return found


def test_labels_shifted_by_one_are_caught(data: Dataset) -> None:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    assert data.classes is not None
    shifted = replace(data, classes=(data.classes + 1) % 3)
    with pytest.raises(CheckFailed, match="no better than a guess"):
        measure_reference(open_runtime(artifact), artifact.require_spec(), shifted)


def test_shifted_label_names_are_caught(data: Dataset) -> None:
    """The contract's names say otherwise than the data's: classes are matched by name, the gate sees it."""
    artifact = open_artifact(GOLDEN / "tiny.keras")
    spec = replace(artifact.require_spec(), labels=("green", "blue", "red"))
    with pytest.raises(CheckFailed, match="no better than a guess"):
        measure_reference(open_runtime(artifact), spec, align_classes(data, spec))


def test_a_floor_is_kept(data: Dataset) -> None:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    assert data.classes is not None
    some_wrong = replace(data, classes=np.where(np.arange(300) < 60, (data.classes + 1) % 3, data.classes))
    runtime, spec = open_runtime(artifact), artifact.require_spec()
    assert measure_reference(runtime, spec, some_wrong, floor=80).accuracy == pytest.approx(80)
    with pytest.raises(CheckFailed, match="below the floor of 81 %"):
        measure_reference(runtime, spec, some_wrong, floor=81)


def test_without_classes_agreement_is_judged(data: Dataset, golden: Callable[[str], Path]) -> None:
    unlabelled = Dataset("stripes", data.pictures)
    source = open_artifact(GOLDEN / "tiny.keras")
    reference = measure_reference(open_runtime(source), source.require_spec(), unlabelled)
    good = verify(open_artifact(GOLDEN / "tiny_int8.tflite"), unlabelled, reference, max_drop=0.5)
    assert (good.passed, good.accuracy, good.agreement) == (True, None, 100)
    swapped = with_spec(golden("tiny_int8.tflite"), lambda spec: replace(spec, input=replace(spec.input, color="bgr")))
    assert not verify(swapped, unlabelled, reference, max_drop=0.5).passed


def test_classes_are_matched_by_name(data: Dataset) -> None:
    spec = replace(open_artifact(GOLDEN / "tiny.keras").require_spec(), labels=("Blue", "Red", "Green"))
    aligned = align_classes(Dataset("d", data.pictures[:3], np.array([0, 1, 2]), LABELS), spec)
    assert aligned.require_classes().tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("classes", "names"), [([0, 3], None), ([0, 1], ("cat", "dog")), ([0, 3], ("a", "b", "c", "d"))]
)
def test_data_of_another_model_is_refused(classes: list[int], names: tuple[str, ...] | None) -> None:
    spec = open_artifact(GOLDEN / "tiny.keras").require_spec()
    with pytest.raises(InputError, match="classes, the model has 3"):
        align_classes(Dataset("d", pictures(2, seed=0)[0], np.array(classes), names), spec)


def scores(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_wrong_output_scales_are_caught_though_the_order_survives(
    data: Dataset, reference: Reference, golden: Callable[[str], Path]
) -> None:
    for factor in (0.85, 1.15):
        path = golden("tiny_int8.onnx")
        artifact = open_artifact(path)
        quants = {t.name: t.quant.to_dict() for t in (*artifact.inputs, *artifact.outputs) if t.quant}
        quants["output"]["scale"] *= factor
        formats.embed(path, "onnx", contract_document(artifact.require_spec(), artifact.recipe, {}, quants))
        verdict = verify(open_artifact(path), data, reference, max_drop=0.5)
        assert verdict.accuracy == 100
        assert not verdict.passed
        assert "scale" in verdict.reason or "drift" in verdict.reason


def test_a_loss_equal_to_the_budget_passes(data: Dataset, golden: Callable[[str], Path]) -> None:
    """Every count of lost pictures, whatever its float is: 3 of 300 are exactly 1.0 point."""
    artifact = open_artifact(golden("tiny_int8.tflite"))
    assert data.classes is not None
    found = Pipeline(open_runtime(artifact), artifact.require_spec()).probabilities(data.pictures)
    for lost in (3, 21, 57, 171):
        # The reference is right on `lost` more: those pictures' classes are what only it says.
        told = found.copy()
        told[:lost] = np.roll(found[:lost], 1, axis=1)
        classes = told.argmax(axis=1)
        ideal = Reference(told, 100.0, "CPU")
        labelled = replace(data, classes=classes)
        at_budget = verify(artifact, labelled, ideal, max_drop=lost / 3)
        assert at_budget.accuracy_change_points == pytest.approx(-lost / 3)
        assert "loses" not in at_budget.reason
        assert "loses" in verify(artifact, labelled, ideal, max_drop=lost / 3 - 0.01).reason
        low, high = at_budget.change_ci95_points or (0, 0)
        assert low < -lost / 3 < high


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "too few pictures, or classes"),  # one class: any guess is right
        ([0, 1, 0, 1], "too few pictures, or classes"),
    ],
)
def test_data_that_cannot_tell_a_model_from_a_guess(classes: list[int], said: str) -> None:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    few = Dataset("few", pictures(len(classes), seed=0)[0], np.array(classes), None)
    with pytest.raises(CheckFailed, match=said):
        measure_reference(open_runtime(artifact), artifact.require_spec(), few)
    assert measure_reference(open_runtime(artifact), artifact.require_spec(), few, floor=0).samples == len(classes)


def test_a_constant_reference_is_no_reference() -> None:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    grey = Dataset("grey", np.full((20, 8, 8, 3), 90, np.uint8))
    with pytest.raises(CheckFailed, match="same class for all 20"):
        measure_reference(open_runtime(artifact), artifact.require_spec(), grey)


def test_scores_told_as_probabilities_are_refused(data: Dataset) -> None:
    class Scores:
        """A runtime whose output is no probability."""

        name, version, device, batch = "fake", "0", "CPU", 1
        inputs = (float_tensor_info(open_artifact(GOLDEN / "tiny.keras").require_spec().input),)
        outputs = (TensorInfo("y", (1, 3), "float32"),)

        def invoke(self, tensors: object) -> list[np.ndarray]:
            return [scores([[4.6, -1.0, 0.3]])]

    with pytest.raises(InputError, match="no probabilities"):
        measure_reference(Scores(), open_artifact(GOLDEN / "tiny.keras").require_spec(), data)


def test_a_missing_engine_is_no_verdict(data: Dataset, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match="onnxruntime"):
        verify(open_artifact(GOLDEN / "tiny_int8.onnx"), data, reference, max_drop=0.5)


def test_half_matching_names_are_refused(data: Dataset) -> None:
    spec = open_artifact(GOLDEN / "tiny.keras").require_spec()
    with pytest.raises(InputError, match="gren"):
        align_classes(Dataset("d", data.pictures[:3], np.array([0, 1, 2]), ("red", "gren", "blue")), spec)


def test_a_file_that_does_not_run_fails_and_says_why(
    data: Dataset, reference: Reference, golden: Callable[[str], Path]
) -> None:
    path = golden("tiny_float32.onnx")
    content = bytearray(path.read_bytes())
    at = content.rfind(b"Softmax")
    content[at : at + 7] = b"Sofamax"
    path.write_bytes(bytes(content))
    verdict = verify(open_artifact(path), data, reference, max_drop=0.5)
    assert not verdict.passed
    assert "ONNX Runtime refuses" in verdict.reason
