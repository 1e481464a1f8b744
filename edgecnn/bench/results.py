"""What a benchmark found of one file, as plain validated data that keeps its raw samples.

This module must not know how anything is measured, compared or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from edgecnn.bench.documents import typed
from edgecnn.bench.intervals import ratio_interval
from edgecnn.bench.memory import Leak, Memory
from edgecnn.bench.profile import Profile
from edgecnn.bench.protocol import FEWEST_ROUNDS
from edgecnn.bench.state import HostState
from edgecnn.bench.timing import PERCENTILES, Samples, Warmup, key_of
from edgecnn.errors import InputError, unknown

STATUSES = ("ok", "failed", "crashed", "timeout")
#: Stages of one prediction at batch 1, in order, and all of them in one. ``preprocess`` fits size and
#: colour; ``quantize`` writes the tensor's values (for float files: scales); ``invoke`` is the engine alone.
STAGES = ("preprocess", "quantize", "invoke", "dequantize", "postprocess", "end_to_end")
_READ_RESULTS = "read a results.json of edgecnn bench"


@dataclass(frozen=True)
class Throughput:
    """Pictures per second at a batch size: ``None`` where the engine takes one picture at a time."""

    batch: int
    samples: Samples

    @property
    def pictures_per_s(self) -> float:
        return self.batch * 1000 / self.samples.median_ms


@dataclass(frozen=True)
class Round:
    """What one fresh process measured of one file.

    Args:
        number: which round of the run, from 0; what has the same number ran within the same minute.
        latency: samples by stage (:data:`STAGES`), batch 1.
        warmup: what came before the samples of ``invoke``.
        import_ms, load_ms, first_ms: importing the engine, opening the file, the first call.
        memory: of the process.
        throughput: at the protocol's batch; ``None`` where the engine takes one picture at a time.
        state_before, state_after: of the host.
        taints: what about the machine makes this round's figures doubtful, in plain sentences.

    Raises:
        InputError: there are no samples of ``invoke``.
    """

    number: int
    latency: Mapping[str, Samples]
    warmup: Warmup
    import_ms: float
    load_ms: float
    first_ms: float
    memory: Memory
    throughput: Throughput | None = None
    state_before: HostState | None = None
    state_after: HostState | None = None
    taints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "invoke" not in self.latency:
            raise InputError("a round has no samples of invoke", "measure again")
        if self.number < 0:
            raise InputError(f"a round cannot have the number {self.number}", "measure again")

    def to_dict(self) -> dict[str, Any]:
        """Return everything, raw samples too."""
        return {
            "number": self.number,
            "samples_ns": {stage: list(samples.nanoseconds) for stage, samples in self.latency.items()},
            "warmup": asdict(self.warmup),
            "import_ms": self.import_ms,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "memory": self.memory.to_dict(),
            "throughput": None
            if self.throughput is None
            else {"batch": self.throughput.batch, "samples_ns": list(self.throughput.samples.nanoseconds)},
            "state_before": asdict(self.state_before) if self.state_before else None,
            "state_after": asdict(self.state_after) if self.state_after else None,
            "taints": list(self.taints),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Round:
        """Return the round of :meth:`to_dict`; a worker's answer is one too.

        Raises:
            EdgecnnError, KeyError, TypeError, ValueError, AttributeError: it is no such document.
        """
        throughput, states = document.get("throughput"), [document.get(name) for name in _STATES]
        return cls(
            number=int(document["number"]),
            latency={str(stage): Samples(tuple(values)) for stage, values in document["samples_ns"].items()},
            warmup=Warmup(**document["warmup"]),
            import_ms=float(document["import_ms"]),
            load_ms=float(document["load_ms"]),
            first_ms=float(document["first_ms"]),
            memory=Memory.from_dict(document["memory"]),
            throughput=None
            if throughput is None
            else Throughput(int(throughput["batch"]), Samples(tuple(throughput["samples_ns"]))),
            taints=tuple(map(str, document.get("taints", ()))),
            **{name: state and HostState.from_dict(state) for name, state in zip(_STATES, states, strict=True)},
        )


_STATES = ("state_before", "state_after")


@dataclass(frozen=True)
class BenchmarkResult:
    """One model file in one engine: measured, or failed with a reason.

    Args:
        path, format, recipe, size_bytes: of the file; ``None`` where it could not be read.
        runtime, runtime_version, device, threads: what ran it; threads are ``None`` where the engine
            chooses them itself.
        status: ``ok``, ``failed`` (refused, with a message), ``crashed`` (by a signal), ``timeout``.
            What was measured before is kept.
        reason: in one sentence; ``None`` only when ok.
        rounds: what each process measured.
        accuracy: top-1, percent.
        agreement: with the reference, percent of pictures with the same top-1 class.
        max_drift: from the reference, largest absolute difference of a probability, 0..1.
        leak: memory that many calls added, where it was checked.
        profile: what each operator takes, where that was asked for.
        placement: what about the graph, as the engine runs it, makes it slower than it might be, in sentences.
        warnings: what taints the figures, in plain sentences.
    """

    path: str
    runtime: str | None
    threads: int | None
    status: str
    reason: str | None = None
    format: str | None = None
    recipe: str | None = None
    runtime_version: str | None = None
    device: str | None = None
    rounds: tuple[Round, ...] = ()
    size_bytes: int | None = None
    accuracy: float | None = None
    agreement: float | None = None
    max_drift: float | None = None
    leak: Leak | None = None
    profile: Profile | None = None
    placement: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise unknown("status", self.status, STATUSES)
        if (self.status == "ok") == bool(self.reason):
            raise InputError(f"a result with the status {self.status!r} cannot have the reason {self.reason!r}", "")
        if self.status == "ok" and not self.rounds:
            raise InputError("a result that is ok has at least one round", "measure again")
        if not isinstance(self.path, str):
            raise InputError(f"the path of a result is {self.path!r}, no text", _READ_RESULTS)
        for name in ("accuracy", "agreement", "max_drift", "size_bytes", "threads"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
                raise InputError(f"{name} cannot be {value!r}", _READ_RESULTS)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def name(self) -> str:
        return Path(self.path).name

    @cached_property
    def trusted_rounds(self) -> tuple[Round, ...]:
        """The rounds that nothing tainted; all of them where too few were clean to say anything by."""
        clean = tuple(taken for taken in self.rounds if not taken.taints)
        return clean if len(clean) >= FEWEST_ROUNDS else self.rounds

    @cached_property
    def latency(self) -> dict[str, Samples]:
        """The samples of all trusted rounds, by stage."""
        stages = dict.fromkeys(stage for taken in self.trusted_rounds for stage in taken.latency)
        return {
            stage: Samples(
                tuple(
                    ns
                    for taken in self.trusted_rounds
                    if stage in taken.latency
                    for ns in taken.latency[stage].nanoseconds
                )
            )
            for stage in stages
        }

    @property
    def invoke(self) -> Samples | None:
        return self.latency.get("invoke")

    @property
    def p50_ms(self) -> float | None:
        """The median of ``invoke``; ``None`` for too few samples."""
        return self.invoke.percentile_ms(50) if self.invoke else None

    def ci95_ms(self, stage: str = "invoke") -> tuple[float, float] | None:
        """Return the 95 % interval of a stage's median.

        From three rounds on it is that of the rounds' medians (Student's interval of their logarithms):
        what differs from one process to the next is in it. With fewer it is the interval within the
        samples alone, which is narrower than the truth.
        """
        medians = [taken.latency[stage].median_ms for taken in self.trusted_rounds if stage in taken.latency]
        between = ratio_interval(medians) if medians and min(medians) > 0 else None
        if between is not None:
            return between.low, between.high
        return self.latency[stage].ci95_ms() if stage in self.latency else None

    @property
    def memory(self) -> Memory | None:
        """The memory of the round with the median peak: one process, so that its figures belong together."""
        ordered = sorted((taken.memory for taken in self.trusted_rounds), key=lambda memory: memory.peak_rss_bytes)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def pictures_per_s(self) -> float | None:
        """The throughput: at the protocol's batch, or one picture after the other where the engine takes one."""
        found = [taken.throughput.pictures_per_s for taken in self.trusted_rounds if taken.throughput]
        return median(found) if found else 1000 / self.invoke.median_ms if self.invoke else None

    def median_of(self, figure: Callable[[Round], float]) -> float | None:
        """Return the median of a figure over the trusted rounds, such as ``lambda taken: taken.load_ms``."""
        return median(map(figure, self.trusted_rounds)) if self.rounds else None

    def _stage_dict(self, stage: str) -> dict[str, Any]:
        document = self.latency[stage].to_dict(raw=False)
        interval = self.ci95_ms(stage)
        return {**document, "ci95_ms": None if interval is None else list(interval)}

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return the row as plain data, with its rounds if ``raw``; stage ``invoke`` is always there."""
        empty = {**{key_of(percent): None for percent in PERCENTILES}, "samples": 0, "ci95_ms": None}
        memory = self.memory.to_dict() if self.memory else dict.fromkeys(item.name for item in fields(Memory))
        document = {
            "path": self.path,
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "status": self.status,
            "reason": self.reason,
            "load_ms": self.median_of(lambda taken: taken.load_ms),
            "first_ms": self.median_of(lambda taken: taken.first_ms),
            "latency": {"invoke": empty, **{stage: self._stage_dict(stage) for stage in self.latency}},
            "memory": memory,
            "size_bytes": self.size_bytes,
            "accuracy": self.accuracy,
            "agreement": self.agreement,
            "warnings": list(self.warnings),
            "format": self.format,
            "recipe": self.recipe,
            "device": self.device,
            "import_ms": self.median_of(lambda taken: taken.import_ms),
            "max_drift": self.max_drift,
            "pictures_per_s": self.pictures_per_s,
            "warmup_calls": self.median_of(lambda taken: taken.warmup.calls),
            "leak": None if self.leak is None else self.leak.to_dict(),
            "profile": None if self.profile is None else self.profile.to_dict(),
            "placement": list(self.placement),
            "round_count": len(self.rounds),
            "tainted_rounds": sum(bool(taken.taints) for taken in self.rounds),
        }
        return {**document, "rounds": [taken.to_dict() for taken in self.rounds]} if raw else document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BenchmarkResult:
        """Return the row of ``to_dict(raw=True)``; everything that follows from the rounds is derived again.

        Raises:
            InputError: a key is missing, a value is impossible, or there are no raw samples.
        """
        if "rounds" not in document:
            raise InputError("the document carries no raw samples", "read the results.json of edgecnn bench --out")
        try:
            plain = {item.name: document[item.name] for item in fields(cls)}
            plain["rounds"] = tuple(Round.from_dict(taken) for taken in plain["rounds"])
            plain["leak"] = plain["leak"] and Leak.from_dict(plain["leak"])
            plain["profile"] = plain["profile"] and Profile.from_dict(plain["profile"])
            plain["placement"] = tuple(map(str, plain["placement"]))
            plain["warnings"] = tuple(plain["warnings"])
            return typed(cls(**plain))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"the result is damaged: {type(error).__name__}: {error}", _READ_RESULTS) from error
