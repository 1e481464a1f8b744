"""A whole training run, in process, on data that is learned in seconds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edgecnn import __version__
from edgecnn.artifact import open_artifact
from edgecnn.errors import InputError, OutputError
from edgecnn.models import MODELS
from edgecnn.training import TrainingPlan, train
from edgecnn.training.callbacks import KeepBest
from edgecnn.training.curves import draw_curves
from edgecnn.training.splits import load_splits
from edgecnn.training.train import _provenance

from .conftest import bars

PLAN = TrainingPlan(epochs=4, batch_size=32, seed=1)


class Lines:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str = "") -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def progress(self, items, label, total=None):  # type: ignore[no-untyped-def]
        return iter(items)


def test_three_files_and_what_they_say(bars_npz: Path, tmp_path: Path) -> None:
    lines = Lines()
    result = train("lenet5", str(bars_npz), tmp_path / "out", PLAN, reporter=lines)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.png", "history.json", "model.keras"]
    assert result.test_accuracy > 90
    assert dict(result.samples) == {"train": 108, "validation": 12, "test": 60}
    assert sum(line.startswith("epoch") for line in lines.said) == 4

    artifact = open_artifact(result.model)
    spec = artifact.require_spec()
    assert spec == result.spec
    assert (spec.name, spec.labels, spec.head.kind) == ("lenet5_bars", ("left", "mid", "right"), "probabilities")
    assert (spec.input.shape, spec.input.color, spec.input.scale) == ((1, 28, 28, 1), "gray", 1 / 255)
    assert artifact.provenance["data"] == "bars.npz"
    assert artifact.provenance["seed"] == "1"
    assert artifact.provenance["edgecnn"] == __version__
    assert len(artifact.provenance["train_sha256"]) == 64

    pictures, classes = bars(60, seed=2)
    model = keras.saving.load_model(result.model)
    probabilities = model.predict(pictures[..., None].astype(np.float32) / 255, verbose=0)
    assert 100 * (probabilities.argmax(axis=1) == classes).mean() == pytest.approx(result.test_accuracy)

    history = json.loads(result.history.read_text())
    assert history["test_accuracy"] == result.test_accuracy
    assert max(history["per_epoch"]["val_accuracy"]) > 90
    assert [len(values) for values in history["per_epoch"].values()] == [4, 4, 4, 4]
    assert cv2.imread(str(result.curves)).shape == (504, 1200, 3)


def test_no_date_and_no_path_of_the_machine_in_the_files(bars_npz: Path, tmp_path: Path) -> None:
    result = train("lenet5", str(bars_npz), tmp_path / "out", TrainingPlan(epochs=1))
    with zipfile.ZipFile(result.model) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        texts = [archive.read(name) for name in archive.namelist()] + [result.history.read_bytes()]
    assert not any(str(tmp_path).encode() in text or b"date_saved" in text for text in texts)


def test_the_best_weights_are_kept_not_the_last(bars_npz: Path, tmp_path: Path) -> None:
    """A learning rate that ruins the model after some epochs shows it."""
    plan = TrainingPlan(epochs=6, batch_size=32, learning_rate=0.05, patience=3, seed=0)
    result = train("lenet5", str(bars_npz), tmp_path, plan)
    history = json.loads(result.history.read_text())["per_epoch"]
    best = max(range(result.epochs), key=lambda epoch: (history["val_accuracy"][epoch], -history["val_loss"][epoch]))
    assert result.best_epoch == best + 1
    assert result.validation_accuracy == history["val_accuracy"][best]
    assert result.epochs <= result.best_epoch + 3  # patience


def fed(keeper: KeepBest, epochs: list[tuple[float, float]]) -> keras.Model:
    """Return a model of one weight that counts epochs, after a run with these accuracies and losses."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    keeper.set_model(model)
    for epoch, (accuracy, loss) in enumerate(epochs):
        model.set_weights([np.array([[epoch + 1.0]])])
        keeper.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        if getattr(model, "stop_training", False):
            break
    keeper.on_train_end()
    return model


@pytest.mark.parametrize(
    ("epochs", "best", "last"),
    [
        ([(0.5, 1.0), (0.9, 0.9), (0.8, 0.1)], 2, False),  # accuracy goes before loss
        ([(0.9, 0.5), (0.9, 0.4), (0.9, 0.6)], 2, False),  # loss decides between equals
        ([(0.9, 0.5), (0.8, 0.5), (0.8, 0.5), (1.0, 0.1)], 1, True),  # patience is over before the fourth
        ([(0.9, 0.5), (1.0, float("nan"))], 1, False),  # nothing of a diverged epoch is kept
    ],
)
def test_which_epoch_is_kept(epochs: list[tuple[float, float]], best: int, last: bool) -> None:
    keeper = KeepBest(patience=2)
    model = fed(keeper, epochs)
    assert keeper.best_epoch == best
    assert model.get_weights()[0].item() == best
    assert bool(getattr(model, "stop_training", False)) is last


def test_interruption_leaves_the_earlier_files_whole_and_nothing_else(
    bars_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.keras").write_bytes(b"of yesterday")

    class Interrupting(Lines):
        def say(self, text: str = "") -> None:
            if text.startswith("epoch 2"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("lenet5", str(bars_npz), out, PLAN, reporter=Interrupting())
    assert [path.name for path in out.iterdir()] == ["model.keras"]
    assert (out / "model.keras").read_bytes() == b"of yesterday"


def test_interruption_while_saving_leaves_nothing(
    bars_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgecnn.formats.embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("lenet5", str(bars_npz), tmp_path / "out", TrainingPlan(epochs=1))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_diverging_run_is_an_error_with_a_remedy(
    bars_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = keras.layers.Dense.build

    def poisoned(layer, shape):  # type: ignore[no-untyped-def]
        build(layer, shape)
        layer.kernel.assign(layer.kernel * np.nan)

    monkeypatch.setattr(keras.layers.Dense, "build", poisoned)
    with pytest.raises(InputError, match="diverged"):
        train("lenet5", str(bars_npz), tmp_path / "out", TrainingPlan(epochs=1))
    assert list((tmp_path / "out").iterdir()) == []


def test_color_pictures_into_a_grey_model_of_another_size(tmp_path: Path) -> None:
    pictures, classes = bars(60, seed=3)
    path = tmp_path / "color.npz"
    rgb = np.repeat(pictures[..., None], 3, axis=-1)
    np.savez(path, x=rgb, y=classes)
    lines = Lines()
    result = train(
        "resnet8", str(path), tmp_path, TrainingPlan(epochs=1), input_size=(16, 24), channels=1, reporter=lines
    )
    assert result.spec.input.shape == (1, 16, 24, 1)
    assert any("no test split" in line for line in lines.warned)


def test_out_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        train("lenet5", "no such data", tmp_path / "file" / "out")


def test_curves_of_one_epoch_can_be_drawn(tmp_path: Path) -> None:
    history = {"loss": [1.0], "val_loss": [1.1], "accuracy": [40.0], "val_accuracy": [50.0]}
    draw_curves(history, tmp_path / "c.png", title="one", best_epoch=1, test_accuracy=50.0)
    assert cv2.imread(str(tmp_path / "c.png")).std() > 5


def test_options_of_the_model_are_in_the_provenance(bars_npz: Path) -> None:
    data = load_splits(str(bars_npz), limit=None, seed=0)
    facts = _provenance(MODELS["mobilenet"], "some/where/bars.npz", data, TrainingPlan(), {"alpha": 0.5})
    assert (facts["model"], facts["model_alpha"], facts["data"]) == ("mobilenet", "0.5", "bars.npz")
