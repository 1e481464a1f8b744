"""``edgecnn bench``: what each file costs and what it lost, beside the float reference."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract

EPILOG = """\
Every file runs in a process of its own: one that crashes or hangs costs its own row. A percentile
is told only where 10 samples lie beyond it. "~" stands where neither of two medians can be called
faster: their 95 % confidence intervals overlap, or they differ by less than 25 %, as two processes
of one file do. Ctrl-C writes what is finished, where --out is given. Exits with 4 if any row failed.

examples:
  edgecnn bench out/ --reference model.keras --data cifar10
  edgecnn bench model.tflite --threads 4 --runs 2000
  edgecnn bench out/ --reference model.keras --data test.npz --runtime all --out report/
  edgecnn bench out/ --data test.npz --host pi@raspberrypi.local --host-python venv/bin/python
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bench``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a model file, or a folder of them")
    parser.add_argument("--reference", metavar="MODEL", help="the float model that everything is compared with")
    parser.add_argument("--data", help="pictures for accuracy and agreement: a name, an .npz or a folder")
    parser.add_argument("--limit", type=int, metavar="N", help="use N pictures (default: all)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the engine (default: 1)")
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="timed calls per file (default: 1000)")
    parser.add_argument(
        "--warmup", type=int, default=10, metavar="N", help="calls before, 0.2 s at least (default: 10)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=10.0, metavar="S", help="of timed calls per file, at most (default: 10)"
    )
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="for one file, accuracy included (default: 300)"
    )
    parser.add_argument(
        "--runtime",
        nargs="+",
        default=[],
        metavar="NAME",
        help="engines; 'all' for every one that opens the file (default: the format's own)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.json, results.md and results.csv there")
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )
    parser.add_argument("--host", metavar="HOST", help="run on this board, by ssh: user@board, or a name of its config")
    parser.add_argument("--host-python", metavar="PATH", help="Python on the board (default: python3)")
    add_contract_options(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, show, write; return 0, or 4 if a row failed."""
    from edgecnn.bench import Protocol, Report, tables
    from edgecnn.bench.runner import benchmark
    from edgecnn.cli.forward import there
    from edgecnn.files import ensure_folder

    protocol = Protocol(
        threads=args.threads,
        runs=args.runs,
        warmup=args.warmup,
        max_seconds=args.max_seconds,
        timeout_s=args.timeout,
        limit=args.limit,
        trust=args.trust,
    )
    if args.out:
        ensure_folder(args.out)

    def write(report: Report) -> Report:
        asked = replace(report, command=tuple(args.command))
        if args.out:
            console.say(f"\nwrote {', '.join(map(str, tables.write_report(asked, args.out)))}")
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
    for line in (*tables.context_lines(report), "", *tables.text_table(report)):
        console.say(line)
    if report.failed:
        console.say()
    for line in tables.failure_lines(report):
        console.say(line)
    for line in tables.warning_lines(report):
        console.warn(line)
    console.document(write(report).to_dict())
    medians = {row.path: row.invoke.percentile_ms(50) for row in report.results if row.ok and row.invoke}
    told = {path: median for path, median in medians.items() if median is not None}
    if told:
        console.next_command(f"edgecnn predict {shlex.quote(min(told, key=told.__getitem__))} IMAGE")
    return 4 if report.failed else 0
