"""Small Keras models made into both float formats, once for all tests of the converters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from converters import ConversionJob, Converted, Layer, keras_to_onnx, keras_to_tflite, quantize_onnx, quantize_tflite
from edgecnn.artifact import open_artifact
from edgecnn.recipe import RECIPES, Recipe
from edgecnn.spec import Head, InputSpec, ModelSpec

SIDE = 16
SPEC = ModelSpec(
    "small", "classify", InputSpec(SIDE, SIDE, 3, "rgb", scale=1 / 255), Head("probabilities"), tuple("abcd")
)
TO_FLOAT: dict[str, ModuleType] = {"tflite": keras_to_tflite, "onnx": keras_to_onnx}
QUANTIZE: dict[str, ModuleType] = {"tflite": quantize_tflite, "onnx": quantize_onnx}


def build() -> Any:
    """Return a CNN with what makes names hard: ambiguous ones, a nested model, fused and lone normalization."""
    from edgecnn.models.loading import import_keras

    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(0)
    picture = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv2d")(picture)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(x))
    y = layers.Conv2D(8, 3, padding="same", name="conv2d_1", use_bias=False)(x)
    y = layers.BatchNormalization(name="bn_1")(y)
    x = layers.ReLU(name="relu_1")(layers.Add(name="add")([x, y]))
    x = layers.Activation("swish", name="swish")(x)
    inside = keras.Input((SIDE, SIDE, 8))
    z = layers.SeparableConv2D(8, 3, padding="same", name="sep")(inside)
    z = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="conv2d")(z)
    z = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="bn")(z))
    x = keras.Model(inside, z, name="inner")(x)
    # A name that looks like the converters' own marks, and one that another begins with.
    x = layers.Concatenate(name="L3.")([x, layers.Conv2D(4, 1, name="conv2d_10", activation="relu")(x)])
    x = layers.ReLU(name="relu_2")(layers.BatchNormalization(name="alone")(x))
    x = layers.GlobalAveragePooling2D(name="gap")(layers.MaxPooling2D(name="pool")(x))
    x = layers.Dense(10, name="dense", activation="relu")(x)
    model = keras.Model(picture, layers.Dense(4, activation="softmax", name="dense_1")(x))
    rng = np.random.default_rng(0)
    for weight in model.weights:  # means, variances and biases at their start would fold into nothing
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@dataclass(frozen=True)
class Small:
    """The model, its float files, samples, and the Keras model's answers to them."""

    folder: Path
    samples: npt.NDArray[np.float32]
    answers: npt.NDArray[np.float32]

    def float_file(self, format_name: str) -> Path:
        return self.folder / f"float32.{format_name}"

    def layers(self, format_name: str) -> tuple[Layer, ...]:
        found: tuple[Layer, ...] = QUANTIZE[format_name].layers(self.float_file(format_name))
        return found

    def make(self, format_name: str, recipe: Recipe, **options: Any) -> Converted:
        """Quantize to a new file, as the exporter does it: ONNX activations are uint8 unless said otherwise."""
        path = self.folder / f"made{len(list(self.folder.iterdir()))}.{format_name}"
        job = ConversionJob(self.float_file(format_name), {recipe: path}, SPEC, self.samples, **options)
        (converted,) = QUANTIZE[format_name].convert(job)
        made: Converted = converted
        return made

    def drift(self, format_name: str, made: Converted) -> float:
        """Return the largest difference of a probability from the Keras model's."""
        answers = np.concatenate([probabilities(made, sample[None]) for sample in self.samples])
        return float(np.abs(answers - self.answers).max())


def recipe_for(format_name: str, name: str) -> Recipe:
    """Return edgecnn's recipe; in ONNX with the activations that the exporter prefers."""
    recipe = RECIPES[name]
    return replace(recipe, activations="uint8") if (format_name, recipe.activations) == ("onnx", "int8") else recipe


def probabilities(made: Converted, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Run a file by its own engine."""
    artifact = open_artifact(made.path)
    (source,), (result,) = artifact.inputs, artifact.outputs
    into, out = (made.tensors.get(edge.name, edge.quant) for edge in (source, result))
    fed = tensor if into is None else into.quantize(tensor)
    if artifact.format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
        answer = session.run(None, {source.name: fed})[0]
    else:
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(made.path), num_threads=1).get_signature_runner()
        answer = runner(**{next(iter(runner.get_input_details())): fed})["output_0"]
    found: npt.NDArray[np.float32] = answer if out is None else out.dequantize(answer)
    return found


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    model = build()
    model.save(folder / "small.keras")
    for format_name, converter in TO_FLOAT.items():
        job = ConversionJob(folder / "small.keras", {RECIPES["float32"]: folder / f"float32.{format_name}"}, SPEC)
        list(converter.convert(job))
    samples = np.random.default_rng(1).uniform(0, 1, (20, SIDE, SIDE, 3)).astype(np.float32)
    return Small(folder, samples, model.predict(samples, verbose=0))


@pytest.fixture(params=["tflite", "onnx"])
def format_name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
