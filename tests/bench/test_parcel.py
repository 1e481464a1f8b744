"""What is sent is what is here: the same pictures, the same names, nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecnn.bench import parcel as module
from edgecnn.bench.parcel import ENGINE_PACKAGES, Parcel
from edgecnn.data import LazyPictures, load_data
from edgecnn.errors import InputError
from edgecnn.runtimes import ENGINES
from tests.conftest import GOLDEN
from tests.golden.make import LABELS, pictures, save_data


@pytest.fixture
def parcel(tmp_path: Path) -> Parcel:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Parcel(scratch)


def arrived(parcel: Parcel, folder: Path) -> Path:
    """Put everything in the parcel where a board would have it, the package left out."""
    for item in parcel.items:
        target = folder / item.name
        if item.source is None:
            target.mkdir(parents=True, exist_ok=True)
        elif not item.name.startswith("edgecnn/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(item.source, target)
            assert target.stat().st_size == item.size_bytes
    return folder


def folder_of_pictures(folder: Path, *, several_sizes: bool, classes: bool) -> Path:
    import cv2

    for index, (picture, label) in enumerate(zip(*pictures(30, seed=3), strict=True)):
        inside = folder / (LABELS[label] if classes else "")
        inside.mkdir(parents=True, exist_ok=True)
        times = 1 + (index % 3 if several_sizes else 0)
        cv2.imwrite(str(inside / f"{index}.png"), np.repeat(picture, times, axis=0)[..., ::-1])
    if classes:
        (folder / "a class without pictures").mkdir()
    return folder


@pytest.mark.parametrize("limit", [None, 7, 1000])
@pytest.mark.parametrize(
    "kind", ["npz", "cifar10.npz", "one size", "several sizes", "too many", "no classes", "no classes, several sizes"]
)
def test_the_board_sees_the_same_pictures(
    parcel: Parcel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: int | None
) -> None:
    if kind.endswith("npz"):
        data = save_data(tmp_path / (kind if kind != "npz" else "stripes.npz"), 30)
        if kind != "npz":  # its class names are known by its own name alone
            with np.load(data) as archive:
                np.savez(data, **{name: archive[name] for name in ("x_test", "y_test")})
    else:
        several = "several" in kind
        data = folder_of_pictures(tmp_path / "photos", several_sizes=several, classes="no" not in kind.split())
    if kind == "too many":
        monkeypatch.setattr(module, "MOST_DECODED_BYTES", 1500)
    here = load_data(str(data), "test", limit=limit)
    name = parcel.add_data(str(data), limit)
    there = load_data(str(arrived(parcel, tmp_path / "board") / name), "test", limit=limit)
    assert there.sha256() == here.sha256()
    assert there.class_names == here.class_names
    assert (there.classes is None) == (here.classes is None)
    sent_as_files = isinstance(there.pictures, LazyPictures)
    assert sent_as_files == ("several" in kind or (kind == "too many" and limit != 7))
    assert parcel.data == str(data)


def test_the_digits_are_sent_without_what_made_them(parcel: Parcel, tmp_path: Path) -> None:
    name = parcel.add_data("digits", 20)
    there = load_data(str(arrived(parcel, tmp_path / "board") / name), "test", limit=20)
    here = load_data("digits", "test", limit=20)
    assert (there.sha256(), there.class_names, len(there)) == (here.sha256(), here.class_names, 20)


def test_files_of_one_name_keep_it_and_do_not_collide(parcel: Parcel, tmp_path: Path) -> None:
    models = []
    for place in ("a b", "it's"):
        (tmp_path / place).mkdir()
        models.append(Path(shutil.copy(GOLDEN / "tiny_int8.tflite", tmp_path / place / "tiny.tflite")))
    names = parcel.add_models(models)
    assert len(set(names)) == 2
    assert {name.rpartition("/")[2] for name in names} == {"tiny.tflite"}
    said = {"a": [f"cannot read '/x/y/{names[1]}'", 3, None], "b": f"{names[0]} and /z/{names[0]}"}
    assert parcel.with_local_names(said, "/x/y") == {
        "a": [f"cannot read '{models[1]}'", 3, None],
        "b": f"{models[0]} and /z/{models[0]}",
    }
    assert parcel.is_model(names[0])
    assert not parcel.is_model(str(models[0]))
    assert not parcel.is_model(["a"])


def test_the_reference_is_sent_once_however_it_is_named(
    parcel: Parcel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copy(GOLDEN / "tiny_float32.onnx", tmp_path / "tiny.onnx")
    monkeypatch.chdir(tmp_path)
    reference = parcel.add_reference("./tiny.onnx")
    before = len(parcel.items)
    assert parcel.add_models([Path(model)]) == [reference]
    assert len(parcel.items) == before


def test_the_package_is_sent_whole_and_nothing_else_of_it(parcel: Parcel) -> None:
    names = {item.name for item in parcel.items}
    assert {"edgecnn/__init__.py", "edgecnn/__main__.py", "edgecnn/cli/bench.py", "edgecnn/bench/worker.py"} <= names
    assert all(name.endswith(".py") for name in names)
    assert parcel.size_bytes < 5e6


def test_what_cannot_be_sent_is_refused(parcel: Parcel, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(InputError, match="is no file"):
            parcel.add_file(path)
    with pytest.raises(InputError, match="no data called 'cifar'"):
        parcel.add_data("cifar", None)


def test_engines_are_those_that_the_rows_would_run_in(parcel: Parcel, tmp_path: Path) -> None:
    (tmp_path / "words.tflite").write_text("no model")
    parcel.add_models([GOLDEN / "tiny_int8.tflite", GOLDEN / "tiny_int8.onnx", tmp_path / "words.tflite"])
    assert parcel.engines() == ["litert", "onnxruntime"]
    assert parcel.engines(["opencv_dnn"]) == ["opencv_dnn"]
    assert parcel.engines(["all"]) == ["litert", "onnxruntime", "opencv_dnn"]
    assert set(ENGINE_PACKAGES) == set(ENGINES)
