"""Every inner tensor is real: the tapped file answers as the file does, and its tensors lead there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn import open_artifact, open_runtime
from edgecnn.debug.tapping import tapped
from edgecnn.errors import InputError
from edgecnn.spec import InputSpec
from edgecnn.vision.preprocess import Preprocessor

FILES = [
    f"tiny_{recipe}.{suffix}" for recipe in ("int8", "int8_float_io", "dynamic_int8") for suffix in ("tflite", "onnx")
]


@pytest.mark.parametrize("name", FILES)
def test_the_tapped_file_answers_as_the_file_does(
    golden: Callable[[str], Path], striped_pictures: np.ndarray, name: str
) -> None:
    artifact = open_artifact(golden(name))
    runtime = open_runtime(artifact)
    feed = Preprocessor(artifact.require_spec().input, artifact.inputs[0])
    with tapped(artifact) as model:
        assert model.integers
        assert model.taps[0].op == "INPUT"
        for picture in striped_pictures[:5]:
            tensor = feed(picture).copy()
            done = model.run(tensor)
            wanted = runtime.invoke([tensor])[0].astype(np.float64)
            # The plain kernels and XNNPACK may round a tie differently; what is quantized while running, more.
            step = 1 if artifact.outputs[0].is_quantized else 0.02 if "dynamic" in name else 1 / 255
            assert np.abs(done.output - wanted).max() <= step
            assert len(done.values) == len(model.taps)
            assert all(np.isfinite(tap.real(raw)).all() for tap, raw in zip(model.taps, done.values, strict=True))


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx", "tiny_int8_float_io.tflite"])
def test_the_input_tap_is_what_the_first_layer_sees(
    golden: Callable[[str], Path], striped_pictures: np.ndarray, name: str
) -> None:
    artifact = open_artifact(golden(name))
    spec: InputSpec = artifact.require_spec().input
    with tapped(artifact) as model:
        done = model.run(Preprocessor(spec, artifact.inputs[0])(striped_pictures[0]).copy())
        tap = model.taps[model.input_tap]
        assert tap.quant is not None
        found = tap.real(done.values[model.input_tap])
    assert np.abs(found[0] - striped_pictures[0] / 255).max() <= tap.quant.scale / 2 + 1e-6


def test_the_first_convolution_is_what_its_weights_say(golden: Callable[[str], Path]) -> None:
    """Of an even picture, the 3x3 mean in the middle is the picture's own value: real numbers, not left-overs."""
    for name in ("tiny_int8.tflite", "tiny_int8.onnx"):
        artifact = open_artifact(golden(name))
        feed = Preprocessor(artifact.require_spec().input, artifact.inputs[0])
        with tapped(artifact) as model:
            done = model.run(feed(np.full((8, 8, 3), 102, np.uint8)).copy())
            index = next(i for i, tap in enumerate(model.taps) if tap.op in ("CONV_2D", "Conv"))
            assert model.taps[index].real(done.values[index])[0, 2, 2, 2] == pytest.approx(0.4, abs=0.004)


def test_float_files_hold_no_integers(golden: Callable[[str], Path]) -> None:
    for name in ("tiny_float32.tflite", "tiny_float32.onnx"):
        with tapped(open_artifact(golden(name))) as model:
            assert not model.integers


def test_keras_files_are_refused(golden: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="Keras file"), tapped(open_artifact(golden("tiny.keras"))):
        pass
