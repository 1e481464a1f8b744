"""From paths to a report: which file runs in which engine, in rounds of fresh processes.

Every file runs once per round, and each round goes through all files in another order: what drifts
while they run falls on all of them. This module must not know how a figure is taken (the worker
does) or shown (the tables do). A file that fails costs its own row, never the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecnn.artifact import open_artifact
from edgecnn.bench.host import read_host
from edgecnn.bench.protocol import Protocol
from edgecnn.bench.reference import Reference, read_reference
from edgecnn.bench.report import Report
from edgecnn.bench.rounds import Job, Run, sentence
from edgecnn.errors import EdgecnnError, EngineError, InputError, unknown
from edgecnn.recipe import RECIPES
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import ENGINES, engines_for

MODEL_SUFFIXES = (".tflite", ".onnx", ".keras", ".h5")
ALL_RUNTIMES = "all"


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


def plan(files: Iterable[Path], runtimes: Sequence[str] = (), threads: Sequence[int] = (1,)) -> list[Job]:
    """Return the rows to measure: each file in its format's own engine, or in those of ``runtimes``.

    Each count of ``threads`` is a row, but for Keras, whose backend chooses its own.

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
            jobs.append(Job(file, None, None, sentence(error)))
            continue
        able = engines_for(artifact)
        wanted = able[:1] if not runtimes else able if ALL_RUNTIMES in runtimes else [n for n in able if n in runtimes]
        counts = threads[:1] if artifact.is_keras else threads
        jobs += [Job(file, artifact, name, threads=count) for name in wanted for count in counts]
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
    """Measure model files in rounds, each time in a process of its own, beside a float reference.

    Args:
        paths: files or folders.
        protocol: how; the defaults when ``None``.
        reference: the float model, measured first in each round; accuracy and agreement are against
            it. A ``reference.json`` stands for one that was measured before, perhaps elsewhere.
        data: as :func:`edgecnn.data.load_data` reads it; without, only time and memory are told.
        runtimes: engines; each format's own when empty.
        told: a partial contract; it wins over what the files carry.
        reporter: shows which row is being measured.
        on_interrupt: is given what is finished if Ctrl-C or SIGTERM ends the run before its last
            round; the rows that are missing say so.

    Raises:
        InputError: a path, an engine or the data is wrong. What a single file does wrong is a row.
    """
    chosen = protocol or Protocol()
    files = model_files(paths)
    base: Job | Reference | None = None
    if reference is not None:
        reference_file = Path(reference)
        if not reference_file.is_file():
            raise InputError(f"the reference {str(reference)!r} is no file", "give the .keras or .h5 file")
        if reference_file.suffix == ".json":
            base = read_reference(reference_file)
        else:
            base = plan([reference_file], threads=chosen.threads[:1])[0]
            files = [file for file in files if not file.samefile(reference_file)]
    jobs = plan(files, runtimes, chosen.threads)
    run = Run(read_host(), chosen, data, told or {}, base, jobs)
    with tempfile.TemporaryDirectory(prefix="edgecnn-bench-") as folder:
        run.prepare(Path(folder))
        try:
            run.measure(reporter)
        except BaseException:  # an interruption is no Exception; whatever it is, it goes on
            if run.has_figures and on_interrupt is not None:
                on_interrupt(run.report("the run was interrupted before its end"))
            raise
    return run.report()


def measured_reference(
    model: str | Path,
    data: str,
    *,
    protocol: Protocol | None = None,
    told: Mapping[str, Any] | None = None,
    reporter: Reporter = SILENT,
) -> Reference:
    """Run a float model as ``edgecnn bench --reference`` does, and return what it answered and cost.

    Raises:
        InputError: the model or the data is wrong.
        EngineError: the model could not be run.
    """
    chosen = protocol or Protocol()
    path = Path(model)
    (job,) = plan(model_files([path]), threads=chosen.threads[:1])
    if job.artifact is None:
        raise InputError(f"cannot read {str(path)!r}: {job.refusal}", "give a .keras or .h5 file")
    run = Run(read_host(), chosen, data, told or {}, job, [])
    with tempfile.TemporaryDirectory(prefix="edgecnn-reference-") as folder:
        run.prepare(Path(folder))
        run.measure(reporter)
        report = run.report()
        row = report.reference
        assert row is not None, "the job is the reference"  # noqa: S101
        if not row.ok:
            raise EngineError(f"the float model could not be measured: {row.reason}", "edgecnn info tells its contract")
        assert run.dataset is not None, "there is data"  # noqa: S101
        return Reference(
            row=row,
            host=report.host,
            labels=run.labels,
            probabilities=run.answers(),
            data=run.dataset.name,
            data_sha256=run.dataset.sha256(),
            limit=chosen.limit,
            source_sha256=job.artifact.sha256,
            edgecnn_version=report.edgecnn_version,
            created=report.created,
        )
