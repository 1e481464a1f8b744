"""The rounds of one run: each file once in each, in a fresh process; what they found, put together in rows.

This module must not know how a figure is taken (the worker does), compared or shown.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import __version__
from edgecnn.artifact import Artifact
from edgecnn.bench.host import Host, start_warnings
from edgecnn.bench.memory import Leak
from edgecnn.bench.process import Outcome, run_worker
from edgecnn.bench.profile import Profile
from edgecnn.bench.protocol import FEWEST_ROUNDS, Protocol
from edgecnn.bench.reasons import with_reasons
from edgecnn.bench.reference import Reference
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult, Round
from edgecnn.bench.state import read_state, taints
from edgecnn.bench.timing import PERCENTILES, samples_needed
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.reporter import Reporter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgecnn.data import Dataset


@dataclass(frozen=True)
class Job:
    """One row to be: a file, an engine and its threads, or the reason why there is nothing to run."""

    path: Path
    artifact: Artifact | None
    runtime: str | None
    refusal: str | None = None
    threads: int = 1


@dataclass
class _Row:
    """What is known of one job so far."""

    job: Job
    result: BenchmarkResult
    labels: list[str] | None = None
    rounds: list[Round] = field(default_factory=list)
    ended: bool = False  # no further round is worth trying

    def fail(self, status: str, reason: str) -> None:
        self.result, self.ended = replace(self.result, status=status, reason=reason), True


class Run:
    """What all rows of one run share: host, protocol, data, and the reference's answers once it has run.

    Args:
        host: this machine.
        protocol: how everything is measured.
        data: as :func:`edgecnn.data.load_data` reads it, or ``None``.
        told: a partial contract; it wins over what the files carry.
        base: the reference: a job, or answers that were stored; ``None`` without one.
        jobs: all other rows to be.
    """

    def __init__(
        self,
        host: Host,
        protocol: Protocol,
        data: str | None,
        told: Mapping[str, Any],
        base: Job | Reference | None,
        jobs: Sequence[Job],
    ) -> None:
        self._host, self._protocol, self._data, self._told = host, protocol, data, told
        self._dataset: Dataset | None = None
        self._folder = Path()
        self._picture: Path | None = None
        self._stored = base if isinstance(base, Reference) else None
        self._base = self._row_of(base) if isinstance(base, Job) else None
        self._rows = [self._row_of(job) for job in jobs]
        self._workers = 0

    def _row_of(self, job: Job) -> _Row:
        artifact = job.artifact
        result = BenchmarkResult(
            path=str(job.path),
            runtime=job.runtime,
            # Keras' backend chooses its own threads.
            threads=None if artifact and artifact.is_keras else job.threads,
            status="failed",
            reason=job.refusal or "not measured",
            format=artifact.format if artifact else None,
            recipe=artifact.recipe_name if artifact else None,
            size_bytes=job.path.stat().st_size if job.path.is_file() else None,
        )
        row = _Row(job, result, ended=artifact is None or job.runtime is None)
        try:
            if artifact is not None and not self._told:
                artifact.require_spec()
        except EdgecnnError as error:
            row.fail("failed", sentence(error))
        return row

    def prepare(self, folder: Path) -> None:
        """Read the data and leave one picture of it, and a stored reference's answers, for the workers.

        Raises:
            InputError: the data cannot be read, or is not the stored reference's.
        """
        import numpy as np

        from edgecnn.data import load_data

        self._folder = folder
        if self._data is None:
            return
        self._dataset = load_data(self._data, "test", limit=self._protocol.limit)
        self._picture = folder / "picture.npy"
        first: npt.NDArray[np.uint8] = self._dataset.pictures[0]
        np.save(self._picture, first, allow_pickle=False)
        if self._stored is not None:
            self._stored.require_data(self._dataset)
            np.save(self._answers, self._stored.probabilities, allow_pickle=False)

    @property
    def _answers(self) -> Path:
        return self._folder / "reference.npy"

    @property
    def has_figures(self) -> bool:
        """Whether any round of any row is done."""
        return any(row.rounds for row in self._everyone)

    @property
    def _everyone(self) -> list[_Row]:
        return [self._base, *self._rows] if self._base else self._rows

    def measure(self, reporter: Reporter) -> None:
        """Run all rounds; and more of them, up to as many again, while the machine taints them and that is asked."""
        wanted = self._protocol.rounds
        most = 2 * wanted if self._protocol.until_clean else wanted
        for number in range(most):
            if number >= wanted and sum(map(self._is_clean, range(number))) >= wanted:
                break
            order = self._order(number)
            label = f"round {number + 1}/{max(wanted, number + 1)}"
            for row in reporter.progress(order, label, len(order)):
                self._take(row, number)

    def _order(self, number: int) -> list[_Row]:
        """Return the rows still to run: the reference first, whose answers the others need, the rest turned on."""
        rows = self._rows if number % 2 == 0 else self._rows[::-1]
        start = (number // 2) % max(1, len(rows))
        turned = [*rows[start:], *rows[:start]]
        return [row for row in ([self._base] if self._base else []) + turned if not row.ended]

    def _is_clean(self, number: int) -> bool:
        return not any(taken.taints for row in self._everyone for taken in row.rounds if taken.number == number)

    def _take(self, row: _Row, number: int) -> None:
        """Run one worker for one row; every way to fail becomes its status and reason."""
        self._workers += 1
        private = self._folder / f"worker{self._workers}"
        private.mkdir()
        before, own_before = read_state(), _own_cpu_s()
        outcome = run_worker(self._request(row, number), private, self._protocol.timeout_s)
        after, own_s = read_state(), _own_cpu_s() - own_before
        response, reason = outcome.response, in_one_line(outcome.reason or "it said nothing")
        if response is None or (not outcome.ok and "round" not in response):
            row.fail(outcome.status, reason)
            return
        try:
            taken = Round.from_dict(response["round"])
            found = _figures(row.result, response)
            labels = list(response["labels"])
        except (EdgecnnError, KeyError, TypeError, ValueError, AttributeError) as error:
            row.fail("failed", f"the worker's result is damaged: {type(error).__name__}: {error}")
            return
        row.rounds.append(replace(taken, state_before=before, state_after=after, taints=taints(before, after, own_s)))
        row.labels = labels
        row.result = replace(found, status="ok", reason=None, rounds=tuple(row.rounds))
        if not outcome.ok:
            row.fail(outcome.status, _when(outcome, reason))

    def _request(self, row: _Row, number: int) -> dict[str, Any]:
        protocol, data, is_base = self._protocol, self._dataset, row is self._base
        first = not row.rounds
        classes = None if is_base or not self._reference_labels else len(self._reference_labels)
        return {
            "path": str(row.job.path.absolute()),
            "runtime": row.job.runtime,
            "threads": row.job.threads,
            "round": number,
            "runs": protocol.runs,
            "warmup": protocol.warmup,
            "max_seconds": protocol.max_seconds / protocol.rounds,
            "precision": protocol.precision,
            "batch": protocol.batch,
            "trust": protocol.trust,
            "told": dict(self._told),
            "leak_invokes": protocol.leak_invokes if first else 0,
            "profile": protocol.profile and first,
            "placement": first and "int" in (row.result.recipe or ""),
            "evaluate": first,
            "class_names": list(data.class_names) if data and data.class_names else None,
            "class_count": data.class_count if data and data.classes is not None else None,
            "reference_classes": classes,
            "picture_path": str(self._picture) if self._picture else None,
            "data": self._data,
            "limit": protocol.limit,
            "reference_path": str(self._answers) if not is_base and self._answers.is_file() else None,
            "probabilities_path": str(self._answers) if is_base else None,
        }

    @property
    def _reference_labels(self) -> list[str] | None:
        if self._stored is not None:
            return list(self._stored.labels)
        return self._base.labels if self._base else None

    def answers(self) -> npt.NDArray[np.float32]:
        """Return the reference's float32 (N, C) probabilities.

        Raises:
            InputError: it has given none.
        """
        import numpy as np

        if not self._answers.is_file():
            raise InputError("the reference gave no answers", "give it data")
        answers: npt.NDArray[np.float32] = np.load(self._answers, allow_pickle=False)
        return answers

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names of the reference's contract."""
        return tuple(self._reference_labels or ())

    @property
    def dataset(self) -> Dataset | None:
        """The pictures that accuracy is measured on."""
        return self._dataset

    def report(self, unfinished: str = "") -> Report:
        """Return the report of all rows; those without figures failed because ``unfinished``, if that is told."""
        rows = [self._finished(row, unfinished) for row in self._everyone]
        base, others = (rows[0], rows[1:]) if self._base else (None, rows)
        stored = self._stored
        return Report(
            host=self._host,
            protocol=self._protocol,
            reference=stored.row if stored else base,
            results=tuple(with_reasons(others, self._host)),
            data=self._data,
            pictures=None if self._dataset is None else len(self._dataset),
            edgecnn_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            data_sha256=self._dataset.sha256() if self._dataset is not None else None,
            reference_host=stored.host if stored else None,
        )

    def _finished(self, row: _Row, unfinished: str) -> BenchmarkResult:
        result = row.result
        if unfinished and not row.rounds and not row.ended:
            return replace(result, reason=unfinished)
        return replace(result, warnings=tuple(self._warnings(result, row.labels)))

    def _warnings(self, result: BenchmarkResult, labels: list[str] | None) -> list[str]:
        found = start_warnings(self._host, result.threads or 1)
        tainted = [taken for taken in result.rounds if taken.taints]
        for text in dict.fromkeys(text for taken in tainted for text in taken.taints):
            some = f"{_rounds(sum(text in taken.taints for taken in tainted))} tainted and left out"
            left_out = len(result.trusted_rounds) < len(result.rounds)
            which = some if left_out else f"{_rounds(len(tainted))} tainted, too many to be left out"
            found.append(f"{which}: {text}")
        if result.invoke is not None:
            count = result.invoke.count
            short = [percent for percent in PERCENTILES[:-1] if count < samples_needed(percent)]
            if short:
                names = " and ".join(f"p{percent}" for percent in short)
                found.append(
                    f"{names} not told: {count} samples, {samples_needed(short[0])} needed "
                    "(raise --runs or --max-seconds)"
                )
            if len(result.trusted_rounds) < FEWEST_ROUNDS:
                found.append(f"fewer than {FEWEST_ROUNDS} rounds: no word on what is faster (raise --rounds)")
            unsteady = sum(not taken.warmup.steady for taken in result.trusted_rounds)
            if unsteady:
                found.append(f"still becoming faster after the warm-up in {_rounds(unsteady)} (raise --warmup)")
        if result.leak is not None and result.leak.found:
            leak = result.leak
            found.append(
                f"memory grows by {leak.bytes_per_call:,.0f} bytes a call "
                f"({leak.low:,.0f} to {leak.high:,.0f}, 95 %; {leak.calls:,} calls): a leak"
            )
        if self._reference_labels is not None and labels is not None and labels != self._reference_labels:
            found.append("its labels are not those of the reference")
        return found


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def _own_cpu_s() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _when(outcome: Outcome, reason: str) -> str:
    assert outcome.response is not None, "a failure without any figures is told elsewhere"  # noqa: S101
    return f"{'after' if outcome.response.get('evaluated') else 'during'} evaluation: {reason}"


def _figures(result: BenchmarkResult, response: Mapping[str, Any]) -> BenchmarkResult:
    """Return a row with what a worker's response tells beside its round; what it leaves out stays as it was.

    Raises:
        EdgecnnError, KeyError, TypeError, ValueError, AttributeError: it is no such response.
    """

    def told(name: str) -> float | None:
        return getattr(result, name) if response[name] is None else float(response[name])

    leak, profile, placement = response["leak"], response["profile"], response["placement"]
    return replace(
        result,
        runtime_version=str(response["runtime_version"]),
        device=str(response["device"]),
        leak=result.leak if leak is None else Leak.from_dict(leak),
        profile=result.profile if profile is None else Profile.from_dict(profile),
        placement=result.placement if placement is None else tuple(map(str, placement)),
        accuracy=told("accuracy"),
        agreement=told("agreement"),
        max_drift=told("max_drift"),
    )


def in_one_line(text: str, longest: int = 300) -> str:
    """Return a reason without line breaks; of a longer one the middle is left out."""
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[: longest // 2]} ... {words[-longest // 2 :]}"


def sentence(error: EdgecnnError) -> str:
    """Return an error and its remedy as one line."""
    return in_one_line(f"{error.message} ({error.remedy})" if error.remedy else error.message)
