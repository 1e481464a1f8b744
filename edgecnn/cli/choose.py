"""``edgecnn choose RESULTS...``: the best file for a budget, and what each other one lost by."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from edgecnn.cli.console import Console

if TYPE_CHECKING:
    from edgecnn.bench import BenchmarkResult
    from edgecnn.bench.choose import Choice

EPILOG = """\
Of the files inside the budget, those tie that no other is shown to be faster than: by the rounds of one
run, or by the intervals of different runs. Of these the most accurate wins, if the pictures can show the
difference (five pictures cannot); then the smallest; then the one that takes the least memory.

A latency keeps --max-ms if the upper end of the 95 % interval of its median does: it is the time of one
call of the engine. A loss is counted from the float reference, without one from the best float32 file;
where the data has no classes, it is what a file lacks to 100 % agreement. 1 MB is 1,000,000 bytes.
"*" marks files on the Pareto front: no other is as good in median, accuracy and size, and better in one.
Exits with 1 if no file keeps the budget, and says which comes nearest.

examples:
  edgecnn choose bench --max-drop 1 --max-ms 30 --max-mb 50
  edgecnn choose litert/results.json onnx/results.json --max-memory-mb 100 --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``choose``."""
    parser.add_argument(
        "results", nargs="+", metavar="RESULTS", help="a results.json of bench, or the folder of bench --out"
    )
    parser.add_argument("--max-drop", type=float, metavar="POINTS", help="of accuracy that may be lost")
    parser.add_argument("--max-ms", type=float, metavar="MS", help="of one call of the engine, in the median")
    parser.add_argument("--max-mb", type=float, metavar="MB", help="of the file")
    parser.add_argument("--max-memory-mb", type=float, metavar="MB", help="of the whole process at its peak")
    parser.add_argument("--across-hosts", action="store_true", help="compare times of different machines all the same")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Choose and tell; return 0, or 1 if no file keeps the budget."""
    from edgecnn.bench import read_report
    from edgecnn.bench.budget import Budget
    from edgecnn.bench.choose import choose

    budget = Budget(arguments.max_drop, arguments.max_ms, arguments.max_mb, arguments.max_memory_mb)
    reports = [read_report(path) for path in arguments.results]
    choice = choose(reports, budget, across_hosts=arguments.across_hosts)
    console.say(f"budget: {budget}")
    if choice.baseline is not None:
        console.say(f"losses are counted from {choice.baseline}")
    _tell_best(choice, console)
    if choice.losers:
        console.say("\nlost by:")
    for loser in choice.losers:
        console.say(f"  {_starred(choice, loser.row)}: {loser.reason}")
    console.say(f"\n* on the Pareto front: {', '.join(map(choice.label, choice.front)) or 'none'}")
    for text in choice.notes:
        console.warn(text)
    console.document(choice.to_dict())
    if choice.best is None:
        console.next_command(shlex.join(["edgecnn", "choose", *arguments.results]))
        return 1
    console.next_command(f"edgecnn predict {shlex.quote(choice.best.path)} IMAGE")
    return 0


def _tell_best(choice: Choice, console: Console) -> None:
    if choice.best is not None:
        console.say(f"\nbest: {_starred(choice, choice.best)}: {_costs(choice.best)}")
        console.say(f"  {choice.why}")
        return
    console.say(f"\n{choice.why}")
    if choice.nearest is not None:
        console.say(f"nearest: {_starred(choice, choice.nearest.row)}: {choice.nearest.reason}")


def _starred(choice: Choice, row: BenchmarkResult) -> str:
    star = "*" if any(row is one for one in choice.front) else ""
    return f"{choice.label(row)}{star}"


def _costs(row: BenchmarkResult) -> str:
    from edgecnn.bench.wording import bytes_text, ms_text

    interval = row.ci95_ms()
    between = f" ({ms_text(interval[0])} to {ms_text(interval[1])}, 95 %)" if interval else ""
    words = [f"{ms_text(row.p50_ms)} ms{between}"]
    if row.accuracy is not None:
        words.append(f"{row.accuracy:.2f} % accurate")
    elif row.agreement is not None:
        words.append(f"{row.agreement:.2f} % agreement")
    if row.size_bytes is not None:
        words.append(bytes_text(row.size_bytes))
    if row.memory is not None:
        words.append(f"{bytes_text(row.memory.peak_rss_bytes)} of memory")
    return ", ".join(words)
