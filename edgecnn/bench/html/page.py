"""The page: verdict, table, pictures, method; one section per machine.

This module must not know how anything was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.bench.headline import Headline, headline
from edgecnn.bench.html.markup import Markup, breakable, element
from edgecnn.bench.html.method import date_text, lists, method
from edgecnn.bench.html.style import POLICY, SCRIPT, STYLE
from edgecnn.bench.html.svg import svg
from edgecnn.bench.html.table import table
from edgecnn.bench.pictures import drawings
from edgecnn.bench.pictures.frame import plural
from edgecnn.bench.pictures.tradeoff import tradeoff_of
from edgecnn.bench.protocol import FEWEST_ROUNDS
from edgecnn.bench.report import Report, merged
from edgecnn.bench.tables import shared_prefix, significant, warning_lines
from edgecnn.bench.wording import bytes_text
from edgecnn.files import write_text


@dataclass(frozen=True)
class Section:
    """The rows of one machine, and the runs that they come from."""

    report: Report
    parts: tuple[Report, ...]


def sections(reports: Sequence[Report], *, across_hosts: bool = False) -> list[Section]:
    """Return one section per machine, in the order in which the machines appear.

    Times of different machines do not compare, so nothing of one section is compared with another's.

    Raises:
        InputError: as :func:`edgecnn.bench.report.merged`.
    """
    merged(reports, across_hosts=across_hosts)  # refuses what does not compare
    groups: list[list[Report]] = []
    for report in reports:
        group = next((found for found in groups if not found[0].host.difference(report.host)), None)
        if group is None:
            groups.append([report])
        else:
            group.append(report)
    return [Section(merged(group), tuple(group)) for group in groups]


def write_page(found: Sequence[Section], path: Path) -> Path:
    """Write the page of one or more machines and return its path.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    write_text(path, page(found))
    return path


def page(found: Sequence[Section]) -> str:
    """Return the whole HTML document."""
    title = _title([section.report for section in found])
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title}: edgecnn bench"),
        element("style", Markup(STYLE)),
    )
    bodies = [
        _section(section, "" if number == 1 else f"-{number}", named=len(found) > 1)
        for number, section in enumerate(found, 1)
    ]
    across = _across(found) if len(found) > 1 else None
    version = found[0].report.edgecnn_version
    footer = element("footer", f"Made by edgecnn {version}. Nothing on this page comes from a network.", class_="small")
    body = element("body", element("h1", title), across, *bodies, footer, element("script", Markup(SCRIPT)))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _across(found: Sequence[Section]) -> Markup:
    """Return the medians of each file on each machine, side by side: nothing is said of who is faster."""
    keys: dict[tuple[str, str | None, int | None], None] = {}
    medians = []
    for section in found:
        told = {(row.name, row.runtime, row.threads): row.p50_ms for row in section.report.results}
        keys.update(dict.fromkeys(told))
        medians.append(told)
    heads = [element("th", section.report.host.describe(), scope="col") for section in found]
    rows = []
    for name, runtime, threads in keys:
        about = " \N{MIDDLE DOT} ".join(
            [*([runtime] if runtime else []), *([plural(threads, "thread")] if threads else [])]
        )
        cells = [
            element(
                "td", significant(told.get((name, runtime, threads))), data_value=told.get((name, runtime, threads))
            )
            for told in medians
        ]
        rows.append(element("tr", element("th", breakable(name), _small(about), scope="row"), *cells))
    head = element("thead", element("tr", element("th", "median latency, ms", scope="col"), *heads))
    table_ = element("table", head, element("tbody", *rows), class_="hosts")
    note = "Times of different machines do not compare: a section below for each."
    return element("section", element("p", note, class_="muted"), element("div", table_, class_="scroll fit"))


def _title(reports: Sequence[Report]) -> str:
    rows = [row for report in reports for row in report.results]
    name = shared_prefix([row.name for row in rows]).rstrip("_-")
    if not name:
        name = rows[0].name if len(rows) == 1 else plural(len(rows), "file")
    data = next((report.data for report in reports if report.data), None)
    return f"{name} on {data}" if data else name


