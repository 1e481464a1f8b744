"""Export: plan, convert, embed the contract, verify beside the float model, place, manifest.

Converters are known by the names in a table and imported when used. This module must not know
engines, nor the command line.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgecnn import __version__, formats
from edgecnn.artifact import Artifact, contract_document, open_artifact
from edgecnn.data import Dataset
from edgecnn.errors import EngineError, InputError, MissingDependency
from edgecnn.files import ensure_folder, move, write_json
from edgecnn.recipe import FORMATS, RECIPES, CalibrationRecord, Recipe
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import ModelSpec
from edgecnn.verify import Reference, Verdict, verify
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info

if TYPE_CHECKING:
    from converters import Converted

MANIFEST = "manifest.json"
MANIFEST_SCHEMA_VERSION = 1
#: Files that failed verification are kept here, inside the output folder.
REJECTED = "rejected"
#: Fewer calibration pictures than this give ranges that depend on the draw.
FEW_CALIBRATION_SAMPLES = 100
_FLOAT = RECIPES["float32"]
_SCRATCH_PREFIX = ".export-"
_STALE_SECONDS = 3600


@dataclass(frozen=True)
class _Route:
    """How one format is made: from Keras to float, from float to quantized, with which distributions."""

    to_float: str
    quantize: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]


_ROUTES = {
    "tflite": _Route(
        "converters.keras_to_tflite",
        "converters.quantize_tflite",
        ("tensorflow", "ai-edge-quantizer"),
        ("tensorflow", "ai_edge_quantizer", "ai_edge_litert"),
    ),
    "onnx": _Route(
        "converters.keras_to_onnx",
        "converters.quantize_onnx",
        ("tf2onnx", "onnx", "onnxruntime"),
        ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "sympy"),
    ),
}


def require_converters(formats_wanted: Sequence[str]) -> None:
    """Check, without importing them, that the packages that make these formats are installed.

    Raises:
        MissingDependency: one is not.
    """
    for format_name in formats_wanted:
        for module in _ROUTES[format_name].modules:
            if find_spec(module) is None:
                raise MissingDependency(module, "export", f"making .{format_name} files")


@dataclass(frozen=True)
class Calibration:
    """Pictures that set the ranges of static recipes, and where they came from."""

    pictures: Dataset
    record: CalibrationRecord

    @classmethod
    def draw(cls, dataset: Dataset, samples: int, seed: int) -> Calibration:
        """Draw ``samples`` pictures, class-balanced, by ``seed``.

        Raises:
            InputError: ``samples`` is no positive number.
        """
        if samples < 1:
            raise InputError(f"calibration needs at least 1 picture, not {samples}", "300 is the default")
        chosen = dataset.balanced(samples, seed)
        return cls(chosen, CalibrationRecord(Path(dataset.name).name, len(chosen), seed, chosen.sha256()))

    def tensors(self, spec: ModelSpec) -> npt.NDArray[np.float32]:
        """Return float32 (N, ...) inputs of the float model, without the batch axis."""
        preprocess = Preprocessor(spec.input, float_tensor_info(spec.input))
        return np.concatenate([preprocess(picture).copy() for picture in self.pictures]).astype(np.float32)


@dataclass(frozen=True)
class ExportRequest:
    """Everything that one export needs but the reference's answers; ``max_drop`` in points of accuracy."""

    source: Artifact
    spec: ModelSpec
    formats: Sequence[str]
    recipes: Sequence[Recipe]
    out: Path
    data: Dataset
    calibration: Calibration | None = None
    max_drop: float = 1.0
    trust: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise InputError(f"max_drop must be 0 to 100 points, not {self.max_drop}", "1.0 is the default")
        if self.calibration is None and any(recipe.needs_calibration for recipe in self.recipes):
            names = ", ".join(recipe.name for recipe in self.recipes if recipe.needs_calibration)
            raise InputError(f"{names} needs calibration pictures", "give --calibration DATA")


