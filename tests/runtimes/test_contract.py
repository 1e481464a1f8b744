"""One suite over every runtime and every golden file: same answers, same errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.pipeline import STAGES, Pipeline
from edgecnn.recipe import RECIPES
from edgecnn.runtimes import ENGINES, engines_for, open_runtime
from tests.conftest import GOLDEN
from tests.golden.make import pictures

#: Largest difference of a probability from the float model's, by recipe: float32 and float16 round,
#: int8 has an output grid of 1/256 (half a step) on top of the drift of the layers before it; int16
#: leaves the error of int8 weights, and in ONNX the 1/256 of its softmax.
TOLERANCE = {
    "float32": 1e-5, "float16": 1e-3, "weight_only_int8": 0.002, "dynamic_int8": 0.005, "int8": 0.012,
    "int8_uint8_io": 0.012, "int8_float_io": 0.012, "int16x8": 0.006,
}  # fmt: skip
PAIRS = [
    (path.name, engine)
    for path in sorted(GOLDEN.glob("tiny_*"))
    for engine, row in ENGINES.items()
    if path.suffix[1:] in row.formats
]
#: OpenCV's engine takes float tensors, no dynamic quantization and no int16; it says so.
REFUSED = {"tiny_int8.onnx", "tiny_dynamic_int8.onnx", "tiny_int16x8.onnx"}


def expected(samples: np.ndarray) -> np.ndarray:
    """The golden model in numpy: a 3x3 mean per channel with zeros outside, a global mean, a softmax."""
    scaled = np.pad(samples / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
    means = sum(scaled[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 9
    logits = means.mean(axis=(1, 2)) @ (10 * (np.eye(3) - 1 / 3))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_every_engine_of_the_table_resolves() -> None:
    from importlib import import_module

    for row in ENGINES.values():
        assert callable(import_module(row.module).open_model)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_answers_are_the_float_models(name: str, engine: str) -> None:
    artifact = open_artifact(GOLDEN / name)
    samples, classes = pictures(30, seed=5)
    if engine == "opencv_dnn" and name in REFUSED:
        with pytest.raises(EdgecnnError, match="OpenCV"):
            Pipeline(open_runtime(artifact, engine), artifact.require_spec()).probabilities(samples)
        return
    runtime = open_runtime(artifact, engine)
    found = Pipeline(runtime, artifact.require_spec()).probabilities(samples)
    assert np.abs(found - expected(samples)).max() <= TOLERANCE[artifact.recipe_name]
    assert (found.argmax(axis=1) == classes).all()
    assert runtime.name == engine
    assert any(digit.isdigit() for digit in runtime.version)


def test_keras_reference_answers_likewise() -> None:
    artifact = open_artifact(GOLDEN / "tiny.keras")
    runtime = open_runtime(artifact)
    samples, _ = pictures(130, seed=5)  # more than one batch, the last one smaller
    found = Pipeline(runtime, artifact.require_spec()).probabilities(samples)
    np.testing.assert_allclose(found, expected(samples), atol=1e-5)
    assert runtime.device.startswith(("CPU", "GPU"))


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx"])
def test_a_cameras_bytes_go_in_without_arithmetic(name: str) -> None:
    (tensor,) = open_artifact(GOLDEN / name).inputs
    assert tensor.quant is not None
    assert tensor.quant.scale == pytest.approx(1 / 255, rel=1e-6)
    assert tensor.quant.zero_point == {"int8": -128, "uint8": 0}[tensor.dtype]


def test_one_picture_has_a_time_per_stage() -> None:
    artifact = open_artifact(GOLDEN / "tiny_int8.tflite")
    timed = Pipeline(open_runtime(artifact), artifact.require_spec()).predict(pictures(1, seed=0)[0][0], count=2)
    assert tuple(timed.stages_ns) == STAGES
    assert min(timed.stages_ns.values()) > 0
    assert len(timed.predictions) == 2
    assert timed.predictions.class_id[0] == 0


def test_wrong_engines_and_threads_are_refused() -> None:
    artifact = open_artifact(GOLDEN / "tiny_int8.tflite")
    with pytest.raises(InputError, match="did you mean 'litert'"):
        open_runtime(artifact, "lite_rt")
    with pytest.raises(InputError, match="does not open"):
        open_runtime(artifact, "onnxruntime")
    with pytest.raises(InputError, match="threads"):
        open_runtime(artifact, threads=0)
    assert engines_for(artifact) == ["litert"]


@pytest.mark.parametrize("name", ["tiny_float32.tflite", "tiny_float32.onnx"])
def test_a_wrong_tensor_is_an_error_not_a_crash(name: str) -> None:
    runtime = open_runtime(open_artifact(GOLDEN / name))
    for tensor in (np.zeros((1, 4, 4, 3), np.float32), np.zeros((1, 8, 8, 3), np.int8)):
        with pytest.raises(EdgecnnError):
            runtime.invoke([tensor])


def test_labels_must_fit_the_output(golden: Callable[[str], Path]) -> None:
    artifact = open_artifact(golden("tiny_int8.tflite"))
    spec = artifact.require_spec()
    too_many = type(spec)(spec.name, spec.task, spec.input, spec.head, ("a", "b", "c", "d"))
    with pytest.raises(InputError, match="4 labels"):
        Pipeline(open_runtime(artifact), too_many)


def test_recipes_and_golden_files_match() -> None:
    assert {open_artifact(GOLDEN / name).recipe_name for name, _ in PAIRS} == set(RECIPES)
