"""``edgecnn export`` as its users type it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.recipe import RECIPES, UNSUPPORTED
from tests.conftest import GOLDEN, Finished
from tests.golden.make import LABELS, pictures, save_data

Run = Callable[..., Finished]
ARTIFACT_KEYS = {
    "path", "format", "recipe", "size_bytes", "sha256", "verdict", "reason", "accuracy", "accuracy_change_points",
    "agreement", "max_drift",
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder, with a space in its name, that holds tiny.keras and stripes.npz."""
    folder = tmp_path / "my models"
    folder.mkdir()
    shutil.copy(GOLDEN / "tiny.keras", folder)
    save_data(folder / "stripes.npz")
    return folder


def test_all_recipes_of_both_formats_in_one_command(edgecnn: Run, tiny: Path) -> None:
    done = edgecnn("export", "tiny.keras", "--data", "stripes.npz", "--out", "out dir", "--json", cwd=tiny)
    assert done.code == 0, done.err
    document = done.document
    assert set(document["reference"]) == {"accuracy", "samples", "device"}
    assert document["reference"]["samples"] == 300
    rows = document["artifacts"]
    assert len(rows) == 2 * len(RECIPES) - len(UNSUPPORTED)
    for row in rows:
        assert set(row) >= ARTIFACT_KEYS
        assert row["verdict"] == "pass"
        artifact = open_artifact(tiny / row["path"])
        assert (artifact.sha256, artifact.size_bytes) == (row["sha256"], row["size_bytes"])
        assert artifact.require_spec().labels == LABELS
        assert artifact.recipe_name == row["recipe"]
        assert artifact.provenance["source_sha256"] == open_artifact(tiny / "tiny.keras").sha256
        if RECIPES[row["recipe"]].needs_calibration:
            assert artifact.recipe is not None
            assert artifact.recipe.calibration is not None
            assert artifact.recipe.calibration.samples == 300
    manifest = json.loads((tiny / "out dir" / "manifest.json").read_text())
    assert [row["sha256"] for row in manifest["artifacts"]] == [row["sha256"] for row in rows]
    assert {path.name for path in (tiny / "out dir").iterdir()} == {Path(row["path"]).name for row in rows} | {
        "manifest.json"
    }
    stored = {row["recipe"]: open_artifact(tiny / row["path"]).recipe for row in rows if row["format"] == "onnx"}
    assert stored["int8"] is not None
    assert stored["int8"].activations == "uint8"  # what the file holds, not what the recipe is called
    assert str(tiny) not in (tiny / "out dir" / "manifest.json").read_text()


def test_a_second_run_gives_the_same_files(edgecnn: Run, tiny: Path) -> None:
    words = ("export", "tiny.keras", "--data", "stripes.npz", "--recipe", "int8", "--json")
    first, second = (edgecnn(*words, cwd=tiny).document["artifacts"] for _ in range(2))
    assert [row["sha256"] for row in first] == [row["sha256"] for row in second]


def save_noise(path: Path) -> None:
    """Uniform noise has every picture at the same mean brightness, so the pooled ranges are far too narrow."""
    np.savez(path, x=np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), np.uint8))


def test_a_failing_file_is_named_and_set_aside(edgecnn: Run, tiny: Path) -> None:
    save_noise(tiny / "noise.npz")
    words = ("export", "tiny.keras", "--data", "stripes.npz", "--recipe", "float32,int8", "--trials", "0", "--json")
    assert edgecnn(*words, cwd=tiny).code == 0
    done = edgecnn(*words, "--calibration", "noise.npz", cwd=tiny)
    assert done.code == 1
    verdicts = {(row["format"], row["recipe"]): row for row in done.document["artifacts"]}
    for format_name in ("tflite", "onnx"):
        assert verdicts[format_name, "float32"]["verdict"] == "pass"
        failed = verdicts[format_name, "int8"]
        assert failed["verdict"] == "fail"
        assert failed["reason"]
        assert failed["path"] == f"exported/rejected/tiny_int8.{format_name}"
        assert (tiny / failed["path"]).is_file()
        # The good file of the first run is gone: the folder holds nothing that the manifest does not vouch for.
        assert not (tiny / f"exported/tiny_int8.{format_name}").exists()


def test_the_manifest_stays_true(edgecnn: Run, tiny: Path) -> None:
    """Several commands fill one folder; another budget or model starts its record anew."""

    def vouched() -> dict[str, str]:
        rows = json.loads((tiny / "exported" / "manifest.json").read_text())["artifacts"]
        return {Path(row["path"]).name: row["sha256"] for row in rows}

    words = ("export", "tiny.keras", "--data", "stripes.npz", "--format", "tflite", "--recipe")
    killed, running = tiny / "exported" / ".export-killed", tiny / "exported" / ".export-running"
    for scratch in (killed, running):
        scratch.mkdir(parents=True)
    os.utime(killed, (0, 0))
    assert edgecnn(*words, "float32", cwd=tiny).code == 0
    assert edgecnn(*words, "float16", cwd=tiny).code == 0
    assert set(vouched()) == {"tiny_float32.tflite", "tiny_float16.tflite"}
    assert all(open_artifact(tiny / "exported" / name).sha256 == digest for name, digest in vouched().items())
    assert edgecnn(*words, "float16", "--max-drop", "0.5", cwd=tiny).code == 0
    assert set(vouched()) == {"tiny_float16.tflite"}
    assert not killed.exists()
    assert running.exists()


