"""``edgecnn bench``: what each file costs and what it lost, beside the float reference."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract
from edgecnn.cli.protocol import add_protocol_options, told_protocol
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.bench import Report

EPILOG = """\
Every file runs in rounds, each time in a process of its own and in turns with all the others, so that
what the machine does beside falls on all of them; a file that crashes or hangs costs its own row. "~"
stands where no difference is shown: the 95 % interval of the ratio, over the rounds, holds 1 or comes
within 2 % of it. A percentile is told only where 10 samples lie beyond it. Rounds during which the
machine was busy, hot or throttled are flagged and left out. Ctrl-C writes what is finished, where
--out is given. Exits with 4 if any row failed.

examples:
  edgecnn bench out/ --reference model.keras --data cifar10
  edgecnn bench out/ --reference reference.json --data cifar10
  edgecnn bench model.tflite --threads 1,2,4 --leak-check
  edgecnn bench out/ --reference model.keras --data test.npz --runtime all --out report/
  edgecnn bench out/ --data test.npz --host pi@raspberrypi.local --host-python venv/bin/python
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bench``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a model file, or a folder of them")
    parser.add_argument(
        "--reference",
        metavar="MODEL",
        help="the float model, or the reference.json made of it, that everything is compared with",
    )
    parser.add_argument("--data", help="pictures for accuracy and agreement: a name, an .npz or a folder")
    parser.add_argument(
        "--threads", default="1", metavar="N,...", help="threads of the engine; each count is a row (default: 1)"
    )
    parser.add_argument(
        "--leak-check",
        type=int,
        nargs="?",
        const=20_000,
        default=0,
        metavar="N",
        help="find out whether N calls (20000) add to the memory",
    )
    parser.add_argument(
        "--profile", action="store_true", help="tell what the costliest operators take of a call; all in profile.csv"
    )
    add_protocol_options(parser)
    parser.add_argument(
        "--runtime",
        nargs="+",
        default=[],
        metavar="NAME",
        help="engines; 'all' for every one that opens the file (default: the format's own)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write report.html, results.json, .md and .csv there")
    parser.add_argument("--png", action="store_true", help="write the report's pictures there too (needs matplotlib)")
    parser.add_argument("--host", metavar="HOST", help="run on this board, by ssh: user@board, or a name of its config")
    parser.add_argument("--host-python", metavar="PATH", help="Python on the board (default: python3)")
    add_contract_options(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, show, write; return 0, or 4 if a row failed."""
    from edgecnn.bench.runner import benchmark
    from edgecnn.cli.forward import there

    protocol = told_protocol(args)
    _check_output(args)

    def write(report: Report) -> Report:
        asked = replace(report, command=tuple(args.command))
        if args.out:
            console.say(f"\nwrote {', '.join(map(str, _write(asked, args.out, png=args.png)))}")
        return asked

    report = there(args, console, on_interrupt=write) or benchmark(
        args.paths,
        protocol=protocol,
        reference=args.reference,
        data=args.data,
        runtimes=args.runtime,
        reporter=console,
        told=told_contract(args),
        on_interrupt=write,
    )
    _show(report, console)
    console.document(write(report).to_dict())
    medians = {row.path: row.p50_ms for row in report.results if row.ok}
    told = {path: median for path, median in medians.items() if median is not None}
    if told:
        console.next_command(f"edgecnn predict {shlex.quote(min(told, key=told.__getitem__))} IMAGE")
    return 4 if report.failed else 0


def _show(report: Report, console: Console) -> None:
    """Print the table, and in sentences what it cannot hold."""
    from edgecnn.bench import tables
    from edgecnn.bench.profile import profile_lines

    for line in (*tables.context_lines(report), "", *tables.text_table(report)):
        console.say(line)
    console.say()
    for line in tables.failure_lines(report):
        console.say(line)
    for line in tables.verdict_lines(report):
        console.say(line)
    for profiled in report.profiles:
        for line in ("", *profile_lines(profiled)):
            console.say(line)
    for line in tables.warning_lines(report):
        console.warn(line)


def _check_output(args: argparse.Namespace) -> None:
    """Find out before the long work begins whether its results can be written.

    Raises:
        InputError, OutputError, MissingDependency: they cannot.
    """
    from edgecnn.bench.pictures.png import require_matplotlib
    from edgecnn.files import ensure_folder

    if args.png:
        if not args.out:
            raise InputError("--png needs a folder for the pictures", "give --out DIR")
        require_matplotlib("edgecnn bench --png")
    if args.out:
        ensure_folder(args.out)


def _write(report: Report, folder: Path, *, png: bool) -> list[Path]:
    """Write the figures first, then what is drawn of them; return the paths."""
    from edgecnn.bench import tables
    from edgecnn.bench.html import sections, write_page
    from edgecnn.bench.pictures import drawings
    from edgecnn.bench.pictures.png import write_pngs

    written = [*tables.write_report(report, folder), write_page(sections([report]), folder / "report.html")]
    return written + (write_pngs(drawings(report), folder, report.host.describe()) if png else [])
