"""``edgecnn debug`` as a person and a program meet it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished
from tests.golden.make import save_data

Golden = Callable[[str], Path]
LAYER_KEYS = [
    "layer", "op", "sqnr_db", "cosine", "float_range", "scale", "harm_points", "zero_point", "dtype", "identical",
    "channels", "dead_channels", "channel_ratio", "clipped_share", "depth", "tensor",
]  # fmt: skip
KEYS = [
    "schema_version", "file", "reference", "data", "pictures", "float_accuracy", "file_accuracy", "agreement",
    "layers", "not_compared", "matched_by", "cause", "causes",
]  # fmt: skip


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    return save_data(tmp_path / "stripes.npz")


def test_the_document_the_csv_and_the_picture(
    edgecnn: Callable[..., Finished], golden: Golden, stripes: Path, tmp_path: Path
) -> None:
    file, model = golden("tiny_int8.tflite"), golden("tiny.keras")
    done = edgecnn("debug", file, "--reference", model, "--data", stripes, "--limit", 60, "--out", "why", "--json")
    assert done.code == 0, done.err
    document = done.document
    assert list(document) == KEYS
    assert document["pictures"] == 60
    assert document["not_compared"] == []
    assert [list(layer) for layer in document["layers"]] == [LAYER_KEYS] * 4
    assert {layer["layer"] for layer in document["layers"]} == {"means", "pool", "scores", "scores/2"}
    assert document["cause"].startswith("nothing stands out: errors of ")
    assert [list(cause) for cause in document["causes"]] == [["kind", "layer", "text", "remedy"]]
    assert all(layer["sqnr_db"] > 20 and layer["cosine"] > 0.99 for layer in document["layers"])
    assert json.loads((tmp_path / "why" / "debug.json").read_text()) == document
    rows = list(csv.DictReader(io.StringIO((tmp_path / "why" / "layers.csv").read_text())))
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in document["layers"]]
    assert float(rows[0]["scale"]) == document["layers"][0]["scale"]
    assert (tmp_path / "why" / "layers.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == ["debug.json", "layers.csv", "layers.png"]


@pytest.mark.parametrize("name", ["tiny_int8.onnx", "tiny_int8_float_io.onnx", "tiny_dynamic_int8.tflite"])
def test_other_kinds_of_files_and_data_without_classes(
    edgecnn: Callable[..., Finished], golden: Golden, stripes: Path, tmp_path: Path, name: str
) -> None:
    np.savez(tmp_path / "bare.npz", x_test=np.load(stripes)["x_test"])
    done = edgecnn(
        "debug", golden(name), "--reference", golden("tiny.keras"), "--data", tmp_path / "bare.npz", "--limit", 30
    )
    assert done.code == 0, done.err
    assert "30 pictures" in done.out
    assert "agreement 100.00 %" in done.out
    assert "likely cause: nothing stands out" in done.out
    assert "next: edgecnn bench" in done.out
    row = next(line for line in done.out.splitlines() if line.startswith("means"))
    assert row.endswith("-" if "dynamic" in name else "+0.00")
    assert (tmp_path / "debug" / "layers.png").exists()


def test_wrong_feeding_is_named(edgecnn: Callable[..., Finished], golden: Golden, stripes: Path) -> None:
    words = ("debug", golden("tiny_int8.tflite"), "--reference", golden("tiny.keras"), "--data", stripes)
    done = edgecnn(*words, "--limit", 30, "--scale", 1, "--json")
    assert done.code == 0, done.err
    assert done.document["causes"][0]["kind"] == "feeding"
    assert "quantized for 0 to 1" in done.document["cause"]


def test_bad_input_is_told(edgecnn: Callable[..., Finished], golden: Golden, stripes: Path, tmp_path: Path) -> None:
    model, data = ("--reference", golden("tiny.keras")), ("--data", stripes)
    for words, message in (
        ((golden("tiny_float32.tflite"), *model, *data), "nothing in it is quantized"),
        ((golden("tiny_float16.onnx"), *model, *data), "nothing in it is quantized"),
        ((golden("tiny.keras"), *model, *data), "is a Keras file"),
        ((golden("tiny_int8.tflite"), "--reference", golden("tiny_int8.onnx"), *data), ".onnx file"),
        ((golden("tiny_int8.tflite"), *model, "--data", "nowhere"), "no data called"),
        ((golden("tiny_int8.tflite"), *model), "--data"),
        ((golden("tiny_int8.tflite"), *model, *data, "--limit", 0), "--limit must be 1 or more"),
        ((tmp_path / "absent.tflite", *model, *data), "cannot read"),
    ):
        done = edgecnn("debug", *words)
        assert done.code == 2, done.err
        assert message in done.err
        assert "remedy: " in done.err
    assert not (tmp_path / "debug").exists()


def test_a_pair_made_by_others(edgecnn: Callable[..., Finished], test_data: Callable[[str], Path]) -> None:
    """MLPerf Tiny's ResNet-8: names are TensorFlow's scopes, the file carries no contract."""
    file, model = test_data("tflite/mlperf_tiny_ic_resnet8_int8.tflite"), "keras/mlperf_tiny_ic_resnet8_cifar10.h5"
    data = test_data("cifar10/mlperf_tiny_ic_perf200.npz")
    words = ("--data", data, "--scale", 1, "--color", "rgb", "--limit", 60, "--json")
    done = edgecnn("debug", file, "--reference", test_data(model), *words)
    assert done.code == 0, done.err
    document = done.document
    assert document["matched_by"] == "names"
    assert document["not_compared"] == []
    by_name = {layer["layer"]: layer for layer in document["layers"]}
    assert {f"conv2d_{i}" for i in range(1, 9)} | {"conv2d", "add", "add_1", "add_2", "dense", "dense/2"} == set(
        by_name
    )
    assert by_name["conv2d_7"]["scale"] == pytest.approx(0.21724364)
    assert all(layer["sqnr_db"] > 15 and layer["cosine"] > 0.98 for layer in document["layers"])
    assert document["causes"][0]["kind"] == "none"
