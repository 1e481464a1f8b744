"""How a page's figures were made, in words: machine, protocol, data, versions, commands.

This module must not know how anything was measured; it words what the report carries.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timezone

from edgecnn.bench.host import Host
from edgecnn.bench.html.markup import Markup, element, joined
from edgecnn.bench.pictures.frame import plural
from edgecnn.bench.report import Report
from edgecnn.bench.tables import verdict_lines, warning_lines

Line = tuple[str, str | Markup]


def method(report: Report, parts: Sequence[Report]) -> Markup:
    """Return the description of one machine's rows; ``parts`` are the runs that they come from."""
    lines: list[Line] = [("machine", report.host.describe()), *_details(report.host)]
    row, elsewhere = report.reference, report.reference_host
    if row is not None:
        where = "" if elsewhere is None else f", measured before on {elsewhere.describe()}"
        own = ", threads of its own choice" if row.threads is None else ""
        told = f" on {row.device}, {row.runtime_version}" if row.invoke else ""
        lines.append(("reference", f"{row.name}{told}{own}{where}"))
    for number, part in enumerate(parts, 1):
        lines += _run(part, f" of run {number}" if len(parts) > 1 else "")
    engines = sorted({row.runtime_version for row in report.rows if row.runtime_version})
    lines.append(("versions", ", ".join([f"edgecnn {report.edgecnn_version}", report.host.python, *engines])))
    pairs = (joined((element("dt", name), element("dd", text))) for name, text in lines)
    return element("dl", *pairs, class_="method")


def date_text(created: str) -> str:
    """Return when a run was, to the minute; a text that is no date as it is."""
    try:
        return datetime.fromisoformat(created).astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return created


def _details(host: Host) -> list[Line]:
    state = host.state
    told = {
        "instructions": ", ".join(host.features),
        "kernel": f"{host.kernel} ({host.architecture})",
        "load before": None if state.load_average is None else f"{state.load_average:.2f}",
        "clock": " ".join(
            word for word in (state.governor, state.frequency_mhz and f"{state.frequency_mhz:.0f} MHz") if word
        ),
        "temperature": None if state.temperature_c is None else f"{state.temperature_c:.0f} °C",
        "throttling": None if state.throttled is None else f"firmware says {state.throttled:#x}",
        "free memory": None if state.free_memory_bytes is None else f"{state.free_memory_bytes / 1e9:.1f} GB",
    }
    return [(name, text) for name, text in told.items() if text]


def _run(part: Report, suffix: str) -> list[Line]:
    lines: list[Line] = [(f"method{suffix}", _protocol(part))]
    if part.data is not None:
        pictures = "" if part.pictures is None else f", {plural(part.pictures, 'picture')}"
        digest = "" if part.data_sha256 is None else f", SHA-256 {part.data_sha256[:12]}"
        lines.append((f"data{suffix}", f"{part.data}{pictures}{digest}"))
    lines.append((f"date{suffix}", element("time", date_text(part.created), datetime=part.created)))
    if part.command:
        lines.append((f"command{suffix}", element("code", shlex.join(part.command))))
    return lines


def _protocol(report: Report) -> str:
    protocol = report.protocol
    threads = "1 thread" if protocol.threads == (1,) else f"{' and '.join(map(str, protocol.threads))} threads"
    return (
        f"{plural(protocol.rounds, 'round')}; in each, every file runs once, in a fresh process, in turns with the "
        f"others. Batch 1, {threads}. After {plural(protocol.warmup, 'call')} of warm-up or more, until they are "
        f"steady: up to {plural(protocol.runs, 'timed call')} a round, {protocol.max_seconds:g} s a file in all, or "
        f"until half of the median's 95 % interval is {protocol.precision:.1%} of it. A percentile is told where ten "
        "samples lie beyond it. Faster and slower are said where the 95 % interval of the rounds' ratios shows it."
    )


def lists(report: Report, suffix: str) -> Markup:
    """Return what is doubtful and what was shown of speeds, each as a list; nothing where empty.

    Args:
        suffix: of the headings' identifiers: ``warnings``, ``verdicts``.
    """
    sections = (("Warnings", "warnings", warning_lines), ("Beside float32", "verdicts", verdict_lines))
    found = []
    for title, name, lines_of in sections:
        lines = lines_of(report)
        if lines:
            found += [
                element("h2", title, id=f"{name}{suffix}"),
                element("ul", *(element("li", line) for line in lines)),
            ]
    return joined(found)