def test_calibration_in_another_range_is_refused(edgecnn: Run, tiny: Path) -> None:
    np.savez(tiny / "dark.npz", x=np.full((120, 8, 8, 3), 3, np.uint8))
    done = edgecnn("export", "tiny.keras", "--data", "stripes.npz", "--calibration", "dark.npz", cwd=tiny)
    assert done.code == 2
    assert "another range" in done.err
    assert not (tiny / "exported" / "tiny_int8.tflite").exists()


def test_files_of_others_need_a_contract_and_take_it_by_flags_or_yaml(edgecnn: Run, tiny: Path) -> None:
    from edgecnn.models.loading import load_keras_model

    load_keras_model(open_artifact(tiny / "tiny.keras")).save(tiny / "theirs.keras")
    words = ("export", "theirs.keras", "--data", "stripes.npz", "--recipe", "float32", "--format", "tflite", "--json")
    silent = edgecnn(*words, cwd=tiny)
    assert silent.code == 2
    assert "--scale" in silent.document["error"]["remedy"]
    by_flags = edgecnn(*words, "--scale", "1/255", "--color", "rgb", cwd=tiny)
    assert by_flags.code == 0, by_flags.err
    (tiny / "spec.yaml").write_text("name: renamed\ninput: {scale: 1/255, color: rgb}\nlabels: [red, green, blue]\n")
    by_yaml = edgecnn(*words, "--spec", "spec.yaml", cwd=tiny)
    assert by_yaml.code == 0, by_yaml.err
    assert by_yaml.document["artifacts"][0]["path"].endswith("renamed_float32.tflite")
    wrong = edgecnn(*words, "--scale", "1/255", "--color", "bgr", cwd=tiny)
    assert wrong.code == 1
    assert "no better than a guess" in wrong.document["error"]["message"]