@dataclass(frozen=True)
class Exported:
    """One planned file and its verdict; ``artifact`` is ``None`` where no file could be made."""

    format: str
    recipe: Recipe
    artifact: Artifact | None
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        made = self.artifact
        verdict = self.verdict
        return {
            "path": str(made.path) if made else None,
            "format": self.format,
            "recipe": self.recipe.name,
            "calibration": self.recipe.calibration.to_dict() if self.recipe.calibration else None,
            "size_bytes": made.size_bytes if made else None,
            "sha256": made.sha256 if made else None,
            "verdict": "pass" if verdict.passed else "fail",
            "reason": verdict.reason,
            "accuracy": verdict.accuracy,
            "accuracy_change_points": verdict.accuracy_change_points,
            "change_ci95_points": list(verdict.change_ci95_points) if verdict.change_ci95_points else None,
            "agreement": verdict.agreement,
            "max_drift": verdict.max_drift,
            "mean_drift": verdict.mean_drift,
        }


def export(request: ExportRequest, reference: Reference, reporter: Reporter = SILENT) -> list[Exported]:
    """Make, verify and place every file of the request, keeping the manifest true after each.

    A file that fails is placed in ``rejected/`` and named; a recipe that cannot be made costs its
    own row. Each file appears whole or not at all.

    Raises:
        OutputError: the output folder cannot be written.
        MissingDependency: a converter or an engine is not installed.
        InputError: Keras does not run on TensorFlow.
    """
    require_converters(request.formats)
    ensure_folder(request.out)
    _sweep(request.out)
    manifest = Manifest(request, reference)
    needs_calibration = any(recipe.needs_calibration for recipe in request.recipes)
    calibration = request.calibration.tensors(request.spec) if request.calibration and needs_calibration else None
    exported = []
    with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=request.out) as scratch:
        for format_name in request.formats:
            for made in _make(request, reference, format_name, Path(scratch), calibration, reporter):
                manifest.forget(made)
                placed = _place(request, made)
                manifest.record(placed)
                mark = "ok  " if placed.verdict.passed else "FAIL"
                reporter.say(f"{mark} {format_name} {placed.recipe.name}{_told(placed)}")
                exported.append(placed)
    return exported


def _sweep(folder: Path) -> None:
    """Remove what killed runs left; a run that is at work beside this one keeps its scratch folder."""
    for scratch in folder.glob(f"{_SCRATCH_PREFIX}*"):
        if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(scratch, ignore_errors=True)


def _told(exported: Exported) -> str:
    return f": {exported.verdict.reason}" if exported.verdict.reason else ""


def _make(
    request: ExportRequest,
    reference: Reference,
    format_name: str,
    scratch: Path,
    calibration: npt.NDArray[np.float32] | None,
    reporter: Reporter,
) -> Iterator[Exported]:
    """Yield every recipe of one format, converted and judged: one float conversion feeds them all."""
    from converters import ConversionJob

    route = _ROUTES[format_name]
    suffix = FORMATS[format_name]
    float_path = scratch / f"float32{suffix}"
    quantized = {recipe: scratch / f"{recipe.name}{suffix}" for recipe in request.recipes if recipe != _FLOAT}
    first = ConversionJob(request.source.path, {_FLOAT: float_path}, request.spec, trust=request.trust)
    second = ConversionJob(float_path, quantized, request.spec, calibration)

    waiting = {recipe.name: recipe for recipe in request.recipes}
    try:
        for module, job in ((route.to_float, first), (route.quantize, second)):
            if not job.targets:
                continue
            reporter.say(f"making {format_name}: {', '.join(recipe.name for recipe in job.targets)}")
            for converted in import_module(module).convert(job):
                if converted.recipe.name in waiting:
                    yield _judge(request, reference, format_name, converted, reporter)
                    del waiting[converted.recipe.name]
    except EngineError as error:
        for recipe in waiting.values():
            yield Exported(format_name, recipe, None, Verdict(False, error.message))


