"""The one sentence at the top of a report: which file to take, and what it costs.

The choice is that of ``edgecnn choose --max-drop 1``. This module must not know how anything was
measured, nor into what the sentence is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.bench.budget import Budget
from edgecnn.bench.choose import choose
from edgecnn.bench.protocol import FEWEST_ROUNDS
from edgecnn.bench.quality import quality, quality_name
from edgecnn.bench.report import Report
from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import signed, significant
from edgecnn.bench.wording import bytes_text, points_text

#: Points of accuracy (or of agreement, where the data has no classes) that the file at the top may lose.
TOLERATED_POINTS = 1.0


@dataclass(frozen=True)
class Fact:
    """One thing that the file costs: its figure, what the figure is of, and the figure's surroundings."""

    figure: str
    of: str
    more: str = ""


@dataclass(frozen=True)
class Headline:
    """Which file to take.

    Args:
        before, name, after: the sentence; the file's name stands in its middle, empty where there is none.
        row: of that file.
        facts: what it costs.
        because: why it is that one, and what a reader must know of it, in whole sentences.
    """

    before: str
    name: str
    after: str
    row: BenchmarkResult | None = None
    facts: tuple[Fact, ...] = ()
    because: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return all of it in one line."""
        costs = ", ".join(f"{fact.figure} {fact.of}" for fact in self.facts)
        return f"{self.before}{self.name}{self.after}{': ' if costs else '.'}{costs}"


def headline(parts: Sequence[Report]) -> Headline:
    """Return the sentence of one or several runs on one machine."""
    rows = [row for report in parts for row in report.results]
    measured = [row for row in rows if row.ok and row.p50_ms is not None]
    if not measured:
        failed = sum(not row.ok for row in rows)
        why = f"{failed} of {len(rows)} failed" if failed else "too few samples" if rows else "there is none"
        return Headline(f"No file can be named the fastest: {why}", "", "")
    name, limit = quality_name(rows), Budget(max_drop=TOLERATED_POINTS)
    chosen = choose(parts)
    if chosen.baseline is not None:
        chosen = choose(parts, limit)
    lost = f"loses no more than {points_text(TOLERATED_POINTS)} of {name}" if chosen.baseline else ""
    row = chosen.best or (chosen.nearest.row if chosen.nearest else measured[0])
    label = chosen.label(row)
    facts = tuple(_facts(row, parts, name))
    if chosen.best is None:
        over = f": {chosen.nearest.reason}" if chosen.nearest else ""
        none = f"No file is known to lose {points_text(TOLERATED_POINTS)} of {name} or less; nearest comes "
        return Headline(none, label, over, row, facts, _because("", chosen.baseline))
    after = f" is the fastest file that {lost}" if lost else " is the fastest file"
    if min(len(one.trusted_rounds) for one in measured) < FEWEST_ROUNDS:
        after += f", as far as fewer than {FEWEST_ROUNDS} rounds tell"
    inside = f" within {points_text(TOLERATED_POINTS)}" if lost else ""
    why = chosen.why.replace(" inside the budget", inside) if len(measured) > 1 else ""
    because = [*_because(why, chosen.baseline), *map(_whole, chosen.notes), *_cautions(row, name)]
    return Headline("", label, after, row, facts, tuple(because))


def _whole(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _because(why: str, baseline: str | None) -> tuple[str, ...]:
    counted = f"Losses are counted from {baseline}." if baseline else ""
    return tuple(text for text in (_whole(why) if why else "", counted) if text)


def _cautions(row: BenchmarkResult, name: str | None) -> list[str]:
    found = []
    if name is None:
        found.append("Accuracy was not measured: give --data, and --reference.")
    if row.rounds and all(taken.taints for taken in row.rounds):
        found.append("Every round of it ran on a disturbed machine: its figures are rough.")
    return found


def _facts(row: BenchmarkResult, parts: Sequence[Report], name: str | None) -> list[Fact]:
    interval = row.ci95_ms()
    between = f"{significant(interval[0])} to {significant(interval[1])}, 95 %" if interval else ""
    facts = [Fact(f"{significant(row.p50_ms)} ms", "a picture", between)]
    twin = _speed(row, parts)
    if twin is not None:
        facts.append(twin)
    value = quality(row, name)
    if name is not None and value is not None:
        facts.append(Fact(f"{value:.2f} %", name, _change(row, parts)))
    if row.size_bytes is not None:
        facts.append(Fact(bytes_text(row.size_bytes), "on disk"))
    if row.memory is not None:
        model = f"{bytes_text(row.memory.model_rss_bytes)} of it the model's"
        facts.append(Fact(bytes_text(row.memory.peak_rss_bytes), "of memory", model))
    return facts


def _speed(row: BenchmarkResult, parts: Sequence[Report]) -> Fact | None:
    """Return the speed beside the float32 twin of the same run, where there is one."""
    for report in parts:
        seen = report.against_float32(row)
        if seen is not None and seen.told_apart:
            return Fact(f"{seen.ratio:.2f} times", "as fast as float32", f"{seen.low:.2f} to {seen.high:.2f}, 95 %")
    return None


def _change(row: BenchmarkResult, parts: Sequence[Report]) -> str:
    report = next(report for report in parts if any(one is row for one in report.results))
    reference = report.reference.accuracy if report.reference else None
    if row.accuracy is None or reference is None:
        return ""
    return f"{signed(row.accuracy - reference)} points"
