"""Export: plan, convert, embed the contract, verify beside the float model, place, manifest.

Converters are known by the names in a table and imported when used. This module must not know
engines, nor the command line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgecnn import __version__, formats
from edgecnn.artifact import Artifact, contract_document, open_artifact
from edgecnn.data import Dataset
from edgecnn.errors import EdgecnnError, InputError, OutputError
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
#: Format -> (module that makes the float file from Keras, module that quantizes it, what they are).
_CONVERTERS = {
    "tflite": ("converters.keras_to_tflite", "converters.quantize_tflite", ("tensorflow", "ai-edge-quantizer")),
    "onnx": ("converters.keras_to_onnx", "converters.quantize_onnx", ("tf2onnx", "onnx", "onnxruntime")),
}


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
        return cls(chosen, CalibrationRecord(dataset.name, len(chosen), seed, chosen.sha256()))

    def tensors(self, spec: ModelSpec) -> npt.NDArray[np.float32]:
        """Return float32 (N, ...) inputs of the float model, without the batch axis."""
        preprocess = Preprocessor(spec.input, float_tensor_info(spec.input))
        return np.concatenate([preprocess(picture).copy() for picture in self.pictures]).astype(np.float32)


@dataclass(frozen=True)
class ExportRequest:
    """Everything that one export needs; ``max_drop`` in points of accuracy."""

    source: Artifact
    spec: ModelSpec
    formats: Sequence[str]
    recipes: Sequence[Recipe]
    out: Path
    data: Dataset
    reference: Reference
    calibration: Calibration | None = None
    max_drop: float = 1.0
    trust: bool = False

    def __post_init__(self) -> None:
        if not self.source.is_keras:
            raise InputError(
                f"{str(self.source.path)!r} is a .{self.source.format} file", "export starts from a Keras file"
            )
        if not (self.max_drop >= 0):
            raise InputError(f"--max-drop must be 0 or more points, not {self.max_drop}", "1.0 is the default")
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
            "size_bytes": made.size_bytes if made else None,
            "sha256": made.sha256 if made else None,
            "verdict": "pass" if verdict.passed else "fail",
            "reason": verdict.reason,
            "accuracy": verdict.accuracy,
            "accuracy_change_points": verdict.accuracy_change_points,
            "agreement": verdict.agreement,
            "max_drift": verdict.max_drift,
            "mean_drift": verdict.mean_drift,
        }


def export(request: ExportRequest, reporter: Reporter = SILENT) -> list[Exported]:
    """Make, verify and place every file of the request, then write the manifest.

    A file that fails is placed in ``rejected/`` and named; a recipe that cannot be made costs its
    own row. Each file appears whole or not at all.

    Raises:
        OutputError: the output folder cannot be written.
    """
    ensure_folder(request.out)
    exported = []
    with tempfile.TemporaryDirectory(prefix=".export-", dir=request.out) as scratch:
        for format_name in request.formats:
            for made in _make(request, format_name, Path(scratch), reporter):
                placed = _place(request, made)
                mark = "ok  " if placed.verdict.passed else "FAIL"
                reporter.say(f"{mark} {format_name} {placed.recipe.name}{_told(placed)}")
                exported.append(placed)
    write_json(request.out / MANIFEST, manifest(request, exported))
    return exported


def _told(exported: Exported) -> str:
    return f": {exported.verdict.reason}" if exported.verdict.reason else ""


def _make(request: ExportRequest, format_name: str, scratch: Path, reporter: Reporter) -> Iterator[Exported]:
    """Yield every recipe of one format, converted and judged: one float conversion feeds them all."""
    from converters import ConversionJob

    to_float, quantize, libraries = _CONVERTERS[format_name]
    suffix = FORMATS[format_name]
    float_path = scratch / f"float32{suffix}"
    quantized = {recipe: scratch / f"{recipe.name}{suffix}" for recipe in request.recipes if recipe != _FLOAT}
    needs_tensors = request.calibration is not None and any(recipe.needs_calibration for recipe in quantized)
    calibration = request.calibration.tensors(request.spec) if request.calibration and needs_tensors else None
    first = ConversionJob(request.source.path, {_FLOAT: float_path}, request.spec, trust=request.trust)
    second = ConversionJob(float_path, quantized, request.spec, calibration)

    waiting = list(request.recipes)
    try:
        for module, job in ((to_float, first), (quantize, second)):
            if not job.targets:
                continue
            reporter.say(f"making {format_name}: {', '.join(recipe.name for recipe in job.targets)}")
            for converted in import_module(module).convert(job):
                if converted.recipe in waiting:
                    yield _judge(request, format_name, converted, libraries, reporter)
                    waiting.remove(converted.recipe)
    except OutputError:
        raise
    except EdgecnnError as error:
        for recipe in waiting:
            yield Exported(format_name, recipe, None, Verdict(False, error.message))


def _judge(
    request: ExportRequest, format_name: str, converted: Converted, libraries: Sequence[str], reporter: Reporter
) -> Exported:
    """Write the contract into a converted file and verify it."""
    recipe = converted.recipe
    if recipe.needs_calibration and request.calibration is not None:
        recipe = recipe.calibrated(request.calibration.record)
    tensors = {name: params.to_dict() for name, params in converted.tensors.items()}
    contract = contract_document(request.spec, recipe, provenance(request.source, libraries), tensors)
    # The quantizers still start from the bare float file: the contract goes into a copy.
    finished = converted.path.with_name(f"finished{FORMATS[format_name]}")
    formats.embed(converted.path, format_name, contract, into=finished)
    artifact = open_artifact(finished)
    verdict = verify(artifact, request.data, request.reference, max_drop=request.max_drop, reporter=reporter)
    return Exported(format_name, converted.recipe, artifact, verdict)


def provenance(source: Artifact, libraries: Sequence[str]) -> dict[str, str]:
    """Return where a file came from: the source's hash and the versions that made it."""
    from importlib.metadata import version

    made_by = {name: version(name) for name in ("keras", *libraries)}
    return {"source": source.path.name, "source_sha256": source.sha256, "edgecnn": __version__, **made_by}