def test_a_folder_per_class_feeds_it_too(edgecnn: Run, tiny: Path) -> None:
    samples, classes = pictures(30, seed=4)
    for split in ("train", "val"):
        for number, (picture, class_id) in enumerate(zip(samples, classes, strict=True)):
            path = tiny / "pictures" / split / LABELS[class_id] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.resize(picture[..., ::-1], (16, 12), interpolation=cv2.INTER_NEAREST))
    done = edgecnn("export", "tiny.keras", "--data", "pictures", "--recipe", "int8", "--format", "tflite", cwd=tiny)
    assert done.code == 0, done.err
    assert "below 100" in done.err  # thirty calibration pictures are few, and it says so


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.keras", "--data", "stripes.npz"], 2, "cannot read"),
        (["stripes.npz", "--data", "stripes.npz"], 2, "no readable Keras file"),
        (["tiny.keras"], 2, "--data"),
        (["tiny.keras", "--data", "stripes.npz", "--recipe", "int9"], 2, "did you mean 'int8'"),
        (["tiny.keras", "--data", "stripes.npz", "--format", "tf"], 2, "unknown format"),
        (["tiny.keras", "--data", "stripes.npz", "--recipie", "int8"], 2, "did you mean '--recipe'"),
        (["tiny.keras", "--data", "stripe.npz"], 2, "cannot read data"),
        (["tiny.keras", "--data", "digit"], 2, "did you mean 'digits'"),
        (["tiny.keras", "--data", "digits"], 2, "10 classes, the model has 3"),
        (["tiny.keras", "--data", "flat.npz"], 2, "shape"),
        (["tiny.keras", "--data", "stripes.npz", "--max-drop", "-1"], 2, "--max-drop"),
        (["tiny.keras", "--data", "stripes.npz", "--max-drop", "inf"], 2, "--max-drop"),
        (["tiny.keras", "--data", "stripes.npz", "--floor", "nan"], 2, "--floor"),
        (["tiny.keras", "--data", "stripes.npz", "--seed", "-1"], 2, "--seed"),
        (["tiny.keras", "--data", "stripes.npz", "--trials", "-1"], 2, "--trials"),
        (["tiny.keras", "--data", "stripes.npz", "--target", "arm"], 2, "did you mean 'arm64'"),
        (["tiny.keras", "--data", "stripes.npz", "--target", "arm64", "--tune"], 2, "leave out one"),
        (["tiny.keras", "--data", "stripes.npz", "--calibration-method", "max"], 2, "minmax"),
        (["tiny.keras", "--data", "stripes.npz", "--exclude", "mean"], 2, "did you mean 'means'"),
        (["tiny.keras", "--data", "stripes.npz", "--exclude", "me["], 2, "no regular expression"),
        (["tiny.keras", "--data", "stripes.npz", "--format", "onnx", "--recipe", "int8_uint8_io"], 2, "use int8"),
        (["tiny.keras", "--data", "stripes.npz", "--limit", "0"], 2, "--limit"),
        (["tiny_float32.onnx", "--data", "stripes.npz"], 2, "export starts from"),
        (["tiny.keras", "--data", "stripes.npz", "--calibration-samples", "0"], 2, "at least 1"),
        (["tiny.keras", "--data", "stripes.npz", "--out", "stripes.npz"], 4, "cannot write"),
        (["tiny.keras", "--data", "stripes.npz", "--spec", "missing.yaml"], 2, "cannot read spec"),
        (["tiny.keras", "--data", "stripes.npz", "--floor", "100.5"], 2, "--floor"),
        (["lambda.keras", "--data", "stripes.npz"], 2, "Lambda"),
        (["lambda.h5", "--data", "stripes.npz", "--scale", "1", "--color", "rgb"], 2, "Lambda"),
        (["half.keras", "--data", "stripes.npz"], 2, "no readable Keras file"),
        (["half.h5", "--data", "stripes.npz"], 2, "no readable"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_bad_input(edgecnn: Run, hard_cases: Path, words: list[str], code: int, said: str) -> None:
    before = {path.name: path.read_bytes() for path in hard_cases.iterdir()}
    done = edgecnn("export", *words, *([] if "--out" in words else ["--out", "out"]), cwd=hard_cases)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert "remedy:" in done.err
    out = hard_cases / "out"
    if out.exists():  # made once its inputs are known to be good, and left empty
        out.rmdir()
    assert {path.name: path.read_bytes() for path in hard_cases.iterdir()} == before


@pytest.fixture(scope="module")
def hard_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny.keras, its data, and everything that is wrong with others."""
    from edgecnn.models.loading import import_keras

    folder = tmp_path_factory.mktemp("hard")
    for name in ("tiny.keras", "tiny_float32.onnx"):
        shutil.copy(GOLDEN / name, folder)
    save_data(folder / "stripes.npz")
    np.savez(folder / "flat.npz", x_test=np.zeros((4, 192), np.uint8), x_train=np.zeros((4, 192), np.uint8))
    keras = import_keras()
    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
    for suffix in (".keras", ".h5"):
        model.save(folder / f"lambda{suffix}")
        content = (folder / f"lambda{suffix}").read_bytes()
        (folder / f"half{suffix}").write_bytes(content[: len(content) // 2])
    return folder


def test_a_trusted_lambda_is_exported(edgecnn: Run, hard_cases: Path, tmp_path: Path) -> None:
    words = [
        "--scale",
        "1",
        "--color",
        "rgb",
        "--floor",
        "0",
        "--recipe",
        "float32",
        "--format",
        "onnx",
        "--out",
        tmp_path / "o",
    ]
    done = edgecnn("export", "lambda.keras", "--trust", "--data", "stripes.npz", *words, cwd=hard_cases)
    assert done.code == 0, done.err


def test_a_recipe_that_cannot_be_made_costs_its_own_rows(
    edgecnn: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFLite's float conversion is made to fail for real: its module finds no TensorFlow converter."""
    script = (
        "import sys, tensorflow\n"
        "from edgecnn.cli.main import main\n"
        "del tensorflow.lite.TFLiteConverter.from_concrete_functions\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    (tiny / "exported").mkdir()
    shutil.copy(GOLDEN / "tiny_float32.tflite", tiny / "exported")
    words = ["export", "tiny.keras", "--data", "stripes.npz", "--recipe", "float32,float16", "--json"]
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=tiny, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    rows = json.loads(done.stdout)["artifacts"]
    assert [(row["format"], row["verdict"]) for row in rows] == [("tflite", "fail")] * 2 + [("onnx", "pass")] * 2
    assert all("the conversion to TFLite failed" in row["reason"] for row in rows[:2])
    # A file of an earlier run under the name of one that could not be made would be taken for it.
    assert not (tiny / "exported" / "tiny_float32.tflite").exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["making tflite: float32", "ok   tflite float32", "ok   tflite int8", "making onnx"])
def test_an_interrupted_export_leaves_whole_files(tiny: Path, sent: signal.Signals, code: int, moment: str) -> None:
    words = [
        "-m",
        "edgecnn",
        "export",
        "tiny.keras",
        "--data",
        "stripes.npz",
        "--recipe",
        "float32,int8",
        "--out",
        "out",
    ]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=tiny, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(moment):
            break
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert [path for path in (tiny / "out").iterdir() if path.name.startswith(".")] == []
    for path in (tiny / "out").glob("tiny_*"):
        assert open_artifact(path).spec is not None


def test_a_full_disk_is_said_and_leaves_nothing_half_written(edgecnn: Run, tiny: Path, small_disk: Path) -> None:
    done = edgecnn("export", "tiny.keras", "--data", "stripes.npz", "--out", small_disk / "out", cwd=tiny)
    assert done.code == 4, done.err
    assert "No space left" in done.err
    assert "free some space" in done.err
    left = list((small_disk / "out").iterdir())
    assert all(open_artifact(path).spec is not None for path in left if path.name != "manifest.json")
    rows = json.loads((small_disk / "out" / "manifest.json").read_text())["artifacts"] if left else []
    assert {row["path"] for row in rows} <= {path.name for path in left}