def _section(section: Section, suffix: str, *, named: bool) -> Markup:
    """Return everything of one machine; ``named``: under its name, for it is not the only one."""
    report, host = section.report, section.report.host
    said = headline(section.parts)
    figures = []
    for name, drawing in drawings(report).items():
        title, caption = element("h3", drawing.title), element("figcaption", drawing.caption)
        figures.append(element("figure", title, svg(drawing, f"{name}{suffix}"), caption, data_picture=name))
        if name == "tradeoff":
            figures.append(_front(report))
    return element(
        "section",
        element("h2", host.board or host.processor, class_="machine") if named else None,
        element("p", f"{host.describe()} \N{MIDDLE DOT} {date_text(report.created)}", class_="muted"),
        _verdict(said),
        _counts(report, suffix),
        element("h2", "Results"),
        table(report, said.row if not said.before else None, suffix),
        _table_note(report),
        element("h2", "Pictures") if figures else None,
        element("div", *figures, class_="pictures") if figures else None,
        lists(report, suffix),
        element("h2", "How it was measured"),
        method(report, section.parts),
        class_="host",
    )


def _verdict(said: Headline) -> Markup:
    facts = [
        element("div", element("dt", fact.figure), element("dd", fact.of, _small(fact.more))) for fact in said.facts
    ]
    return element(
        "div",
        element("p", said.before, element("b", said.name) if said.name else None, f"{said.after}.", class_="sentence"),
        element("dl", *facts, class_="facts") if facts else None,
        *(element("p", text, class_="because") for text in said.because),
        class_="verdict none" if said.before else "verdict",
        data_path=said.row.path if said.row else None,
    )


def _small(text: str) -> Markup | None:
    return element("span", text, class_="small") if text else None


def _counts(report: Report, suffix: str) -> Markup:
    """Return how many files there are, and where failures and warnings are told."""
    files = len({row.path for row in report.results})
    words: list[Markup | str] = [plural(files, "file")]
    if files < len(report.results):
        words.append(plural(len(report.results), "row"))
    failed, warned = len(report.failed), len(warning_lines(report))
    if failed:
        words.append(element("a", f"{failed} failed", href=f"#failed{suffix}", class_="failed"))
    if warned:
        words.append(element("a", plural(warned, "warning"), href=f"#warnings{suffix}"))
    return element("p", words[0], *(part for word in words[1:] for part in (" · ", word)), class_="muted")


def _table_note(report: Report) -> Markup | None:
    """Return what a reader of the table could take for a fault, or should not miss."""
    if all(taken.taints for row in report.rows for taken in row.rounds):
        text = "Every round ran on a disturbed machine, so none was left out: read the warnings before the figures."
        return element("p", text, class_="small") if any(row.rounds for row in report.rows) else None
    if any(row.ok and len(row.trusted_rounds) < max(FEWEST_ROUNDS, len(row.rounds)) for row in report.rows):
        text = f"Which file is faster is not said with fewer than {FEWEST_ROUNDS} undisturbed rounds in common."
        return element("p", text, class_="small")
    return None


def _front(report: Report) -> Markup:
    """Return the files on the Pareto front in words, the fastest first."""
    shown = tradeoff_of(report)
    unit = {"accuracy": "accuracy", "agreement": "agreement"}.get(shown.quality or "", "")
    items = []
    for point in sorted((shown.points[place] for place in shown.front), key=lambda point: point.ms):
        row = point.named.row
        told = f"{significant(point.ms)} ms" + (f", {unit} {point.up:.2f} %" if unit else "")
        size = f", {bytes_text(row.size_bytes)}" if row.size_bytes is not None else ""
        items.append(element("li", element("b", point.named.name), element("br"), f"{told}{size}", data_path=row.path))
    better = "and better" if unit else "and smaller"
    words = f"No other file is both faster {better} than one of these. What is not among them is beaten in both."
    heading = element("h3", f"On the Pareto front: {plural(len(items), 'file')}")
    return element("div", heading, element("p", words, class_="muted"), element("ul", *items), class_="beside front")
