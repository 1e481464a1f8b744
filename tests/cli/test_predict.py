"""``edgecnn predict`` as its users type it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import GOLDEN, Finished
from tests.golden.make import LABELS, pictures

Run = Callable[..., Finished]
FILES = ["tiny_int8.tflite", "tiny_int8.onnx", "tiny_float16.tflite", "tiny_dynamic_int8.onnx"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Model files and three pictures, one per class, with a space in every path."""
    place = tmp_path / "a b"
    place.mkdir()
    for name in FILES:
        shutil.copy(GOLDEN / name, place)
    (place / "pictures").mkdir()
    for picture, label in zip(pictures(3, seed=0)[0], LABELS, strict=True):
        cv2.imwrite(str(place / "pictures" / f"{label} one.png"), picture[..., ::-1])
    return place


@pytest.mark.parametrize("name", FILES)
def test_names_the_right_class(edgecnn: Run, folder: Path, name: str) -> None:
    done = edgecnn("predict", name, "pictures", "--top", 2, "--json", cwd=folder)
    assert done.code == 0, done.err
    rows = done.document["predictions"]
    assert [Path(row["image"]).stem.split()[0] for row in rows] == sorted(LABELS)
    for row in rows:
        assert set(row) == {"image", "labels", "ms"}
        assert set(row["ms"]) == {"preprocess", "invoke", "postprocess"}
        assert len(row["labels"]) == 2
        assert set(row["labels"][0]) == {"label", "class_id", "probability"}
        assert row["labels"][0]["label"] == Path(row["image"]).stem.split()[0]
        assert LABELS[row["labels"][0]["class_id"]] == row["labels"][0]["label"]
        assert row["labels"][0]["probability"] >= row["labels"][1]["probability"]


def test_lines_for_people(edgecnn: Run, folder: Path) -> None:
    done = edgecnn("predict", "tiny_int8.tflite", "pictures/red one.png", cwd=folder)
    assert done.out.startswith("pictures/red one.png: red ")
    assert done.err == ""


def test_an_unreadable_picture_costs_its_own_row(edgecnn: Run, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    done = edgecnn(
        "predict", "tiny_int8.tflite", "broken.png", "gone.png", "pictures/red one.png", "--json", cwd=folder
    )
    assert done.code == 2
    rows = done.document["predictions"]
    assert ["error" in row for row in rows] == [True, True, False]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.tflite", "pictures"], 2, "cannot read"),
        (["tiny_int8.tflite", "empty"], 2, "holds no pictures"),
        (["tiny_int8.tflite", "pictures", "--top", "0"], 2, "--top"),
        (["tiny_int8.tflite", "pictures", "--threads", "0"], 2, "threads"),
        (["tiny_int8.tflite", "pictures", "--runtime", "onnxruntime"], 2, "does not open"),
        (["tiny_int8.tflite", "pictures", "--runtime", "litter"], 2, "did you mean 'litert'"),
        (["tiny_int8.tflite"], 2, "IMAGE"),
        (["half.tflite", "pictures"], 2, "no readable TFLite"),
        (["half.onnx", "pictures"], 2, "no readable ONNX"),
        (["bare.tflite", "pictures"], 2, "carries no contract"),
        (["bare.tflite", "pictures", "--scale", "1/255"], 2, "--color rgb"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input(edgecnn: Run, folder: Path, words: list[str], code: int, said: str) -> None:
    (folder / "empty").mkdir()
    for suffix in ("tflite", "onnx"):
        content = (folder / f"tiny_int8.{suffix}").read_bytes()
        (folder / f"half.{suffix}").write_bytes(content[: len(content) // 2])
    # The float file as the converter left it: the last bytes of the file with a contract.
    content = (GOLDEN / "tiny_float32.tflite").read_bytes()
    start = content.find(b"TFL3", 8) - 4
    (folder / "bare.tflite").write_bytes(content[start:])
    done = edgecnn("predict", *words, cwd=folder)
    assert done.code == code, done.err
    assert said in done.err
    assert "remedy:" in done.err
    assert "Traceback" not in done.err


def test_a_file_of_others_is_fed_as_told(edgecnn: Run, test_data: Callable[[str], Path]) -> None:
    words = ["--scale", "1", "--color", "rgb", "--head", "probabilities"]
    words += ["--labels", test_data("labels/coral_imagenet_labels_1001.txt")]
    # Its input is quantized from -1..1; the picture's bytes are its own quantized values.
    words[1:2] = ["1/127.5", "--mean", "1"]
    model = test_data("tflite/mobilenet_v2_1.0_224_quant.tflite")
    done = edgecnn("predict", model, test_data("images/cat.bmp"), *words, "--json")
    assert done.code == 0, done.err
    assert "cat" in done.document["predictions"][0]["labels"][0]["label"]


@pytest.mark.parametrize("name", ["tflite/yolov8n_int8.tflite", "onnx/yolox_nano.onnx"])
def test_a_detector_is_named_as_such(edgecnn: Run, test_data: Callable[[str], Path], name: str) -> None:
    words = ["--scale", "1", "--color", "rgb", "--head", "probabilities"]
    done = edgecnn("predict", test_data(name), test_data("images/dog.jpg"), *words)
    assert done.code == 2
    assert "no classifier" in done.err


def test_memory_and_modules_of_a_small_prediction(folder: Path) -> None:
    """numpy, OpenCV and LiteRT alone are 52 MB: 120 MB leave no room for anything heavy."""
    # Its own peak, asked at its end: what wait4 tells begins with the memory of this test process.
    script = (
        "from edgecnn.cli.main import main; code = main(['predict', 'tiny_int8.tflite', 'pictures'])\n"
        "print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1], code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    peak_kilobytes, code = map(int, done.stdout.splitlines()[-1].split())
    assert code == 0
    assert peak_kilobytes * 1024 < 120e6


def test_a_missing_extra_names_its_line(folder: Path) -> None:
    """The import of an engine is made to fail as it does where it is not installed."""
    script = (
        "import sys\n"
        "for name in ('ai_edge_litert', 'tflite_runtime', 'tensorflow'):\n    sys.modules[name] = None\n"
        "from edgecnn.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["predict", "tiny_int8.tflite", "pictures"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "pip install 'edgecnn[tflite]'" in done.stderr


def test_opencv_missing_names_its_line(folder: Path) -> None:
    script = "import sys\nsys.modules['cv2'] = None\nfrom edgecnn.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    words = ["predict", "tiny_int8.tflite", "pictures"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "pip install 'edgecnn[edge]'" in done.stderr


def test_grey_large_and_tiny_pictures(edgecnn: Run, folder: Path) -> None:
    (folder / "odd").mkdir()
    cv2.imwrite(str(folder / "odd" / "grey.png"), np.full((9, 7), 90, np.uint8))
    cv2.imwrite(str(folder / "odd" / "one.png"), np.full((1, 1, 3), (40, 40, 200), np.uint8))
    cv2.imwrite(str(folder / "odd" / "uhd.jpg"), np.full((2160, 3840, 3), (40, 200, 40), np.uint8))
    done = edgecnn("predict", "tiny_int8.tflite", "odd", "--json", cwd=folder)
    assert done.code == 0, done.err
    first = {Path(row["image"]).name: row["labels"][0]["label"] for row in done.document["predictions"]}
    assert first["one.png"] == "red"
    assert first["uhd.jpg"] == "green"
