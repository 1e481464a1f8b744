"""Keras files before Keras: the architecture inside as data, and copies with another one.

This module must not know Keras: what it reads is judged, and what it writes is opened, elsewhere.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.artifact import Artifact
from edgecnn.errors import InputError, OutputError
from edgecnn.formats import damaged
from edgecnn.formats.keras import config_of

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
#: Bytes. The architecture of a large CNN has a few hundred thousand.
_LARGEST_JSON = 16 << 20


@dataclass(frozen=True)
class Architecture:
    """What a Keras file says that it computes.

    Args:
        config: plain data, as ``model.to_json()`` gives it.
        beside: the ``.json`` file that it was read from, where the model file holds weights alone.
    """

    config: object
    beside: Path | None = None


def architecture_of(artifact: Artifact) -> Architecture:
    """Return the architecture of a ``.keras`` or ``.h5`` file; of weights alone, that in the ``.json`` beside.

    Raises:
        InputError: the file is damaged, or holds weights alone and no ``.json`` lies beside it.
    """
    if artifact.format == "keras":
        return Architecture(config_of(artifact.path))
    import h5py

    try:
        with h5py.File(artifact.path, "r") as file:
            text, backend = file.attrs.get("model_config"), file.attrs.get("backend")
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise damaged(artifact.path, "HDF5", error) from error
    if backend in ("theano", b"theano"):
        # Its convolutions turn the kernels around; Keras 3 would compute with them as they lie.
        raise InputError(f"{str(artifact.path)!r} holds weights of Theano", "convert the model with Keras 2")
    if text is None:
        return _architecture_beside(artifact.path)
    try:
        return Architecture(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise damaged(artifact.path, "Keras", error) from error


def _architecture_beside(path: Path) -> Architecture:
    # model.weights.h5 is what Keras 3 asks weights to be called: model.json is beside it, too.
    names = dict.fromkeys((path.with_suffix(".json"), path.with_suffix("").with_suffix(".json")))
    found = next((name for name in names if name.is_file()), None)
    if found is None:
        raise InputError(
            f"{str(path)!r} holds weights without a model",
            f"put model.to_json() into {path.with_suffix('.json').name} beside it, or save all: model.save('m.keras')",
        )
    try:
        if found.stat().st_size > _LARGEST_JSON:
            raise InputError(f"{str(found)!r} has more than {_LARGEST_JSON} bytes: no architecture", "remove it")
        config = json.loads(found.read_text(encoding="utf-8-sig"))
        # json.dump(model.to_json()) is JSON in JSON.
        return Architecture(json.loads(config) if isinstance(config, str) else config, found)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the architecture {str(found)!r}: {error}", "write model.to_json() to it"
        ) from error


@contextmanager
def named_by_format(artifact: Artifact) -> Iterator[Path]:
    """Yield a path to the file whose suffix is its format.

    Keras chooses its reader by the suffix, the screen by the first bytes: a file that is both an
    archive and HDF5 would be screened as the one and opened as the other.
    """
    if artifact.path.suffix == f".{artifact.format}":
        yield artifact.path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"model.{artifact.format}")
        link.symlink_to(artifact.path.resolve())
        yield link


@contextmanager
def copy_with(artifact: Artifact, config: object) -> Iterator[Path]:
    """Yield a copy of the file, for as long as the context lasts, whose architecture is ``config``.

    The weights are copied as bytes, so what Keras checks in them it checks in the copy.

    Raises:
        InputError: the file is damaged.
        OutputError: there is no room for the copy.
    """
    text = json.dumps(config)
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = _written_copy(artifact, text, Path(folder))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise damaged(artifact.path, "Keras", error) from error
            raise OutputError(
                f"no room in {folder!r} for a repaired copy of {str(artifact.path)!r}",
                "set TMPDIR to a folder with room",
            ) from error
        yield path


def _written_copy(artifact: Artifact, config: str, folder: Path) -> Path:
    if artifact.format == "keras":
        with zipfile.ZipFile(artifact.path) as archive:
            weights = Path(archive.extract(_WEIGHTS, folder))
        return _archive(config, weights, folder)
    import h5py

    copy = Path(shutil.copyfile(artifact.path, folder / "model.h5"))
    copy.chmod(0o600)
    with h5py.File(copy, "r+") as file:
        if "model_weights" not in file and "layer_names" not in file.attrs and "layer_names0" not in file.attrs:
            return _archive(config, copy, folder)  # the weights as Keras 3 writes them
        file.attrs["model_config"] = config
        if "model_weights" not in file:
            _gather_weights(file)
    return copy


def _archive(config: str, weights: Path, folder: Path) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_METADATA, "{}")
        archive.writestr(_CONFIG, config)
        archive.write(weights, _WEIGHTS)
    return path


def _gather_weights(file: Any) -> None:
    """Put the layers of a file of weights alone where a whole model has them: as links, nothing is copied."""
    names = list(file)
    group = file.create_group("model_weights")
    for name in names:
        group[name] = file[name]
    for key, value in file.attrs.items():
        if key != "model_config":
            group.attrs[key] = value
