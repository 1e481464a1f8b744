"""Where the time of one call goes, operator by operator, as plain validated data; and how people read it.

This module must not know engines or how anything was measured.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgecnn.errors import InputError

_REMEDY = "profile again: edgecnn bench FILE --profile"
_LONGEST_NAME = 44
_MOST_NAMED = 5
#: The sum of the operators is as good as a whole call, within this share of it.
_CLOSE = 0.25


@dataclass(frozen=True)
class OperatorTime:
    """One operator of a model file, as its engine runs it.

    Args:
        name: of the layer or tensor that it makes.
        op: its kind, in the engine's words (``CONV_2D``, ``QLinearConv`` ...).
        calls: of the model that the time is from; 0 where it has no time of its own.
        time_ns: its part of one call, in nanoseconds; ``None`` where it has none.
        share_percent: of what all operators take together; ``None`` where it has no time.
        delegate: the part of the engine that computed it (LiteRT's delegate, ONNX Runtime's
            provider); ``None`` where that was the engine's plain interpreter.
        unfused: the file wants it computed in integers, the engine computed it in float.

    Raises:
        InputError: the values cannot belong together.
    """

    name: str
    op: str
    calls: int
    time_ns: float | None
    share_percent: float | None
    delegate: str | None
    unfused: bool = False

    def __post_init__(self) -> None:
        untimed = self.time_ns is None
        if not self.name or not self.op or self.calls < 0 or (self.share_percent is None) != untimed:
            raise InputError(f"impossible operator in a profile: {self}", _REMEDY)
        if untimed == bool(self.calls) or not 0 <= (self.time_ns or 0.0) < math.inf:
            raise InputError(f"impossible time in a profile: {self}", _REMEDY)
        if not 0 <= (self.share_percent or 0.0) <= 100 + 1e-6:
            raise InputError(f"impossible share in a profile: {self}", _REMEDY)

    def __str__(self) -> str:
        return f"{self.name} ({self.op})"


@dataclass(frozen=True)
class Profile:
    """All operators of one file in one engine, in the order in which they run.

    Args:
        path: of the file.
        engine: as of ``edgecnn.runtimes``.
        threads: that the engine might use.
        delegate: the part of the engine that is to compute the operators.
        operators: see :class:`OperatorTime`.
        whole_ns: the median of whole calls between those of the operators, in nanoseconds; ``None``
            where nothing was timed.
        notes: how the times came about and what is wrong with them, in plain sentences.

    Raises:
        InputError: the values cannot belong together.
    """

    path: str
    engine: str
    threads: int
    delegate: str
    operators: tuple[OperatorTime, ...]
    whole_ns: float | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        shares = [one.share_percent for one in self.operators if one.share_percent is not None]
        if self.threads < 1 or not self.engine or not self.delegate:
            raise InputError(f"impossible profile of {self.path!r} in {self.engine!r}", _REMEDY)
        if shares and any(shares) and not math.isclose(sum(shares), 100, abs_tol=0.01):
            raise InputError(f"the shares of a profile are {sum(shares):g} % together, not 100", _REMEDY)
        if self.whole_ns is not None and not 0 <= self.whole_ns < math.inf:
            raise InputError(f"impossible time of a whole call: {self.whole_ns} ns", _REMEDY)

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def is_timed(self) -> bool:
        return any(one.time_ns is not None for one in self.operators)

    @property
    def sum_ns(self) -> float:
        """What all operators with a time take together, in nanoseconds."""
        return sum(one.time_ns or 0.0 for one in self.operators)

    @property
    def costliest(self) -> tuple[OperatorTime, ...]:
        """The operators that have a time, the slowest one first."""
        timed = [one for one in self.operators if one.time_ns is not None]
        return tuple(sorted(timed, key=lambda one: one.time_ns or 0.0, reverse=True))

    @property
    def delegate_taken(self) -> tuple[OperatorTime, ...]:
        """The operators that the delegate computes."""
        return tuple(one for one in self.operators if one.delegate == self.delegate)

    @property
    def delegate_left(self) -> tuple[OperatorTime, ...]:
        """The operators that the delegate did not take."""
        return tuple(one for one in self.operators if one.delegate != self.delegate)

    @property
    def unfused(self) -> tuple[OperatorTime, ...]:
        """The operators that the file wants computed in integers and the engine computes in float."""
        return tuple(one for one in self.operators if one.unfused)

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as plain data; what follows from the operators is written for readers."""
        return {
            **asdict(self),
            "operators": [asdict(one) for one in self.operators],
            "notes": list(self.notes),
            "sum_ns": self.sum_ns,
            "delegate_taken": [one.name for one in self.delegate_taken],
            "delegate_left": [one.name for one in self.delegate_left],
            "unfused": [one.name for one in self.unfused],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Profile:
        """Return the profile of :meth:`to_dict`; what follows from the operators is derived again.

        Raises:
            InputError: a key is missing, or a value is impossible.
        """
        try:
            own = {item.name: document[item.name] for item in fields(cls)}
            operators = tuple(
                OperatorTime(**{item.name: one[item.name] for item in fields(OperatorTime)}) for one in own["operators"]
            )
            return cls(**{**own, "operators": operators, "notes": tuple(own["notes"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"the profile is incomplete: {error}", _REMEDY) from error


def reasons(profile: Profile) -> list[str]:
    """Return what about the graph, as the engine runs it, makes it slower than it might be, in plain sentences."""
    found = []
    if profile.unfused:
        found.append(
            f"QDQ not fused: quantized in the file, computed in float{_share(profile, profile.unfused)}: "
            f"{_listed(profile.unfused)}"
        )
    if not profile.delegate_taken and profile.operators:
        found.append(f"delegate not applied: {profile.delegate} took none of {len(profile.operators)} operators")
    elif profile.delegate_left:
        found.append(
            f"{profile.delegate} did not take {len(profile.delegate_left)} of {len(profile.operators)} operators"
            f"{_share(profile, profile.delegate_left)}: {_listed(profile.delegate_left)}"
        )
    return found


def _share(profile: Profile, operators: Sequence[OperatorTime]) -> str:
    """Return what some operators take of the time, where that is known, to be put behind them."""
    if not profile.is_timed:
        return ""
    return f" ({sum(one.share_percent or 0.0 for one in operators):.1f} % of the time)"


def _listed(operators: Sequence[OperatorTime]) -> str:
    named = ", ".join(f"{_shortened(one.name)} ({one.op})" for one in operators[:_MOST_NAMED])
    more = len(operators) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _shortened(name: str) -> str:
    """Return a name that fits a column; its end, where exporters put the layer, is kept."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def profile_lines(profile: Profile, most: int = 10) -> list[str]:
    """Return the profile for a terminal: the ``most`` costliest operators, who computes them, and the reasons."""
    threads = "1 thread" if profile.threads == 1 else f"{profile.threads} threads"
    lines = [f"operators of {profile.name} in {profile.engine}, {threads}"]
    if profile.is_timed:
        lines += ["", *_table(profile, most), "", _total(profile)]
    if not profile.delegate_left:
        lines.append(f"{profile.delegate} took all of {len(profile.operators)} operators")
    lines += reasons(profile)
    return [*lines, *(f"note: {note}" for note in profile.notes)]


def _table(profile: Profile, most: int) -> list[str]:
    shown = profile.costliest[:most]
    cells = [["operator", "kind", "us", "share", "computed by"]]
    cells += [
        [
            _shortened(one.name),
            one.op,
            f"{(one.time_ns or 0.0) / 1e3:.1f}",
            f"{one.share_percent:.1f} %",
            (one.delegate or profile.engine) + (" (in float: not fused)" if one.unfused else ""),
        ]
        for one in shown
    ]
    rest = profile.costliest[most:]
    if rest:
        took_ns, share = sum(one.time_ns or 0.0 for one in rest), sum(one.share_percent or 0.0 for one in rest)
        cells.append([f"{len(rest)} more", "", f"{took_ns / 1e3:.1f}", f"{share:.1f} %", ""])
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if index in (2, 3) else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _total(profile: Profile) -> str:
    line = f"all operators {profile.sum_ns / 1e6:.3f} ms"
    if profile.whole_ns:
        line += f", a whole call {profile.whole_ns / 1e6:.3f} ms"
        if abs(profile.sum_ns / profile.whole_ns - 1) > _CLOSE:
            line += ": they do not agree (a busy machine, or work between the operators)"
    return line


#: Of :func:`profile_csv`, one row for each operator.
CSV_COLUMNS = (
    "file", "engine", "threads", "position", "name", "op", "delegate", "taken", "unfused", "calls", "time_ns",
    "share_percent",
)  # fmt: skip


def profile_csv(profiles: Sequence[Profile]) -> str:
    """Return the operators of all profiles as CSV, in the order in which they run, figures in full."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for profile in profiles:
        for position, one in enumerate(profile.operators):
            writer.writerow(
                {
                    "file": profile.path,
                    "engine": profile.engine,
                    "threads": profile.threads,
                    "position": position,
                    "taken": one.delegate == profile.delegate,
                    **asdict(one),
                }
            )
    return stream.getvalue()