def _place(request: ExportRequest, made: Exported) -> Exported:
    """Rename a verified file to its place; the folder never keeps an older file of the same name."""
    if made.artifact is None:
        return made
    name = f"{request.spec.name}_{made.recipe.name}{FORMATS[made.format]}"
    places = (request.out / name, request.out / REJECTED / name)
    destination, other = places if made.verdict.passed else places[::-1]
    move(made.artifact.path, destination)
    other.unlink(missing_ok=True)
    return Exported(made.format, made.recipe, open_artifact(destination), made.verdict)


def report_document(reference: Reference, exported: Sequence[Exported]) -> dict[str, Any]:
    """Return what ``edgecnn export --json`` prints. Accuracies and agreements are percentages."""
    return {
        "reference": {"accuracy": reference.accuracy, "samples": reference.samples, "device": reference.device},
        "artifacts": [item.to_dict() for item in exported],
    }


def manifest(request: ExportRequest, exported: Sequence[Exported]) -> dict[str, Any]:
    """Return the record of an export, paths relative to the folder that holds it."""
    document = report_document(request.reference, exported)
    for row in document["artifacts"]:
        if row["path"] is not None:
            row["path"] = str(Path(row["path"]).relative_to(request.out))
    return {
        "schema_version": MANIFEST_SCHEMA_VERSION,
        "edgecnn": __version__,
        "source": {"file": request.source.path.name, "sha256": request.source.sha256},
        "data": {"name": request.data.name, "samples": len(request.data), "sha256": request.data.sha256()},
        "calibration": request.calibration.record.to_dict() if request.calibration else None,
        "max_drop_points": request.max_drop,
        "spec": request.spec.to_dict(),
        **document,
    }
