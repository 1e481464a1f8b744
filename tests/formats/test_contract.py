"""The contract inside every format: written, read back, replaced, and never at the cost of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn import formats
from edgecnn.artifact import contract_document, open_artifact
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.runtimes import open_runtime
from tests.conftest import GOLDEN

EDGE_FILES = sorted(path.name for path in GOLDEN.glob("tiny_*"))
ALL_FILES = [*EDGE_FILES, "tiny.keras"]
OTHERS = [
    "tflite/mlperf_tiny_ic_resnet8_int8.tflite",
    "tflite/mobilenet_v2_1.0_224_quant.tflite",
    "tflite/mobilenet_v2_int8.tflite",
    "tflite/yolo11n_int8.tflite",  # its weights lie behind the flatbuffer
    "tflite/yolov8n_full_integer_quant.tflite",
    "onnx/mnist-8_baskov.onnx",
    "onnx/yolox_nano.onnx",
]


def test_golden_files_are_there() -> None:
    assert len(EDGE_FILES) == 15  # eight recipes in two formats, but one that ONNX has no need of


@pytest.mark.parametrize("name", ALL_FILES)
def test_round_trip(golden: Callable[[str], Path], name: str) -> None:
    artifact = open_artifact(golden(name))
    spec = replace(artifact.require_spec(), name="other")
    for labels in (("a", "b", "c"), ("rot", "grün", "blau")):  # the second replaces the first, and is no ASCII
        changed = type(spec)(spec.name, spec.task, spec.input, spec.head, labels)
        formats.embed(artifact.path, artifact.format, contract_document(changed, artifact.recipe, {"source": "x"}))
        again = open_artifact(artifact.path)
        assert again.spec == changed
        assert again.recipe == artifact.recipe
        assert again.provenance == {"source": "x"}
        assert [tensor.name for tensor in again.inputs] == [tensor.name for tensor in artifact.inputs]


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_others_run_as_before_with_a_contract_inside(
    test_data: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    source = test_data(name)
    before = open_artifact(source)
    assert before.spec is None
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    formats.embed(copy, before.format, {"provenance": {"by": "test"}})
    after = open_artifact(copy)
    assert after.provenance == {"by": "test"}
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    shape = [abs(side) for side in before.inputs[0].shape]
    tensor = np.random.default_rng(0).integers(0, 100, shape).astype(before.inputs[0].dtype)
    for old, new in zip(open_runtime(before).invoke([tensor]), open_runtime(after).invoke([tensor]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_keep_their_alignment(golden: Callable[[str], Path]) -> None:
    """What engines map into memory must stay at multiples of 64 bytes from where it was."""
    path = golden("tiny_float32.tflite")
    with_contract = path.read_bytes()
    before = with_contract[with_contract.rindex(b"TFL3") - 4 :]
    path.write_bytes(before)
    formats.embed(path, "tflite", {"provenance": {}})
    after = path.read_bytes()
    assert (len(after) - len(before)) % 64 == 0
    assert after.endswith(before)


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx", "tiny.keras"])
def test_a_contract_is_replaced_not_piled_up(golden: Callable[[str], Path], name: str) -> None:
    path = golden(name)
    format_name = formats.sniff(path)
    formats.embed(path, format_name, {"provenance": {}})
    small = path.read_bytes()
    for length in (5000, 1, 100_000):
        formats.embed(path, format_name, {"provenance": {"by": "x" * length}})
    formats.embed(path, format_name, {"provenance": {}})
    assert path.read_bytes() == small


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx"])
def test_files_of_the_exporter_shrink_back(golden: Callable[[str], Path], name: str) -> None:
    path = golden(name)
    before = path.stat().st_size
    formats.embed(path, formats.sniff(path), {"provenance": {}})
    assert path.stat().st_size < before


def test_small_contract_costs_little(golden: Callable[[str], Path]) -> None:
    path = golden("tiny_int8.tflite")
    before = path.stat().st_size
    formats.embed(path, "tflite", {"provenance": {}})
    assert path.stat().st_size - before < 1000


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files_are_refused(golden: Callable[[str], Path], name: str, part: float) -> None:
    path = golden(name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    # Reading or opening must refuse it with a clear error; where the cut only reaches into values of
    # the contract's own padding nothing is lost, which no cut of this table does.
    with pytest.raises(EdgecnnError):
        open_runtime(open_artifact(path))


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\0" * 100, b"PK\x03\x04broken", b"\x89HDF\r\n\x1a\n"])
@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".keras", ".h5"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(EdgecnnError):
        open_runtime(open_artifact(path))


@pytest.mark.parametrize("name", ["tiny_int8.tflite", "tiny_int8.onnx"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_raise_anything_else(golden: Callable[[str], Path], name: str, data: st.DataObject) -> None:
    path = golden(name)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        open_artifact(path)
    except InputError as error:
        assert error.remedy


def test_a_contract_of_a_later_version_is_refused(golden: Callable[[str], Path]) -> None:
    path = golden("tiny_int8.tflite")
    formats.embed(path, "tflite", {"schema_version": 99})
    with pytest.raises(InputError, match="99"):
        open_artifact(path)


def test_h5_takes_no_contract(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match="cannot carry"):
        formats.embed(path, "h5", {})
