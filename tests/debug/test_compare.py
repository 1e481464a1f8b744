"""The planted fault is found, and only where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn import load_data, open_artifact
from edgecnn.debug.chart import draw_layers
from edgecnn.debug.compare import DebugRequest, debug, require_quantized
from edgecnn.debug.results import DebugReport
from edgecnn.errors import InputError
from edgecnn.models.loading import load_keras_model
from tests.debug.conftest import Exported


def compared(file: Path, model: Path, data: Path, count: int = 60) -> DebugReport:
    artifact, reference = open_artifact(file), open_artifact(model)
    pictures = load_data(str(data)).balanced(count, seed=0)
    return debug(DebugRequest(artifact, reference, load_keras_model(reference), artifact.require_spec(), pictures))


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_a_planted_layer_is_first_and_its_cause_is_named(planted: Exported, suffix: str) -> None:
    model, data, files = planted
    report = compared(files[suffix], model, data)
    first = report.layers[0]
    assert first.name == "spread"
    assert (first.harm_points or 0) > 20
    assert all((layer.harm_points or 0) < 2 for layer in report.layers[1:])
    assert first.signal.channel_ratio == pytest.approx(1000, rel=0.2)
    assert first.signal.dead_channels == 1
    assert [finding.kind for finding in report.findings] == ["wide_range"]
    assert report.cause.startswith("spread: a wide activation range")
    assert report.matched_by == "names"
    assert report.not_compared == ()


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_without_the_fault_nothing_is_named(healthy: Exported, suffix: str) -> None:
    """Negative control: the same layers, the same data."""
    model, data, files = healthy
    report = compared(files[suffix], model, data)
    assert [finding.kind for finding in report.findings] == ["none"]
    assert all((layer.harm_points or 0) < 2 for layer in report.layers)
    assert {layer.name for layer in report.layers} >= {"stem", "spread", "gather", "scores"}


def test_depth_is_the_order_of_execution_and_scales_are_the_files(healthy: Exported) -> None:
    model, data, files = healthy
    reports = {suffix: compared(path, model, data, 20) for suffix, path in files.items()}
    for report in reports.values():
        assert [layer.name for layer in report.in_order()][:3] == ["stem", "spread", "gather"]
    scales = [{layer.name: layer.signal.quant for layer in report.layers} for report in reports.values()]
    for name in ("stem", "spread", "gather"):
        one, other = (found[name] for found in scales)
        assert one is not None
        assert other is not None
        assert one.scale == pytest.approx(other.scale, rel=1e-3)
        assert {one.dtype, other.dtype} == {"int8", "uint8"}


def test_the_chart_is_drawn_for_what_cannot_be_measured(healthy: Exported, tmp_path: Path) -> None:
    model, data, files = healthy
    report = compared(files["tflite"], model, data, 20)
    bare = replace(report, layers=tuple(replace(layer, harm_points=None) for layer in report.layers))
    for drawn in (report, bare):
        draw_layers(drawn, tmp_path / "layers.png")
        assert (tmp_path / "layers.png").stat().st_size > 10_000


def test_another_model_is_refused(healthy: Exported, tmp_path: Path) -> None:
    model, data, files = healthy
    with pytest.raises(InputError, match="no tensor of the file"):
        compared(files["tflite"], renamed(model, tmp_path), data)


def renamed(model: Path, folder: Path) -> Path:
    """Write a model of the same input and output, but with nothing inside that the file could have come from."""
    from edgecnn.models.loading import import_keras

    keras = import_keras()
    other = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, name="others"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(7, name="narrow"),
            keras.layers.Dense(3, name="classes", activation="tanh"),
        ]
    )
    other.save(folder / "other.keras")
    return folder / "other.keras"


def test_a_model_of_another_shape_is_refused(healthy: Exported, tmp_path: Path) -> None:
    from edgecnn.models.loading import import_keras

    keras = import_keras()
    layers = [keras.Input((9, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "larger.keras")
    with pytest.raises(InputError, match="these are two models"):
        compared(healthy[2]["tflite"], tmp_path / "larger.keras", healthy[1])


def test_float_files_are_refused(golden: Callable[[str], Path]) -> None:
    for name in ("tiny_float32.onnx", "tiny_float16.tflite", "tiny.keras"):
        with pytest.raises(InputError, match="nothing in it is quantized"):
            require_quantized(open_artifact(golden(name)))
