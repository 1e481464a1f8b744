"""All rows of one run with the host they were measured on, and several such runs made one.

This module must not know how anything is measured or shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecnn.bench.documents import typed
from edgecnn.bench.host import Host
from edgecnn.bench.profile import Profile
from edgecnn.bench.protocol import Protocol
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.verdict import Verdict, compare, compare_across, float_twins
from edgecnn.errors import InputError

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Report:
    """All rows of one run, its host, and the float reference beside which they stand.

    Args:
        host, protocol: that all rows have in common.
        reference: the float model's row; ``reference_host`` is where it was measured, if elsewhere.
        results: all other rows.
        data, pictures, data_sha256: what accuracy and agreement were measured on.
        edgecnn_version, created: of the run.
        command: the words that asked for it, where a command line did.
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
    data_sha256: str | None = None
    reference_host: Host | None = None

    @property
    def rows(self) -> tuple[BenchmarkResult, ...]:
        """The reference, if any, and every result below it."""
        return self.results if self.reference is None else (self.reference, *self.results)

    @property
    def failed(self) -> tuple[BenchmarkResult, ...]:
        return tuple(row for row in self.rows if not row.ok)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles of all rows that have one."""
        return tuple(row.profile for row in self.results if row.profile is not None)

    def verdicts(self) -> list[dict[str, Any]]:
        """Return what is shown of each row's speed beside its float32 twin and the reference, as plain data."""
        found = []
        for row in self.results:
            for other, seen in (
                (self.float_twin(row), self.against_float32(row)),
                (self.reference, self.against_reference(row)),
            ):
                if other is not None and seen is not None:
                    key = {"path": row.path, "runtime": row.runtime, "threads": row.threads, "against": other.path}
                    found.append({**key, **seen.to_dict(), "sentence": seen.sentence(row.name, other.name)})
        return found

    @cached_property
    def _twins(self) -> dict[int, BenchmarkResult]:
        # By identity: two rows may be equal. The report keeps its rows, so no identity is used again.
        return {id(self.results[place]): twin for place, twin in float_twins(self.results).items()}

    def float_twin(self, row: BenchmarkResult) -> BenchmarkResult | None:
        """Return the float32 file of a quantized row's model, format, engine and threads, if there is one."""
        return self._twins.get(id(row))

    def against_float32(self, row: BenchmarkResult) -> Verdict | None:
        """Return how many times as fast a quantized row is as its float32 twin; ``None`` where it has none."""
        return compare(row, self.float_twin(row))

    def against_reference(self, row: BenchmarkResult) -> Verdict | None:
        """Return how many times as fast a row is as the reference, in the same rounds unless that ran elsewhere."""
        return (compare_across if self.reference_host else compare)(row, self.reference)

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return the document of ``bench --json``; with raw samples that of ``results.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "host": self.host.to_dict(),
            "reference": None if self.reference is None else self.reference.to_dict(raw=raw),
            "results": [row.to_dict(raw=raw) for row in self.results],
            "verdicts": self.verdicts(),
            "protocol": self.protocol.to_dict(),
            "data": self.data,
            "pictures": self.pictures,
            "data_sha256": self.data_sha256,
            "edgecnn_version": self.edgecnn_version,
            "created": self.created,
            "command": list(self.command),
            "reference_host": self.reference_host and self.reference_host.to_dict(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Return the report of a ``results.json``.

        Raises:
            InputError: another schema version, a missing key, an impossible value, or no raw samples.
        """
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the report has schema version {version!r}, this edgecnn reads {SCHEMA_VERSION}",
                "measure again, or use the edgecnn that wrote it",
            )
        try:
            reference, elsewhere = document["reference"], document["reference_host"]
            made = cls(
                host=Host.from_dict(document["host"]),
                protocol=Protocol.from_dict(document["protocol"]),
                reference=None if reference is None else BenchmarkResult.from_dict(reference),
                results=tuple(BenchmarkResult.from_dict(row) for row in document["results"]),
                data=document["data"],
                pictures=document["pictures"],
                edgecnn_version=str(document["edgecnn_version"]),
                created=str(document["created"]),
                command=tuple(map(str, document["command"])),
                data_sha256=document["data_sha256"],
                reference_host=None if elsewhere is None else Host.from_dict(elsewhere),
            )
            return typed(made)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise InputError(f"the report is incomplete: {error}", "read a results.json of edgecnn bench") from error


def read_report(path: str | Path) -> Report:
    """Return the report in a ``results.json``, or in the folder that ``bench --out`` wrote.

    Raises:
        InputError: there is no such file, or it is no report.
    """
    file = Path(path)
    file = file / "results.json" if file.is_dir() else file
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {str(file)!r}: {error.strerror}", "give the folder of bench --out") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(file)!r} is no JSON: {error}", "give a results.json of edgecnn bench") from error
    if not isinstance(document, dict):
        raise InputError(f"{str(file)!r} holds no report", "give a results.json of edgecnn bench")
    try:
        return Report.from_dict(document)
    except InputError as error:
        raise InputError(f"{str(file)!r} cannot be read: {error.message}", error.remedy) from error


def require_one_host(reports: Sequence[Report], *, across_hosts: bool = False) -> None:
    """Check that times of all reports compare.

    Raises:
        InputError: their hosts differ, and it was not said that this is meant.
    """
    for other in reports[1:]:
        difference = reports[0].host.difference(other.host)
        if difference and not across_hosts:
            raise InputError(
                f"the reports are of different hosts ({difference}): their times do not compare",
                "give reports of one machine, or say --across-hosts",
            )


def merged(reports: Sequence[Report], *, across_hosts: bool = False) -> Report:
    """Return one report with the rows of all, as the first one describes them.

    A row that two reports have (same file name, runtime and threads) comes from the later one. Rows of
    different runs did not take turns, so no rounds of theirs are compared as if they had.

    Raises:
        InputError: none is given; or their hosts differ, which makes times incomparable, and it was
            not said that this is meant; or they were measured on different data.
    """
    if not reports:
        raise InputError("there is no report to merge", "give at least one results.json")
    require_one_host(reports, across_hosts=across_hosts)
    first = reports[0]
    for other in reports[1:]:
        if first.data_sha256 and other.data_sha256 and first.data_sha256 != other.data_sha256:
            raise InputError(
                f"the reports are of different data ({first.data}, {other.data}): their accuracies do not compare",
                "measure both on the same data",
            )
    apart = [_numbered_from(report, place * _ROUNDS_APART) for place, report in enumerate(reports)]
    rows: list[BenchmarkResult] = []
    for report in apart:
        newer = {_key(row) for row in report.results}
        rows = [row for row in rows if _key(row) not in newer] + list(report.results)
    base = next((report for report in apart if report.reference), first)
    return replace(first, reference=base.reference, reference_host=base.reference_host, results=tuple(rows))


#: Rounds of different runs did not take turns: their numbers must not meet.
_ROUNDS_APART = 1_000_000


def _key(row: BenchmarkResult) -> tuple[str, str | None, int | None]:
    return row.name, row.runtime, row.threads


def _numbered_from(report: Report, start: int) -> Report:
    def moved(row: BenchmarkResult) -> BenchmarkResult:
        return replace(row, rounds=tuple(replace(taken, number=taken.number + start) for taken in row.rounds))

    base = report.reference
    return replace(report, reference=base and moved(base), results=tuple(map(moved, report.results)))