def _judge(
    request: ExportRequest, reference: Reference, format_name: str, converted: Converted, reporter: Reporter
) -> Exported:
    """Write the contract into a converted file and verify it."""
    recipe = converted.recipe
    if recipe.needs_calibration and request.calibration is not None:
        recipe = recipe.calibrated(request.calibration.record)
    tensors = {name: params.to_dict() for name, params in converted.tensors.items()}
    made_by = provenance(request.source, _ROUTES[format_name].distributions)
    contract = contract_document(request.spec, recipe, made_by, tensors)
    # The quantizers still start from the bare float file: the contract goes into a copy.
    finished = converted.path.with_name(f"finished{FORMATS[format_name]}")
    formats.embed(converted.path, format_name, contract, into=finished)
    artifact = open_artifact(finished)
    verdict = verify(artifact, request.data, reference, max_drop=request.max_drop, reporter=reporter)
    return Exported(format_name, recipe, artifact, verdict)


def provenance(source: Artifact, libraries: Sequence[str]) -> dict[str, str]:
    """Return where a file came from: the source's hash and the versions that made it."""
    made_by = {name: _version(name) for name in ("keras", *libraries)}
    return {"source": source.path.name, "source_sha256": source.sha256, "edgecnn": __version__, **made_by}


def _version(distribution: str) -> str:
    """Return an installed version; TensorFlow comes under more than one name."""
    names = (distribution, f"{distribution}-cpu", f"{distribution}-gpu")
    return next((found.version for name in names for found in distributions(name=name)), "unknown")


def _place(request: ExportRequest, made: Exported) -> Exported:
    """Rename a verified file to its place; the folder keeps no older file of the same name."""
    name = f"{request.spec.name}_{made.recipe.name}{FORMATS[made.format]}"
    good, rejected = request.out / name, request.out / REJECTED / name
    if made.artifact is None:
        good.unlink(missing_ok=True)
        rejected.unlink(missing_ok=True)
        return made
    destination, other = (good, rejected) if made.verdict.passed else (rejected, good)
    move(made.artifact.path, destination)
    other.unlink(missing_ok=True)
    return Exported(made.format, made.recipe, open_artifact(destination), made.verdict)


def report_document(reference: Reference, exported: Sequence[Exported]) -> dict[str, Any]:
    """Return what ``edgecnn export --json`` prints. Accuracies and agreements are percentages."""
    return {"reference": reference.to_dict(), "artifacts": [item.to_dict() for item in exported]}


class Manifest:
    """The record of an export beside its files: true whenever the run ends, paths relative to it.

    Rows of an earlier run stay while their files do, so a folder may be filled by several commands;
    an export of another model or on other terms starts anew.
    """

    def __init__(self, request: ExportRequest, reference: Reference) -> None:
        self._path = request.out / MANIFEST
        self._terms = {
            "schema_version": MANIFEST_SCHEMA_VERSION,
            "edgecnn": __version__,
            "source": {"file": request.source.path.name, "sha256": request.source.sha256},
            "data": {
                "name": Path(request.data.name).name,
                "split": request.data.split,
                "samples": len(request.data),
                "sha256": request.data.sha256(),
            },
            "max_drop_points": request.max_drop,
            "spec": request.spec.to_dict(),
            "reference": reference.to_dict(),
        }
        self._rows = self._earlier_rows()

    def forget(self, exported: Exported) -> None:
        """Drop the row of a file that is about to be replaced."""
        self._rows.pop(self._key(exported), None)
        self._write()

    def record(self, exported: Exported) -> None:
        """Add the row of a file that is in its place."""
        row = exported.to_dict()
        if exported.artifact is not None:
            row["path"] = str(exported.artifact.path.relative_to(self._path.parent))
        self._rows[self._key(exported)] = row
        self._write()

    def _key(self, exported: Exported) -> tuple[str, str]:
        return exported.format, exported.recipe.name

    def _earlier_rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        try:
            earlier = json.loads(self._path.read_text())
            same_terms = all(earlier.get(key) == value for key, value in self._terms.items())
            rows = {(row["format"], row["recipe"]): row for row in earlier["artifacts"]} if same_terms else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # none, or none of ours: this run writes its own
        return {key: row for key, row in rows.items() if row["path"] and (self._path.parent / row["path"]).is_file()}

    def _write(self) -> None:
        write_json(self._path, {**self._terms, "artifacts": list(self._rows.values())})
