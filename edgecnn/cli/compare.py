"""``edgecnn compare OLD NEW``: what became worse from one run to another, and floors for CI."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecnn.cli.console import Console
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.bench import BenchmarkResult
    from edgecnn.bench.limits import Checked, Limit
    from edgecnn.bench.regressions import Change

EPILOG = """\
Rows of both runs belong together by file name, engine and threads. A regression is a file that is shown
to be slower by more than --max-slower (its whole 95 % interval, from three rounds in each run on), that
lost more accuracy than --max-drop (agreement, where the data has no classes), that ran before and fails
now, or that is missing. The runs did not take turns, so what drifted between them is not in the intervals.

--floor and --ceiling limit a figure of every file of the new run, or, with a pattern before a colon, of
the files whose names match it (quote it: shells like stars too). A file that failed, or lacks the figure,
does not keep its limit. Figures: accuracy, agreement (percent), max_drift, p50_ms, p90_ms, p99_ms,
load_ms, first_ms, pictures_per_s, size_bytes, peak_rss_bytes, model_rss_bytes; as in "bench --json". With
one report, only these are checked. Exits with 1 at any regression or broken limit.

examples:
  edgecnn compare before/ after/
  edgecnn compare before/ after/ --max-slower 10 --floor accuracy=86.5
  edgecnn compare after/ --floor accuracy=86.5 --ceiling '*_int8.tflite:p50_ms=2'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compare``."""
    parser.add_argument(
        "results", nargs="+", metavar="RESULTS", help="old and new: a results.json, or the folder of bench --out"
    )
    for kind, bound in (("floor", "least"), ("ceiling", "most")):
        parser.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            metavar="[GLOB:]FIGURE=LIMIT",
            help=f"the {bound} that a figure may be; may be given several times",
        )
    parser.add_argument(
        "--max-slower", type=float, default=5.0, metavar="PERCENT", help="of the median, tolerated (default: 5)"
    )
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="of accuracy, tolerated (default: 1)"
    )
    parser.add_argument(
        "--ignore-accuracy", action="store_true", help="leave --max-drop out: for runs on different data"
    )
    parser.add_argument("--across-hosts", action="store_true", help="compare times of different machines all the same")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare and check; return 0, or 1 at any regression or broken limit."""
    from edgecnn.bench import read_report
    from edgecnn.bench.regressions import Tolerance, check, compare_runs

    limits = _limits(arguments)
    tolerance = Tolerance(arguments.max_slower, arguments.max_drop)
    if len(arguments.results) > 2:
        raise InputError(f"compare takes two reports, not {len(arguments.results)}", "edgecnn compare OLD NEW")
    if len(arguments.results) == 1 and not limits:
        raise InputError("one report has nothing to be compared with", "give a second one, or --floor or --ceiling")
    reports = [read_report(path) for path in arguments.results]
    if len(reports) == 1:
        found = check(reports[0], limits)
    else:
        if arguments.ignore_accuracy:
            tolerance = Tolerance(arguments.max_slower, None)
        old, new = reports
        found = compare_runs(old, new, tolerance, limits, across_hosts=arguments.across_hosts)
        _tell_changes(found.changes, console)
    for checked in found.limits:
        _tell_limit(checked, console)
    for text in found.notes:
        console.say(f"note: {text}")
    console.say()
    for text in found.failures:
        console.say(f"FAILED {text}")
    if not found.failures:
        console.say("no regression" if found.changes else "every limit is kept")
    told = {"old": arguments.results[0] if len(reports) == 2 else None, "new": arguments.results[-1]}
    console.document({**told, **found.to_dict()})
    again = list(reports[-1].command) if found.failures else []
    console.next_command(shlex.join(again or ["edgecnn", "choose", arguments.results[-1]]))
    return 1 if found.failures else 0


def _limits(arguments: argparse.Namespace) -> list[Limit]:
    from edgecnn.bench.limits import parse_limit

    return [
        *(parse_limit(text, "floor") for text in arguments.floor),
        *(parse_limit(text, "ceiling") for text in arguments.ceiling),
    ]


def _tell_limit(checked: Checked, console: Console) -> None:
    broken = f"broken by {len(checked.broken)} of them" if checked.broken else "kept"
    files = "1 file" if checked.rows == 1 else f"{checked.rows} files"
    console.say(f"{checked.limit.kind} {checked.limit}: {files}, {broken}")


def _tell_changes(changes: Sequence[Change], console: Console) -> None:
    """Print the table: what each row was and is; ``-`` where one of both lacks it."""
    from edgecnn.bench.tables import shared_prefix, shortened

    prefix = shared_prefix([change.label for change in changes])
    figure = next((change.figure for change in changes if change.figure), "accuracy")
    titles = {"accuracy": "top-1", "agreement": "agree"}
    header = [
        f"file {shortened(prefix, 20)}…" if prefix else "file",
        "old p50 ms",
        "new p50 ms",
        "change (95 %)",
        "outcome",
    ]
    rows = [
        [
            shortened(f"…{change.label.removeprefix(prefix)}" if prefix else change.label),
            _ms(change.old),
            _ms(change.new),
            _change(change),
            change.outcome,
            _signed(change.difference("size_bytes"), 1e-6, 3),
            _signed(change.difference("peak_rss_bytes"), 1e-6, 1),
            _signed(change.difference("quality"), 1, 2),
        ]
        for change in changes
    ]
    console.table([*header, "size MB", "peak MB", titles[figure]], rows)
    console.say()


def _ms(row: BenchmarkResult | None) -> str:
    from edgecnn.bench.wording import ms_text

    return ms_text(row.p50_ms if row else None)


def _change(change: Change) -> str:
    found = change.slower_percent
    return "-" if found is None else f"{found[0]:+.1f}% ({found[1]:+.1f} to {found[2]:+.1f})"


def _signed(value: float | None, factor: float, decimals: int) -> str:
    return "-" if value is None else f"{value * factor:+.{decimals}f}"
