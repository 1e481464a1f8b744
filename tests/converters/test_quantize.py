"""Every recipe in both formats: it runs, agrees with the float model, and its file holds what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters import ConversionJob, quantize_tflite
from converters._tflite import Graph, with_uint8_edges
from edgecnn.artifact import open_artifact
from edgecnn.errors import EngineError, InputError
from edgecnn.recipe import METHODS, RECIPES, TRAINED, CalibrationRecord
from tests.converters.conftest import SPEC, Small, recipe_for

#: Largest drift of a probability of the small model, ten times what was measured. Its weights are
#: random, so these show that scales are right, not how well a trained model survives.
DRIFT = {"float16": 1e-3, "weight_only_int8": 0.01, "dynamic_int8": 0.01, "int16x8": 0.01}
MADE = [
    (name, recipe)
    for name in ("tflite", "onnx")
    for recipe in RECIPES
    if recipe != "float32" and (name, recipe) != ("onnx", "int8_uint8_io")
]
EDGES = {"int8": ("int8", "uint8"), "int8_uint8_io": ("uint8", "uint8")}


def record(method: str) -> CalibrationRecord:
    return CalibrationRecord("noise", 20, 0, "0" * 64, method)


def float_layers(path: Path) -> dict[str, bool]:
    """Return, by layer, whether its operator computes in float32 with a float kernel."""
    if path.suffix == ".tflite":
        graph = Graph(path.read_bytes())
        stored = {
            made[0] for op, inputs, made in graph.operators if op == "DEQUANTIZE" and graph.is_constant(inputs[0])
        }
        return {
            graph.names[made[0]]: all(map(graph.is_float, (made[0], *inputs[:2]))) and not stored & set(inputs)
            for _, inputs, made in graph.operators
        }
    graph_proto = onnx.load(path).graph
    producer = {edge: node.op_type for node in graph_proto.node for edge in node.output}
    quantized = ("DequantizeLinear", "Mul")  # what makes a kernel of integers float
    return {
        node.name: not any(producer.get(edge) in quantized for edge in node.input[1:2])
        and not node.op_type.endswith("Integer")
        for node in graph_proto.node
    }


@pytest.mark.parametrize(("format_name", "name"), MADE)
def test_every_recipe_agrees_with_keras(small: Small, format_name: str, name: str) -> None:
    made = small.make(format_name, recipe_for(format_name, name))
    artifact = open_artifact(made.path)
    expected = EDGES.get(name, ("float32", "float32"))[format_name == "onnx"]
    assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == (expected, expected)
    assert small.drift(format_name, made) < DRIFT.get(name, 0.03)


def test_a_wrong_scale_would_be_seen(small: Small) -> None:
    """Negative control of the drift above: ranges ten times too small."""
    ranges = {layer.name: (-0.1, 0.1) for layer in small.layers("onnx")}
    recipe = recipe_for("onnx", "int8_float_io").calibrated(record(TRAINED))
    assert small.drift("onnx", small.make("onnx", recipe, trained_ranges=ranges)) > 0.03


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_file(small: Small, format_name: str, method: str) -> None:
    recipe = recipe_for(format_name, "int8").calibrated(record(method))
    assert small.drift(format_name, small.make(format_name, recipe)) < 0.1


def test_both_formats_find_the_same_ranges(small: Small) -> None:
    """The input's and the first layer's, from the files: float32 sums in another order differ by 1e-5 at most."""
    tflite = small.make("tflite", recipe_for("tflite", "int8"))
    made = small.make("onnx", replace(RECIPES["int8"]))
    scales = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(made.path).graph.initializer}
    from ai_edge_litert.interpreter import Interpreter

    details = {item["name"]: item["quantization"] for item in Interpreter(str(tflite.path)).get_tensor_details()}
    for layer in ("conv2d", "conv2d_1", "add", "gap", "dense"):
        assert details[layer][0] == pytest.approx(float(scales[f"{layer}_scale"]), rel=1e-4), layer
        assert details[layer][1] == int(scales[f"{layer}_zero_point"]), layer


def test_the_second_file_runs_no_samples(small: Small, format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small.make(format_name, recipe_for(format_name, "int8"))
    module = {"tflite": "converters.quantize_tflite", "onnx": "converters.quantize_onnx"}[format_name]

    def forbidden(*_: object) -> None:
        raise AssertionError("the samples were run again")

    monkeypatch.setattr(f"{module}._observer", forbidden)
    small.make(format_name, recipe_for(format_name, "int8_float_io").excluding(["conv2d"]))
    with pytest.raises(EngineError, match="run again"):  # negative control: other samples
        replace(small, samples=small.samples[:3]).make(format_name, recipe_for(format_name, "int8"))


def test_trained_ranges_win(small: Small, format_name: str) -> None:
    recipe = recipe_for(format_name, "int8_float_io").calibrated(record(TRAINED))
    made = small.make(format_name, recipe, trained_ranges={"add": (0.0, 255.0)})
    assert scale_of(made.path, "add") == pytest.approx(1.0)
    assert scale_of(made.path, "conv2d") < 0.5


def scale_of(path: Path, layer: str) -> float:
    if path.suffix == ".onnx":
        tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
        return float(onnx.numpy_helper.to_array(tensors[f"{layer}_scale"]))
    from ai_edge_litert.interpreter import Interpreter

    found: Mapping[str, tuple[float, int]] = {
        item["name"]: item["quantization"] for item in Interpreter(str(path)).get_tensor_details()
    }
    return found[layer][0]


@pytest.mark.parametrize("name", ["weight_only_int8", "dynamic_int8", "int8", "int8_float_io", "int16x8"])
def test_an_excluded_layer_stays_float(small: Small, format_name: str, name: str) -> None:
    """conv2d_1 alone: conv2d before it and conv2d_10, whose name begins alike, are quantized."""
    recipe = recipe_for(format_name, name)
    made = small.make(format_name, recipe.excluding(["conv2d_1"]))
    is_float = float_layers(made.path)
    named = {layer: is_float.get(layer, False) for layer in ("conv2d", "conv2d_1", "conv2d_10", "inner/conv2d")}
    assert named == {"conv2d": False, "conv2d_1": True, "conv2d_10": False, "inner/conv2d": False}
    assert small.drift(format_name, made) < DRIFT.get(name, 0.03)


@pytest.mark.parametrize("name", ["int8", "int8_uint8_io", "int8_float_io"])
def test_first_and_last_excluded_keep_the_edges(small: Small, format_name: str, name: str) -> None:
    if (format_name, name) in MADE or format_name == "tflite":
        made = small.make(format_name, recipe_for(format_name, name).excluding(["conv2d", "dense_1", "dense_1/2"]))
        artifact = open_artifact(made.path)
        expected = EDGES.get(name, ("float32", "float32"))[format_name == "onnx"]
        assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == (expected, expected)
        is_float = float_layers(made.path)
        assert is_float["conv2d"] and is_float["dense_1"] and not is_float["dense"]
        assert small.drift(format_name, made) < 0.03


def test_an_unknown_layer_is_named(small: Small, format_name: str) -> None:
    with pytest.raises(InputError, match="'conv2d_11'"):
        small.make(format_name, recipe_for(format_name, "int8").excluding(["conv2d_11"]))


def test_uint8_edges_are_the_camera_bytes(small: Small) -> None:
    """uint8 in, and the same answer as from the int8 file that was fed the byte with its sign bit flipped."""
    inner, outer = (small.make("tflite", recipe_for("tflite", name)) for name in ("int8", "int8_uint8_io"))
    before, after = open_artifact(inner.path), open_artifact(outer.path)
    for old, new in zip((*before.inputs, *before.outputs), (*after.inputs, *after.outputs), strict=True):
        assert old.quant is not None and new.quant is not None
        assert (new.name, new.shape, new.quant.scale) == (old.name, old.shape, old.quant.scale)
        assert new.quant.zero_point == old.quant.zero_point + 128
    from ai_edge_litert.interpreter import Interpreter

    byte = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    answers = []
    for path, tensor in ((inner.path, (byte ^ 0x80).view(np.int8)), (outer.path, byte)):
        runner = Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")
        answers.append(runner(input=tensor)["output_0"].astype(int))
    np.testing.assert_array_equal(answers[0] + 128, answers[1])


def test_uint8_edges_need_an_int8_file(small: Small) -> None:
    with pytest.raises(ValueError, match="int8"):
        with_uint8_edges(small.float_file("tflite").read_bytes())


def test_weights_that_lie_behind_the_flatbuffer_follow_it(small: Small) -> None:
    """Larger kernels are stored behind the graph, at absolute offsets, aligned to 16 bytes."""
    from ai_edge_litert import schema_py_generated as schema

    made = small.make("tflite", recipe_for("tflite", "int8_uint8_io"))
    model = schema.Model.GetRootAs(made.path.read_bytes(), 0)
    offsets = [model.Buffers(i).Offset() for i in range(model.BuffersLength()) if model.Buffers(i).Offset() > 1]
    assert all(offset % 16 == 0 for offset in offsets)


def test_onnx_activations_can_be_int8(small: Small) -> None:
    made = small.make("onnx", RECIPES["int8"])
    artifact = open_artifact(made.path)
    assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == ("int8", "int8")
    assert made.recipe.activations == "int8"
    assert small.drift("onnx", made) < 0.03


def test_onnx_weight_only_leaves_nothing_to_dequantize_while_running(small: Small) -> None:
    """onnxruntime computes Cast and Mul of constants when it opens the file, a DequantizeLinear every time."""
    made = small.make("onnx", RECIPES["weight_only_int8"])
    model = onnx.load(made.path)
    assert "DequantizeLinear" not in {node.op_type for node in model.graph.node}
    kernels = [tensor for tensor in model.graph.initializer if tensor.name.endswith("kernel/int8")]
    assert len(kernels) == 8 and {tensor.data_type for tensor in kernels} == {onnx.TensorProto.INT8}
    assert not any(tensor.name.endswith("/kernel") for tensor in model.graph.initializer)


def test_int16_is_near_float_and_int8_is_not(small: Small, format_name: str) -> None:
    """16 bits between layers: what is left is the error of int8 weights."""
    fine = small.drift(format_name, small.make(format_name, recipe_for(format_name, "int16x8")))
    coarse = small.drift(format_name, small.make(format_name, recipe_for(format_name, "int8_float_io")))
    assert fine < coarse


def test_a_broken_file_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(EngineError):
        quantize_tflite.layers(tmp_path / "x.tflite")
    job = ConversionJob(tmp_path / "x.tflite", {RECIPES["float16"]: tmp_path / "y.tflite"}, SPEC)
    with pytest.raises(EngineError):
        list(quantize_tflite.convert(job))
