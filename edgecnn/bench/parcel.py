"""What ``bench --host`` sends: model files, pictures, and the package itself, each under a name of its own.

This module must not know how anything is sent. It knows the names that things have on the board, and
gives every text that comes back the names that they have here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.artifact import open_artifact
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.runtimes import engines_for

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgecnn.data import Dataset

#: Pictures of files are sent decoded up to this size; beyond it the board reads them one by one, as it would its own.
MOST_DECODED_BYTES = 128 << 20
#: What running the package needs besides an engine: import name -> distribution.
BASE_PACKAGES = {"numpy": "numpy", "psutil": "psutil", "yaml": "PyYAML", "cv2": "opencv-python-headless"}
#: Engine -> (import names of which any will do, the distribution that brings one).
ENGINE_PACKAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "litert": (("ai_edge_litert", "tflite_runtime", "tensorflow"), "ai-edge-litert"),
    "onnxruntime": (("onnxruntime",), "onnxruntime"),
    "opencv_dnn": (("cv2",), "opencv-python-headless"),
    "keras": (("keras",), "keras"),
}
KERAS_SUFFIXES = (".keras", ".h5")
_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Item:
    """One thing to send.

    Args:
        name: on the board, relative to the folder of the visit; ends with ``/`` for an empty folder.
        source: the file here; ``None`` for a folder.
        size_bytes: of the file when it was chosen.
    """

    name: str
    source: Path | None
    size_bytes: int


class Parcel:
    """Everything that one run needs on the board.

    ``items`` is what is sent, the package first; ``models`` are the files that become rows,
    ``reference`` the float reference, ``data`` what the user called the pictures.

    Args:
        scratch: an empty folder that outlives the parcel: decoded pictures are written there.
    """

    def __init__(self, scratch: Path) -> None:
        self.items: list[Item] = []
        self.models: list[Path] = []
        self.reference: Path | None = None
        self.data: str | None = None
        self._scratch = scratch
        # Not a word that a file's own text may hold: it is searched for in what comes back.
        self._folder = f"sent-{secrets.token_hex(4)}"
        self._local_names: dict[str, str] = {}
        self._reference_name = ""
        for source in sorted(_PACKAGE.rglob("*.py")):
            self._put(f"edgecnn/{source.relative_to(_PACKAGE).as_posix()}", source)

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items)

    def add_file(self, path: str | Path) -> str:
        """Add a file, under its own name in a folder of its own, and return its name on the board.

        Raises:
            InputError: there is no such file, or it cannot be read.
        """
        source = Path(path)
        if not source.is_file():
            raise InputError(f"{str(path)!r} is no file", "check the path")
        name = f"{self._folder}/{len(self._local_names)}/{source.name}"
        self._put(name, source)
        self._local_names[name] = str(source)
        return name

    def add_reference(self, path: str) -> str:
        """Add the float reference, a model or a ``reference.json``, and return its name on the board."""
        self.reference, self._reference_name = Path(path), self.add_file(path)
        return self._reference_name

    def add_models(self, files: Sequence[Path]) -> list[str]:
        """Add model files, after the reference, and return their names on the board.

        A file that is the reference too is not sent twice, so that the board knows it for one.
        """
        names = []
        for file in files:
            is_reference = self.reference is not None and file.samefile(self.reference)
            names.append(self._reference_name if is_reference else self.add_file(file))
        self.models += files
        return names

    def add_data(self, data: str, limit: int | None) -> str:
        """Add the pictures that the board will read as ``data`` would be read here, and return their name there.

        They are sent decoded, as one ``.npz``, so that both machines see the same bytes whatever
        decoder they have; pictures of several sizes, or too many for that, as their files.

        Raises:
            InputError: as of :func:`edgecnn.data.load_data`.
        """
        from edgecnn.data import load_data

        dataset = load_data(data, "test", limit=limit)
        pictures = _one_array(dataset)
        # As files all of them: which ones are drawn for --limit depends on what there is to draw from.
        name = self._add_pictures(load_data(data, "test")) if pictures is None else self._add_npz(pictures, dataset)
        self.data = data
        self._local_names[name] = data
        return name

    def _add_npz(self, pictures: npt.NDArray[np.uint8], dataset: Dataset) -> str:
        import numpy as np

        source = self._scratch / "data.npz"
        arrays: dict[str, Any] = {"x_test": pictures}
        if dataset.classes is not None:
            arrays["y_test"] = dataset.classes
        if dataset.class_names is not None:
            arrays["class_names"] = np.array(dataset.class_names, dtype=np.str_)
        with source.open("wb") as stream:
            np.savez(stream, **arrays)
        name = f"{self._folder}/data.npz"
        self._put(name, source)
        return name

    def _add_pictures(self, dataset: Dataset) -> str:
        """Add picture files below ``test``, in class folders where they have classes: classes without any too."""
        from edgecnn.data import LazyPictures

        files = dataset.pictures.names if isinstance(dataset.pictures, LazyPictures) else []
        name = f"{self._folder}/data"
        inner = f"{name}/test/"
        for class_name in (dataset.class_names or ()) if dataset.classes is not None else ():
            self.items.append(Item(f"{inner}{class_name}/", None, 0))
        for file in map(Path, files):
            below = f"{file.parent.name}/{file.name}" if dataset.classes is not None else file.name
            self._put(inner + below, file)
        return name

    def _put(self, name: str, source: Path) -> None:
        try:
            with source.open("rb"):
                self.items.append(Item(name, source, source.stat().st_size))
        except OSError as error:
            raise InputError(f"cannot read {str(source)!r}: {error.strerror}", "check its permissions") from error

    def is_model(self, name: object) -> bool:
        """Return whether something that the board calls a row's file was sent as a file."""
        return isinstance(name, str) and name in self._local_names

    def with_local_names(self, value: Any, folder: str) -> Any:
        """Return plain data in which every text names files as they are named here.

        Args:
            folder: of the visit, on the board: its absolute names begin with it.
        """
        if isinstance(value, str):
            for name, local in self._local_names.items():
                if name in value:
                    value = value.replace(f"{folder}/{name}", local).replace(name, local)
            return value
        if isinstance(value, list):
            return [self.with_local_names(item, folder) for item in value]
        if isinstance(value, dict):
            return {key: self.with_local_names(item, folder) for key, item in value.items()}
        return value

    def engines(self, runtimes: Sequence[str] = ()) -> list[str]:
        """Return the engines that the rows would run in: those named, where they open a file, or each format's own."""
        found: dict[str, None] = {}
        for file in self.models:
            try:
                able = engines_for(open_artifact(file))
            except EdgecnnError:
                continue  # a row will say so
            chosen = able[:1] if not runtimes else [name for name in able if name in runtimes or "all" in runtimes]
            found.update(dict.fromkeys(chosen))
        return list(found)


def _one_array(dataset: Dataset) -> npt.NDArray[np.uint8] | None:
    """Return all pictures as one array; ``None`` where their sizes differ or files hold too many of them."""
    import numpy as np

    if isinstance(dataset.pictures, np.ndarray):
        return dataset.pictures
    rows: list[npt.NDArray[np.uint8]] = []
    size = 0
    for picture in dataset:
        size += picture.nbytes
        if size > MOST_DECODED_BYTES or (rows and picture.shape != rows[0].shape):
            return None
        rows.append(picture)
    return np.stack(rows)
