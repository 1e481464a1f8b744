"""Layer names: equal to Keras' in both formats, however TensorFlow calls its scopes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters import ConversionJob, Converted, keras_to_onnx, keras_to_tflite, quantize_onnx, quantize_tflite
from converters._names import KerasNames, Step, Unique, mark
from converters._tflite import Graph
from edgecnn.artifact import open_artifact
from edgecnn.recipe import RECIPES
from edgecnn.spec import Head, InputSpec, ModelSpec
from tests.converters.conftest import Small, build, probabilities

#: Every operator of the small model, in order: fused ones under the layer with the kernel.
NAMES = [
    "conv2d", "conv2d_1", "add", "swish", "swish/2", "inner/sep", "inner/sep/2", "inner/conv2d", "conv2d_10", "L3.",
    "alone", "alone/2", "pool", "gap", "dense", "dense_1", "dense_1/2",
]  # fmt: skip


def test_layers_are_called_as_keras_calls_them(small: Small, format_name: str) -> None:
    layers = small.layers(format_name)
    assert [layer.name for layer in layers] == NAMES
    reads = {layer.name: layer.reads for layer in layers}
    assert reads["conv2d"] == ()
    assert reads["conv2d_1"] == ("conv2d",)
    assert reads["add"] == ("conv2d", "conv2d_1")
    assert reads["L3."] == ("inner/conv2d", "conv2d_10")
    assert reads["dense"] == ("gap",)


def test_named_files_answer_as_keras(small: Small, format_name: str) -> None:
    """Batch normalization folded into kernels: the same sums in another order, 1e-5 at most."""
    made = Converted(RECIPES["float32"], small.float_file(format_name))
    assert small.drift(format_name, made) < 1e-5


def test_edges_keep_their_names(small: Small) -> None:
    tflite, onnx_file = (open_artifact(small.float_file(name)) for name in ("tflite", "onnx"))
    assert [edge.name for edge in (*tflite.inputs, *onnx_file.inputs)] == ["input", "input"]
    assert onnx_file.outputs[0].name == "output"


def test_tflite_tensors_have_names_of_their_own(small: Small) -> None:
    names = Graph(small.float_file("tflite").read_bytes()).names
    assert len(set(names)) == len(names)
    assert {"conv2d/kernel", "conv2d/bias", "dense/kernel"} <= set(names)


def test_onnx_is_folded_and_stays_in_its_opset(small: Small) -> None:
    model = onnx.load(small.float_file("onnx"))
    assert [(item.domain, item.version) for item in model.opset_import if item.domain == ""] == [("", 17)]
    operators = [node.op_type for node in model.graph.node]
    # "alone" stands before no kernel: its Mul and Add stay. The others are gone.
    assert operators.count("Mul") == 2 and operators.count("Add") == 2 and "BatchNormalization" not in operators


def test_real_resnet8_has_the_same_names_in_both_formats(test_data: Callable[[str], Path], tmp_path: Path) -> None:
    source = test_data("keras/mlperf_tiny_ic_resnet8_cifar10.h5")
    spec = ModelSpec(
        "r", "classify", InputSpec(32, 32, 3, "rgb", scale=1.0), Head("probabilities"), tuple("0123456789")
    )
    tflite, onnx_file = tmp_path / "r.tflite", tmp_path / "r.onnx"
    list(keras_to_tflite.convert(ConversionJob(source, {RECIPES["float32"]: tflite}, spec)))
    list(keras_to_onnx.convert(ConversionJob(source, {RECIPES["float32"]: onnx_file}, spec)))
    first, second = quantize_tflite.layers(tflite), quantize_onnx.layers(onnx_file)
    assert [(layer.name, layer.reads) for layer in first] == [(layer.name, layer.reads) for layer in second]
    assert [layer.name for layer in first if layer.op == "CONV_2D"][:2] == ["conv2d", "conv2d_1"]
    sample = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    first_answer, second_answer = (
        probabilities(Converted(RECIPES["float32"], path), sample) for path in (tflite, onnx_file)
    )
    np.testing.assert_allclose(first_answer, second_answer, atol=1e-5)


def test_marks_are_set_once_per_layer() -> None:
    model = build()
    names = mark(model)
    step = Step("conv", ("M./L1._1/convolution",), weighted=True)
    assert names.layer_of(step) == "conv2d"
    assert len({layer.name for layer in model.layers}) == len(model.layers)


@pytest.mark.parametrize(
    ("hints", "weighted", "expected"),
    [
        (("M._1/L3._1/Relu;M._1/L2._1/batchnorm/add;M._1/L1._1/convolution",), True, "conv2d"),
        (("M._1/L2._1/batchnorm/mul", "M._1/L1._1/convolution/merged"), True, "conv2d"),
        # A folded kernel has lost its name: the layer before the normalization.
        (("M._1/L2._1/batchnorm/mul", "const_fold_opt__32"), True, "conv2d"),
        # An operator without a kernel does not take its name from constants that it shares with others.
        (("M._1/L6._1/Add", "M._1/L1._1/bias"), False, "add"),
        (("Identity",), False, None),
    ],
)
def test_the_layer_with_the_kernel_wins(hints: tuple[str, ...], weighted: bool, expected: str | None) -> None:
    names: KerasNames = mark(build())
    assert names.layer_of(Step("op", hints, weighted)) == expected


def test_no_name_is_given_twice() -> None:
    unique = Unique()
    assert [unique(name) for name in ("a", "a", "a/2", "b")] == ["a", "a/2", "a/2/2", "b"]
