"""What a benchmark found, as plain validated data that keeps its raw samples.

This module must not know how anything is measured or shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgecnn.bench.host import Host, HostState
from edgecnn.bench.memory import Memory
from edgecnn.bench.timing import Samples
from edgecnn.errors import InputError, unknown

SCHEMA_VERSION = 1
STATUSES = ("ok", "failed", "crashed", "timeout")
#: Share by which medians of the SAME file differ from one process to the next (memory layout, clock,
#: neighbours), which the interval inside one process cannot hold: Mytkowicz et al., "Producing Wrong
#: Data Without Doing Anything Obviously Wrong!", ASPLOS 2009. On a shared virtual machine 95 % of the
#: pairs of copies of one file stayed within 1.15 (benchmarks/results/process_noise.json), in a busier
#: hour within 1.23.
PROCESS_NOISE = 0.25


@dataclass(frozen=True)
class Protocol:
    """How everything in one report was measured.

    Args:
        threads: that an engine may use.
        runs, warmup: timed calls and calls before them.
        max_seconds: of sampling per file; ends it before ``runs``.
        timeout_s: for the whole worker process of one file, accuracy included.
        limit: pictures for accuracy and agreement; all when ``None``.
        trust: let Keras files run code of their own (Lambda layers). Never for files of others.

    Raises:
        InputError: a value is impossible.
    """

    threads: int = 1
    runs: int = 1000
    warmup: int = 10
    max_seconds: float = 10.0
    timeout_s: float = 300.0
    limit: int | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        least = {"threads": 1, "runs": 1, "warmup": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"{name} must be {smallest} or more, not {getattr(self, name)}", f"leave --{name} out")
        for name in ("max_seconds", "timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be a positive number, not {getattr(self, name)}", "leave it out")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be 1 or more, not {self.limit}", "leave --limit out for all pictures")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BenchmarkResult:
    """One model file in one engine: measured, or failed with a reason.

    Args:
        path, format, recipe, size_bytes: of the file; ``None`` where it could not be read.
        runtime, runtime_version, device, threads: what ran it; threads are ``None`` where the engine
            chooses them itself.
        status: ``ok``, ``failed`` (refused, with a message), ``crashed`` (by a signal), ``timeout``.
            Where only the evaluation failed, times and memory are kept.
        reason: in one sentence; ``None`` only when ok.
        import_ms, load_ms, first_ms: importing the engine, opening the file, the first call.
        latency: samples by stage, batch 1; ``invoke`` is the engine alone.
        accuracy: top-1, percent.
        agreement: with the reference, percent of pictures with the same top-1 class.
        max_drift: from the reference, largest absolute difference of a probability, 0..1.
        warnings: what taints the figures, in plain sentences.
        state_before, state_after: of the host, around the measurement; ``None`` where nothing ran.
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
    import_ms: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    latency: Mapping[str, Samples] = field(default_factory=dict)
    memory: Memory | None = None
    size_bytes: int | None = None
    accuracy: float | None = None
    agreement: float | None = None
    max_drift: float | None = None
    warnings: tuple[str, ...] = ()
    state_before: HostState | None = None
    state_after: HostState | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise unknown("status", self.status, STATUSES)
        if (self.status == "ok") == bool(self.reason):
            raise InputError(f"a result with the status {self.status!r} cannot have the reason {self.reason!r}", "")
        if self.status == "ok" and ("invoke" not in self.latency or self.memory is None):
            raise InputError("a result that is ok has samples and memory", "measure again")

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def invoke(self) -> Samples | None:
        return self.latency.get("invoke")

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return the row as plain data, with raw samples if ``raw``; stage ``invoke`` is always there."""
        empty = {"p50_ms": None, "p90_ms": None, "p99_ms": None, "samples": 0, "ci95_ms": None}
        latency = {stage: samples.to_dict(raw=raw) for stage, samples in self.latency.items()}
        memory = self.memory.to_dict() if self.memory else {"peak_rss_bytes": None, "model_rss_bytes": None}
        return {
            "path": self.path,
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "status": self.status,
            "reason": self.reason,
            "load_ms": self.load_ms,
            "first_ms": self.first_ms,
            "latency": {"invoke": empty, **latency},
            "memory": memory,
            "size_bytes": self.size_bytes,
            "accuracy": self.accuracy,
            "agreement": self.agreement,
            "warnings": list(self.warnings),
            "format": self.format,
            "recipe": self.recipe,
            "device": self.device,
            "import_ms": self.import_ms,
            "max_drift": self.max_drift,
            "state_before": asdict(self.state_before) if self.state_before else None,
            "state_after": asdict(self.state_after) if self.state_after else None,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BenchmarkResult:
        """Return the row of ``to_dict(raw=True)``.

        Raises:
            InputError: a key is missing, or there are no raw samples.
        """
        try:
            # Reports without states are of the same schema version: states came to it later.
            known = {"state_before": None, "state_after": None, **document}
            plain = {item.name: known[item.name] for item in fields(cls)}
        except KeyError as error:
            raise InputError(f"the result lacks {error}", "read a results.json of edgecnn bench") from error
        stages = {stage: values for stage, values in plain["latency"].items() if values["samples"]}
        plain["latency"] = {stage: Samples.from_dict(values) for stage, values in stages.items()}
        memory = plain["memory"]
        plain["memory"] = None if memory["peak_rss_bytes"] is None else Memory.from_dict(memory)
        plain["warnings"] = tuple(plain["warnings"])
        for name in ("state_before", "state_after"):
            plain[name] = None if plain[name] is None else HostState.from_dict(plain[name])
        return cls(**plain)


@dataclass(frozen=True)
class Report:
    """All rows of one run, its host, and the float reference beside which they stand.

    ``command`` is the words that asked for it, where a command line did.
    """

    host: Host
    protocol: Protocol
    reference: BenchmarkResult | None
    results: tuple[BenchmarkResult, ...]
    data: str | None
    pictures: int | None
    edgecnn_version: str
    created: str
    command: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[BenchmarkResult, ...]:
        """The reference, if any, and every result below it."""
        return self.results if self.reference is None else (self.reference, *self.results)

    @property
    def failed(self) -> tuple[BenchmarkResult, ...]:
        return tuple(row for row in self.rows if not row.ok)

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return the document of ``bench --json``; with raw samples that of ``results.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "host": self.host.to_dict(),
            "reference": None if self.reference is None else self.reference.to_dict(raw=raw),
            "results": [row.to_dict(raw=raw) for row in self.results],
            "protocol": self.protocol.to_dict(),
            "data": self.data,
            "pictures": self.pictures,
            "edgecnn_version": self.edgecnn_version,
            "created": self.created,
            "command": list(self.command),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Return the report of a ``results.json``.

        Raises:
            InputError: another schema version, a missing key, or no raw samples.
        """
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the report has schema version {version!r}, this edgecnn reads {SCHEMA_VERSION}",
                "measure again, or use the edgecnn that wrote it",
            )
        try:
            reference = document["reference"]
            return cls(
                host=Host.from_dict(document["host"]),
                protocol=Protocol(**document["protocol"]),
                reference=None if reference is None else BenchmarkResult.from_dict(reference),
                results=tuple(BenchmarkResult.from_dict(row) for row in document["results"]),
                data=document["data"],
                pictures=document["pictures"],
                edgecnn_version=document["edgecnn_version"],
                created=document["created"],
                command=tuple(document["command"]),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"the report is incomplete: {error}", "read a results.json of edgecnn bench") from error


@dataclass(frozen=True)
class Comparison:
    """The medians of two measurements beside each other.

    ``ratio`` is how many times the first one's median the second one's is. ``told_apart`` says
    whether one of them may be called faster: their 95 % confidence intervals do not overlap, and
    the medians differ by more than :data:`PROCESS_NOISE`.
    """

    ratio: float
    told_apart: bool


def compare(row: BenchmarkResult, other: BenchmarkResult | None) -> Comparison | None:
    """Return how many times faster ``row`` is than ``other``; ``None`` where either tells no median."""
    if other is None or row.invoke is None or other.invoke is None:
        return None
    own, others = row.invoke.percentile_ms(50), other.invoke.percentile_ms(50)
    own_ci, other_ci = row.invoke.ci95_ms(), other.invoke.ci95_ms()
    if own is None or others is None or own_ci is None or other_ci is None or own == 0:
        return None
    apart = own_ci[1] < other_ci[0] or other_ci[1] < own_ci[0]
    return Comparison(others / own, apart and max(own, others) > min(own, others) * (1 + PROCESS_NOISE))
