"""From paths to a report: which file runs in which engine, one fresh process each.

This module must not know how a figure is taken (the worker does) or shown (the tables do). A file
that fails costs its own row, never the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import __version__
from edgecnn.artifact import Artifact, open_artifact
from edgecnn.bench.host import Host, read_host, read_state, start_warnings, state_warnings
from edgecnn.bench.memory import Memory
from edgecnn.bench.process import run_worker
from edgecnn.bench.results import BenchmarkResult, Protocol, Report, compare
from edgecnn.bench.timing import PERCENTILES, Samples, samples_needed
from edgecnn.errors import EdgecnnError, InputError, unknown
from edgecnn.recipe import RECIPES
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import ENGINES, engines_for

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgecnn.data import Dataset

MODEL_SUFFIXES = (".tflite", ".onnx", ".keras", ".h5")
ALL_RUNTIMES = "all"


@dataclass(frozen=True)
class Job:
    """One row to be: a file and an engine, or the reason why there is nothing to run."""

    path: Path
    artifact: Artifact | None
    runtime: str | None
    refusal: str | None = None


def model_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the model files that ``paths`` name; a folder stands for those directly inside it.

    Raises:
        InputError: a path does not exist, or a folder holds no model files.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            named = [file for file in path.iterdir() if file.suffix in MODEL_SUFFIXES and not file.name.startswith(".")]
            inside = sorted((file for file in named if file.is_file()), key=_reading_order)
            if not inside:
                raise InputError(f"folder {str(path)!r} holds no model files", f"one of {' '.join(MODEL_SUFFIXES)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"no such file or folder: {str(path)!r}", "check the path")
    return list(dict.fromkeys(found))


def _reading_order(file: Path) -> tuple[int, int, str]:
    """Formats together, and in each the recipes from float32 on, as the exporter names its files."""
    recipes = [index for index, name in enumerate(RECIPES) if file.stem.endswith(name)]
    return MODEL_SUFFIXES.index(file.suffix), max(recipes, default=-1), file.name


def plan(files: Iterable[Path], runtimes: Sequence[str] = ()) -> list[Job]:
    """Return the rows to measure: each file in its format's own engine, or in those of ``runtimes``.

    ``all`` stands for every engine that opens the file. A named engine that does not open a file's
    format is left out for it; where none is left, the row says so.

    Raises:
        InputError: a name is no engine's.
    """
    for name in runtimes:
        if name != ALL_RUNTIMES and name not in ENGINES:
            raise unknown("runtime", name, [*ENGINES, ALL_RUNTIMES])
    jobs = []
    for file in files:
        try:
            artifact = open_artifact(file)
        except EdgecnnError as error:
            jobs.append(Job(file, None, None, _sentence(error)))
            continue
        able = engines_for(artifact)
        wanted = able[:1] if not runtimes else able if ALL_RUNTIMES in runtimes else [n for n in able if n in runtimes]
        jobs += [Job(file, artifact, name) for name in wanted]
        if not wanted:
            reason = f"{' and '.join(runtimes)} cannot open .{artifact.format} files (use {' or '.join(able)})"
            jobs.append(Job(file, artifact, None, reason))
    return jobs


def benchmark(
    paths: Sequence[str | Path],
    *,
    protocol: Protocol | None = None,
    reference: str | Path | None = None,
    data: str | None = None,
    runtimes: Sequence[str] = (),
    told: Mapping[str, Any] | None = None,
    reporter: Reporter = SILENT,
    on_interrupt: Callable[[Report], object] | None = None,
) -> Report:
    """Measure model files, each in a process of its own, beside a float reference.

    Args:
        paths: files or folders.
        protocol: how; the defaults when ``None``.
        reference: the float model, measured first; accuracy and agreement are against it.
        data: as :func:`edgecnn.data.load_data` reads it; without, only time and memory are told.
        runtimes: engines; each format's own when empty.
        told: a partial contract; it wins over what the files carry.
        reporter: shows which row is being measured.
        on_interrupt: is given what is finished if Ctrl-C or SIGTERM ends the run before its last
            row; the rows that are missing say so.

    Raises:
        InputError: a path, an engine or the data is wrong. What a single file does wrong is a row.
    """
    chosen = protocol or Protocol()
    files = model_files(paths)
    base = None
    if reference is not None:
        reference_file = Path(reference)
        if not reference_file.is_file():
            raise InputError(f"the reference {str(reference)!r} is no file", "give the .keras or .h5 file")
        base = plan([reference_file])[0]
        files = [file for file in files if not file.samefile(reference_file)]
    jobs = plan(files, runtimes)
    todo = [base, *jobs] if base else jobs
    run = _Run(read_host(), chosen, data, told or {})
    rows: list[BenchmarkResult] = []
    with tempfile.TemporaryDirectory(prefix="edgecnn-bench-") as folder:
        run.prepare(Path(folder))
        try:
            for job in reporter.progress(todo, "bench", len(todo)):
                rows.append(run.row(job, is_reference=job is base))  # noqa: PERF401  (an interruption keeps them)
        except BaseException:  # an interruption is no Exception; whatever it is, it goes on
            if rows and on_interrupt is not None:
                absent = [run.unmeasured(job, "the run was interrupted before its end") for job in todo[len(rows) :]]
                on_interrupt(run.report([*rows, *absent], base is not None))
            raise
    return run.report(rows, base is not None)


class _Run:
    """What all rows of one run share: host, protocol, data, and the reference's answers once it has run."""

    def __init__(self, host: Host, protocol: Protocol, data: str | None, told: Mapping[str, Any]) -> None:
        self.host = host
        self.protocol = protocol
        self.data = data
        self.told = told
        self.dataset: Dataset | None = None
        self._folder = Path()
        self._picture: Path | None = None
        self._reference_labels: list[str] | None = None
        self._rows = 0

    def prepare(self, folder: Path) -> None:
        """Read the data and leave one picture of it for the workers' timed calls."""
        import numpy as np

        from edgecnn.data import load_data

        self._folder = folder
        if self.data is None:
            return
        self.dataset = load_data(self.data, "test", limit=self.protocol.limit)
        self._picture = folder / "picture.npy"
        first: npt.NDArray[np.uint8] = self.dataset.pictures[0]
        np.save(self._picture, first, allow_pickle=False)

    @property
    def _answers(self) -> Path:
        return self._folder / "reference.npy"

    def report(self, rows: Sequence[BenchmarkResult], has_reference: bool) -> Report:
        """Return the report of all rows, the reference's first if there is one."""
        return Report(
            host=self.host,
            protocol=self.protocol,
            reference=rows[0] if has_reference else None,
            results=tuple(with_lost_quantization(rows[1:] if has_reference else rows)),
            data=self.data,
            pictures=None if self.dataset is None else len(self.dataset),
            edgecnn_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )

    def unmeasured(self, job: Job, reason: str) -> BenchmarkResult:
        """Return a row with what is known of a file without running it."""
        artifact = job.artifact
        return BenchmarkResult(
            path=str(job.path),
            runtime=job.runtime,
            # Keras' backend chooses its own threads.
            threads=None if artifact and artifact.is_keras else self.protocol.threads,
            status="failed",
            reason=job.refusal or reason,
            format=artifact.format if artifact else None,
            recipe=artifact.recipe_name if artifact else None,
            size_bytes=job.path.stat().st_size if job.path.is_file() else None,
        )

    def row(self, job: Job, *, is_reference: bool) -> BenchmarkResult:
        """Measure one row; every way to fail becomes its status and reason."""
        row = self.unmeasured(job, "not measured")
        if job.artifact is None or job.runtime is None:
            return row
        try:
            if not self.told:
                job.artifact.require_spec()
        except EdgecnnError as error:
            return replace(row, reason=_sentence(error))
        return self._measured(row, is_reference)

    def _request(self, row: BenchmarkResult, is_reference: bool) -> dict[str, Any]:
        protocol, data = self.protocol, self.dataset
        return {
            "path": str(Path(row.path).absolute()),
            "runtime": row.runtime,
            "threads": protocol.threads,
            "runs": protocol.runs,
            "warmup": protocol.warmup,
            "max_seconds": protocol.max_seconds,
            "trust": protocol.trust,
            "told": dict(self.told),
            "class_names": list(data.class_names) if data and data.class_names else None,
            "class_count": data.class_count if data and data.classes is not None else None,
            "reference_classes": len(self._reference_labels) if self._reference_labels else None,
            "picture_path": str(self._picture) if self._picture else None,
            "data": self.data,
            "limit": protocol.limit,
            "reference_path": str(self._answers) if not is_reference and self._answers.is_file() else None,
            "probabilities_path": str(self._answers) if is_reference else None,
        }

    def _measured(self, row: BenchmarkResult, is_reference: bool) -> BenchmarkResult:
        self._rows += 1
        private = self._folder / f"row{self._rows}"
        private.mkdir()
        before = read_state()
        outcome = run_worker(self._request(row, is_reference), private, self.protocol.timeout_s)
        row = replace(row, state_before=before, state_after=read_state())
        response, reason = outcome.response, in_one_line(outcome.reason or "it said nothing")
        if response is None or (not outcome.ok and "samples_ns" not in response):
            return replace(row, status=outcome.status, reason=reason)
        try:
            labels = list(response["labels"])
            done = filled(row, response)
        except (EdgecnnError, KeyError, TypeError, ValueError, AttributeError) as error:
            return replace(row, reason=f"the worker's result is damaged: {type(error).__name__}: {error}")
        if not outcome.ok:
            when = "after" if response.get("evaluated") else "during"
            done = replace(done, status=outcome.status, reason=f"{when} evaluation: {reason}")
        if is_reference:
            self._reference_labels = labels
        return replace(done, warnings=tuple(self._warnings(done, labels)))

    def _warnings(self, row: BenchmarkResult, labels: list[str]) -> list[str]:
        found = start_warnings(self.host, self.protocol.threads)
        if row.state_before is not None and row.state_after is not None:
            found += state_warnings(row.state_before, row.state_after, self.host.usable_cores)
        if row.invoke is not None:
            count = row.invoke.count
            short = [percent for percent in PERCENTILES if count < samples_needed(percent)]
            if short:
                names = " and ".join(f"p{percent}" for percent in short)
                found.append(
                    f"{names} not told: {count} samples, {samples_needed(short[0])} needed "
                    "(raise --runs or --max-seconds)"
                )
        if self._reference_labels not in (None, labels):
            found.append("its labels are not those of the reference")
        return found


