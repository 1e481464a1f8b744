"""Keras files of others: what computes is opened, what could run code is refused before Keras sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.artifact import open_artifact
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.models import MODELS, build_model
from edgecnn.models.loading import facts_of, load_keras_model
from edgecnn.models.screen import screen
from edgecnn.spec import complete_spec

KERAS_FILES = [
    "fashion_mnist_hrhouma.h5",
    "fashion_mnist_hrhouma.keras",
    "lenet_mnist_Sam783.h5",
    "mlperf_tiny_ic_resnet8_cifar10.h5",
]


def with_config(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change the architecture inside a ``.keras`` file by hand: nothing of it runs to make it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def layer(class_name: str, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config or {}, "registered_name": None, **more}


LAMBDA = layer("Lambda", {"name": "l", "function": {"class_name": "__lambda__", "config": {"value": "4wEA"}}})
FUNCTION = {"class_name": "function", "config": "get_file", "registered_name": "get_file"}
HOSTILE_LAYERS = {
    "TFSMLayer": layer("TFSMLayer", {"filepath": "/tmp/x", "call_endpoint": "serve"}),  # noqa: S108
    "Lambda": layer("TimeDistributed", {"layer": layer("Sequential", {"layers": [LAMBDA]}, module="keras")}),
    "TorchModuleWrapper": layer("TorchModuleWrapper", {"module": "eA=="}),
    "another file": layer("StringLookup", {"vocabulary": "/etc/passwd"}),
    "__lambda__": layer("Dense", {"units": 1, "kernel_initializer": {"class_name": "__lambda__", "config": {}}}),
    "__typespec__": layer("Dense", {"units": 1, "activation": {"class_name": "__typespec__", "config": []}}),
    "__other__": layer("Dense", {"units": {"class_name": "__other__", "config": 1}}),
    "module 'os'": layer("system", module="os"),
    "module 'keras_evil'": layer("Dense", module="keras_evil"),
    "keras.config": layer("Activation", {"activation": {
        "module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization",
        "registered_name": "enable_unsafe_deserialization"}}),
    "keras.utils": layer("Activation", {"activation": {"module": "keras.utils", **FUNCTION}}),
    "keras.src.utils": layer("Activation", {"activation": {"module": "keras.src.utils.file_utils", **FUNCTION}}),
    "builtins": layer("Activation", {"activation": {"module": "builtins", **FUNCTION}}),
    "unknown module": layer("Activation", {"activation": FUNCTION}),
    "config.enable": layer("config.enable_unsafe_deserialization", module="keras"),
    "registered as": layer("Dense", {"units": 1}, registered_name="evil>Dense"),
    "of the name": layer(["Dense"]),  # type: ignore[arg-type]
    "module 7": layer("Dense", module=7),
    "compile_config": layer("Sequential", {"layers": []}, module="keras", compile_config={
        "loss": {"module": "evil", "class_name": "function", "config": "loss", "registered_name": "loss"}}),
}  # fmt: skip


class Handed(BaseException):
    """Keras was handed a file. No Exception: what Keras raises is turned into an error of ours."""


@pytest.mark.parametrize("what", HOSTILE_LAYERS)
def test_layers_that_could_run_code_are_refused(
    golden: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    import keras

    def never(*_: object, **__: object) -> None:
        raise Handed

    path = with_config(golden("tiny.keras"), lambda config: config["config"]["layers"].append(HOSTILE_LAYERS[what]))
    artifact = open_artifact(path)
    monkeypatch.setattr(keras.saving, "load_model", never)
    with pytest.raises(InputError, match="run code") as caught:
        load_keras_model(artifact)
    assert "--trust" in caught.value.remedy
    assert what in caught.value.message or what == "compile_config"
    with pytest.raises(Handed):  # the screen is what refused it
        load_keras_model(artifact, trust=True)


def test_a_loss_of_ones_own_is_nothing_to_opening(golden: Callable[[str], Path]) -> None:
    """Keras does not read how the outermost model was compiled."""
    loss = {"module": "builtins", "class_name": "function", "config": "my_loss", "registered_name": "my_loss"}
    path = with_config(golden("tiny.keras"), lambda config: config.update(compile_config={"loss": loss}))
    assert load_keras_model(open_artifact(path)) is not None


def test_deep_architectures_are_screened() -> None:
    config: dict[str, Any] = LAMBDA
    for _ in range(50_000):
        config = {"inner": [config]}
    with pytest.raises(InputError, match="Lambda"):
        screen(Path("x"), config)


def test_what_is_screened_is_what_is_opened(golden: Callable[[str], Path], tmp_path: Path) -> None:
    """HDF5 by its first bytes, an archive for who reads from the end: named .keras, Keras would take the archive."""
    harmless = tmp_path / "harmless.h5"
    load_keras_model(open_artifact(golden("tiny.keras"))).save(harmless)
    hostile = with_config(golden("tiny.keras"), lambda config: config["config"]["layers"].append(LAMBDA))
    both = tmp_path / "both.keras"
    both.write_bytes(harmless.read_bytes() + hostile.read_bytes())
    assert zipfile.is_zipfile(both)
    artifact = open_artifact(both)
    assert artifact.format == "h5"
    assert [type(layer).__name__ for layer in load_keras_model(artifact).layers] == [
        "Conv2D", "GlobalAveragePooling2D", "Dense",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".h5", ".KERAS", ".model", ""])
def test_the_suffix_does_not_matter(golden: Callable[[str], Path], suffix: str) -> None:
    path = golden("tiny.keras")
    assert load_keras_model(open_artifact(path.rename(path.with_suffix(suffix)))).input_shape == (None, 8, 8, 3)


@pytest.mark.parametrize("name", KERAS_FILES)
def test_files_of_others_are_opened(test_data: Callable[[str], Path], name: str) -> None:
    assert facts_of(load_keras_model(open_artifact(test_data(f"keras/{name}")))).classes


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_our_models_are_opened(tmp_path: Path, name: str, suffix: str) -> None:
    model = build_model(name)
    model.save(tmp_path / f"m{suffix}")
    assert load_keras_model(open_artifact(tmp_path / f"m{suffix}")).input_shape == model.input_shape


def test_operations_of_keras_are_opened(tmp_path: Path) -> None:
    import keras

    pixels = keras.Input((8, 8, 3))
    hidden = keras.ops.mean(keras.ops.relu(pixels / 255.0), axis=(1, 2))
    hidden = keras.layers.Activation(keras.activations.gelu)(hidden)
    hidden = keras.layers.Dense(3, activation=keras.ops.softmax, kernel_regularizer=keras.regularizers.L2(0.1))(hidden)
    model = keras.Model(pixels, keras.layers.Dropout(0.5, seed=3)(hidden[:, :3]))
    model.compile("adam", "categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    picture = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    again = load_keras_model(open_artifact(tmp_path / "m.keras"))
    np.testing.assert_allclose(again(picture), model(picture))


def test_corrupt_weights_are_refused_when_opened(golden: Callable[[str], Path]) -> None:
    path = golden("tiny.keras")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
    middle = info.header_offset + info.file_size // 2
    content[middle : middle + 50] = b"\xff" * 50
    path.write_bytes(content)
    with pytest.raises(EdgecnnError) as caught:
        load_keras_model(open_artifact(path))
    assert caught.value.remedy


def test_one_output_without_sigmoid_asks_for_the_head(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    facts = facts_of(load_keras_model(open_artifact(tmp_path / "m.keras")))
    assert (facts.classes, facts.head_kind) == (1, "logits")
    told: dict[str, Any] = {"input": {"scale": 1, "color": "rgb"}}
    with pytest.raises(InputError, match="one output") as caught:
        complete_spec(told, facts, name="m", labels=["no", "yes"])
    assert "--head binary" in caught.value.remedy
    assert complete_spec({**told, "head": "binary"}, facts, name="m", labels=["no", "yes"]).classes == 2


@pytest.mark.parametrize(
    ("backend", "said"), [("tensorflwo", "did you mean 'tensorflow'"), ("torch", "which is not installed")]
)
def test_a_backend_that_is_not_there_is_named(backend: str, said: str) -> None:
    """Torch is hidden as it is where it is not installed."""
    script = "import sys\nsys.modules['torch'] = None\nfrom edgecnn.cli.main import main\nsys.exit(main(['models']))\n"
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
