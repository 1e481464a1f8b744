"""Export: plan, convert, embed the contract, verify beside the float model, place, manifest.

This module must not know engines, nor the command line.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecnn import __version__
from edgecnn.artifact import Artifact, open_artifact
from edgecnn.data import Dataset
from edgecnn.errors import EngineError, InputError
from edgecnn.export.calibration import Calibration
from edgecnn.export.judge import Judge
from edgecnn.export.manifest import Candidate, Exported, Manifest, Trial
from edgecnn.export.ranking import Ranking
from edgecnn.export.routes import FLOAT, Maker, Source, require_converters
from edgecnn.export.search import BudgetSearch, Tried
from edgecnn.export.speed import CLEARLY_SLOWER, inference_p50_ms, prediction_p50_ms
from edgecnn.files import ensure_folder, move
from edgecnn.recipe import FORMATS, METHODS, RECIPES, TRAINED, UNSUPPORTED, CalibrationRecord, Recipe
from edgecnn.reporter import SILENT, Reporter
from edgecnn.spec import ModelSpec
from edgecnn.targets import Target
from edgecnn.verify import Reference, Verdict

#: Files that failed verification are kept here, inside the output folder.
REJECTED = "rejected"
_SCRATCH_PREFIX = ".export-"
_STALE_SECONDS = 3600
#: Kernels of x86-64 processors with VNNI, where most exports run and are verified.
_DEFAULT_ONNX_ACTIVATIONS = "uint8"


@dataclass(frozen=True)
class ExportRequest:
    """Everything that one export needs but the reference's answers.

    Args:
        source, spec: the Keras file and its contract.
        formats, recipes: every pair is made, but those that a format cannot hold.
        out: folder of the files.
        data: pictures to verify on.
        calibration: pictures for static recipes.
        max_drop: accuracy, in points, that a file may lose; agreement, where the data has no classes.
        exclude: regular expressions; layers that one matches as a whole stay float32.
        methods: calibration methods that the search may choose besides the calibration's own.
        most_trials: of the search for a file over its budget; 0 for no search.
        tune: time int8 files of equal worth on this machine and keep the fastest.
        target: class of processors that the files are for, where it is not this machine's.
        feeding: how the contract's feeding was found, for the manifest; ``None`` where it was told.
        trust: whether the Keras file may run code of its own.
    """

    source: Artifact
    spec: ModelSpec
    formats: Sequence[str]
    recipes: Sequence[Recipe]
    out: Path
    data: Dataset
    calibration: Calibration | None = None
    max_drop: float = 1.0
    exclude: tuple[str, ...] = ()
    methods: Sequence[str] = METHODS
    most_trials: int = 24
    tune: bool = False
    target: Target | None = None
    feeding: Mapping[str, Any] | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise InputError(f"max_drop must be 0 to 100 points, not {self.max_drop}", "1.0 is the default")
        if self.calibration is None and any(recipe.needs_calibration for recipe in self.recipes):
            names = ", ".join(recipe.name for recipe in self.recipes if recipe.needs_calibration)
            raise InputError(f"{names} needs calibration pictures", "give --calibration DATA")
        if self.tune and self.target is not None:
            raise InputError(
                f"tuning measures this machine, the target {self.target.name!r} is another", "leave out one of the two"
            )
        if not any(self.recipes_of(name) for name in self.formats):
            (sentence, *_) = (UNSUPPORTED[name, recipe.name] for name in self.formats for recipe in self.recipes)
            raise InputError(f"nothing to make: {sentence}", "choose another --recipe or --format")

    def recipes_of(self, format_name: str) -> list[Recipe]:
        """Return the recipes that a format can hold."""
        return [recipe for recipe in self.recipes if (format_name, recipe.name) not in UNSUPPORTED]

    @property
    def record(self) -> CalibrationRecord | None:
        """Where the ranges of static recipes come from."""
        if self.calibration is None:
            return None
        trained = bool(self.source.trained_ranges)
        return replace(self.calibration.record, method=TRAINED) if trained else self.calibration.record

    def terms(self, reference: Reference) -> dict[str, object]:
        """Return what all rows of the manifest have in common."""
        return {
            "edgecnn": __version__,
            "source": {"file": self.source.path.name, "sha256": self.source.sha256},
            "data": {
                "name": Path(self.data.name).name,
                "split": self.data.split,
                "samples": len(self.data),
                "sha256": self.data.sha256(),
            },
            "max_drop_points": self.max_drop,
            "target": self.target.name if self.target else None,
            "spec": self.spec.to_dict(),
            "feeding": self.feeding,
            "reference": reference.to_dict(),
        }


def export(request: ExportRequest, reference: Reference, reporter: Reporter = SILENT) -> list[Exported]:
    """Make, verify and place every file of the request, keeping the manifest true after each.

    A quantized file over its budget is searched for settings that keep it. A file that fails is
    placed in ``rejected/`` and named; a recipe that cannot be made costs its own row. Each file
    appears whole or not at all.

    Raises:
        OutputError: the output folder cannot be written.
        MissingDependency: a converter or an engine is not installed.
        InputError: Keras does not run on TensorFlow, or ``exclude`` matches no layer.
    """
    require_converters(request.formats)
    ensure_folder(request.out)
    _sweep(request.out)
    manifest = Manifest(request.out, request.terms(reference))
    needs_calibration = any(recipe.needs_calibration for recipe in request.recipes)
    tensors = request.calibration.tensors(request.spec) if request.calibration and needs_calibration else None
    source = Source(request.source, request.spec, tensors, request.record, request.trust)
    ranking = Ranking(source, request.data, reporter)
    exported = []
    with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=request.out) as scratch:
        makers = [Maker(source, format_name, Path(scratch)) for format_name in request.formats]
        _check_exclusions(request, makers)
        for maker in makers:
            for made in _FormatExport(request, reference, maker, ranking, reporter).rows():
                manifest.forget(made)
                placed = _place(request, made)
                manifest.record(placed)
                mark = "ok  " if placed.verdict.passed else "FAIL"
                told = "; ".join(filter(None, (placed.verdict.reason, *placed.notes)))
                reporter.say(f"{mark} {maker.format} {placed.recipe.name}{f': {told}' if told else ''}")
                exported.append(placed)
    return exported


def _check_exclusions(request: ExportRequest, makers: Sequence[Maker]) -> None:
    """Find out whether ``exclude`` matches layers before any file is placed."""
    for maker in makers:
        with suppress(EngineError):  # a conversion that fails is told in the rows of its format
            maker.layers_matching(request.exclude)


def _sweep(folder: Path) -> None:
    """Remove what killed runs left; a run that is at work beside this one keeps its scratch folder."""
    for scratch in folder.glob(f"{_SCRATCH_PREFIX}*"):
        if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(scratch, ignore_errors=True)


class _FormatExport:
    """All recipes of one format: one float conversion and one calibration feed them all."""

    def __init__(
        self, request: ExportRequest, reference: Reference, maker: Maker, ranking: Ranking, reporter: Reporter
    ) -> None:
        self._request, self._maker, self._ranking, self._reporter = request, maker, ranking, reporter
        self._judge = Judge(request.data, reference, request.max_drop, reporter)
        # What the search found for one recipe is where the next of its kind starts.
        self._found: dict[tuple[str, str], Recipe] = {}

    def rows(self) -> Iterator[Exported]:
        """Yield every recipe of the format, made and judged; nothing is placed yet."""
        name, waiting = self._maker.format, self._request.recipes_of(self._maker.format)
        for recipe in self._request.recipes:
            if recipe not in waiting:
                self._reporter.say(f"not made: {name} {recipe.name}: {UNSUPPORTED[name, recipe.name]}")
        self._reporter.say(f"making {name}: float32")
        try:
            self._maker.float_path  # noqa: B018  (converts now, so that its failure is every row's)
        except EngineError as error:
            yield from (Exported(name, recipe, None, Verdict(False, error.message)) for recipe in waiting)
            return
        for recipe in waiting:
            if recipe != FLOAT:
                self._reporter.say(f"making {name}: {recipe.name}")
            try:
                yield self._row(recipe)
            except EngineError as error:
                yield Exported(name, recipe, None, Verdict(False, error.message))

    @cached_property
    def _float(self) -> Artifact:
        """The float32 file that the others are timed with; the one that is placed is another."""
        return self._maker.make(FLOAT)

    def _row(self, recipe: Recipe) -> Exported:
        planned = self._planned(recipe)
        candidates: tuple[Candidate, ...] = ()
        if self._request.tune and recipe.name == "int8":
            planned, candidates = self._tuned(planned)
        artifact = self._maker.make(planned)
        found = first = Tried(artifact, Trial(planned, self._judge.verdict(artifact), len(self._request.data)))
        search: BudgetSearch | None = None
        if not first.passed and recipe.scheme != "float" and self._request.most_trials:
            search = self._search()
            self._reporter.say(f"  over its budget ({first.trial.verdict.reason}): searching")
            found = search.run(first)
            if found.passed:
                self._found[recipe.scheme, recipe.activations] = found.trial.recipe
        trials = tuple(replace(item.trial, kept=item is found) for item in (search.tried if search else ()))
        return self._exported(found, trials, candidates)

    def _planned(self, recipe: Recipe) -> Recipe:
        """Return the recipe with what the request and earlier rows say of its layers and its arithmetic."""
        if recipe.scheme == "float":
            return recipe
        if self._maker.format == "onnx" and recipe.activations == "int8":
            target = self._request.target
            recipe = replace(recipe, activations=target.onnx_activations if target else _DEFAULT_ONNX_ACTIVATIONS)
        known = self._found.get((recipe.scheme, RECIPES[recipe.name].activations))
        if known is not None:
            return replace(recipe, excluded_layers=known.excluded_layers, calibration=known.calibration)
        excluded = self._maker.layers_matching(self._request.exclude)
        return replace(
            recipe, excluded_layers=excluded, calibration=self._request.record if recipe.needs_calibration else None
        )

    def _search(self) -> BudgetSearch:
        methods = () if self._request.source.trained_ranges else self._request.methods
        return BudgetSearch(
            self._maker.layers, self._attempt, self._ranking.names, methods, self._request.most_trials, self._reporter
        )

    def _attempt(self, recipe: Recipe) -> Tried:
        artifact = self._maker.make(recipe)
        verdict, samples = self._judge.trial_verdict(artifact)
        p50_ms = None
        if verdict.agreement is not None:  # it ran
            (p50_ms,) = inference_p50_ms([artifact], self._request.data.pictures[0])
        return Tried(artifact, Trial(recipe, verdict, samples, p50_ms))

    def _tuned(self, recipe: Recipe) -> tuple[Recipe, tuple[Candidate, ...]]:
        """Return the fastest way to carry out ``int8`` on this machine, and all that were timed."""
        if self._maker.format == "onnx":
            variants = [replace(recipe, activations=dtype) for dtype in ("uint8", "int8")]
        else:
            variants = [replace(recipe, io=io) for io in ("integer", "uint8", "float32")]
        artifacts = [self._maker.make(variant) for variant in variants]
        times = prediction_p50_ms(artifacts, self._request.data.pictures[0])
        best = times.index(min(times))
        candidates = tuple(
            Candidate(variant.activations, artifact.inputs[0].dtype, artifact.outputs[0].dtype, p50_ms, number == best)
            for number, (variant, artifact, p50_ms) in enumerate(zip(variants, artifacts, times, strict=True))
        )
        for candidate in candidates:
            mark = "kept" if candidate.kept else ""
            self._reporter.say(
                f"  activations {candidate.activations}, input {candidate.input}, output {candidate.output}: "
                f"{candidate.p50_ms:.3f} ms {mark}".rstrip()
            )
        return variants[best], candidates

    def _exported(self, found: Tried, trials: tuple[Trial, ...], candidates: tuple[Candidate, ...]) -> Exported:
        artifact, verdict, recipe = found.artifact, found.trial.verdict, found.trial.recipe
        p50_ms = ratio = None
        notes = []
        if artifact is not None and verdict.agreement is not None:
            timed = [artifact] if recipe == FLOAT else [artifact, self._float]
            p50_ms, *others = inference_p50_ms(timed, self._request.data.pictures[0])
            ratio = others[0] / p50_ms if others else 1.0
            if ratio < 1 / (1 + CLEARLY_SLOWER):
                notes.append(f"{1 / ratio:.1f} times slower than float32 on this machine")
        if recipe.excluded_layers:
            notes.append(f"{len(recipe.excluded_layers)} of {len(self._maker.layers)} layers in float32")
        record = recipe.calibration
        if trials and record is not None and record.method != trials[0].recipe.calibration.method:  # type: ignore[union-attr]
            notes.append(f"ranges by {record.method}")
        carried_out = artifact.recipe if artifact is not None and artifact.recipe is not None else recipe
        return Exported(
            self._maker.format, carried_out, artifact, verdict, p50_ms, ratio, tuple(notes), trials, candidates
        )


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
    return replace(made, artifact=open_artifact(destination))