def filled(row: BenchmarkResult, response: Mapping[str, Any]) -> BenchmarkResult:
    """Return ``row`` with the figures of a worker's response.

    Raises:
        EdgecnnError, KeyError, TypeError, ValueError, AttributeError: it is no such response.
    """
    return replace(
        row,
        status="ok",
        reason=None,
        runtime_version=str(response["runtime_version"]),
        device=str(response["device"]),
        import_ms=float(response["import_ms"]),
        load_ms=float(response["load_ms"]),
        first_ms=float(response["first_ms"]),
        latency={str(stage): Samples(tuple(values)) for stage, values in response["samples_ns"].items()},
        memory=Memory.from_dict(response["memory"]),
        accuracy=_optional(response["accuracy"]),
        agreement=_optional(response["agreement"]),
        max_drift=_optional(response["max_drift"]),
    )


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def with_lost_quantization(rows: Sequence[BenchmarkResult]) -> list[BenchmarkResult]:
    """Return the rows, with a warning on each quantized one that is slower than its float32 twin."""
    floats = {(row.format, row.runtime, _family(row)): row for row in rows if row.recipe == "float32"}
    result = []
    for row in rows:
        twin = floats.get((row.format, row.runtime, _family(row)))
        seen = compare(row, twin) if row.recipe is not None and "int8" in row.recipe else None
        if twin is not None and seen is not None and seen.told_apart and seen.ratio < 1:
            text = f"{row.recipe} is {1 / seen.ratio:.1f} times slower than float32 ({twin.name}) on this machine"
            row = replace(row, warnings=(*row.warnings, text))  # noqa: PLW2901
        result.append(row)
    return result


def _family(row: BenchmarkResult) -> str:
    """Return the name of a file without its recipe: what its float32 twin shares with it."""
    stem = Path(row.path).stem
    return stem.removesuffix(str(row.recipe)).rstrip("._-") if row.recipe else stem


def in_one_line(text: str, longest: int = 300) -> str:
    """Return a reason without line breaks; of a longer one the middle is left out."""
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[: longest // 2]} ... {words[-longest // 2 :]}"


def _sentence(error: EdgecnnError) -> str:
    return in_one_line(f"{error.message} ({error.remedy})" if error.remedy else error.message)
