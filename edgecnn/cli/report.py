"""``edgecnn report RESULTS...``: what bench measured, as a page and as pictures."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from edgecnn.cli.console import Console

EPILOG = """\
RESULTS are the folders that "edgecnn bench --out" wrote, or the results.json in them. The page is one
file: no network, no script from elsewhere, nothing beside it. Several runs of one machine become one
table; runs of several machines are refused unless --across-hosts says that they are meant: each machine
then has a section of its own, and nothing is compared across them.

examples:
  edgecnn report bench/ --out report.html
  edgecnn report monday/ tuesday/ --out report.html --png pictures/
  edgecnn report desk/results.json board/results.json --across-hosts --out report.html
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``report``."""
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="a folder that bench wrote, or its results.json")
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: %(default)s")
    parser.add_argument(
        "--png", type=Path, metavar="DIR", help="write the pictures as PNG there too (needs matplotlib)"
    )
    parser.add_argument(
        "--across-hosts", action="store_true", help="take results of different machines, each in its own section"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Read, write, tell the verdicts."""
    from edgecnn.bench.headline import headline
    from edgecnn.bench.html import sections, write_page
    from edgecnn.bench.pictures import drawings
    from edgecnn.bench.pictures.png import require_matplotlib, write_pngs
    from edgecnn.bench.report import read_report

    if args.png:
        require_matplotlib("edgecnn report --png")
    found = sections([read_report(path) for path in args.results], across_hosts=args.across_hosts)
    written = [write_page(found, args.out)]
    for number, section in enumerate(found, 1):
        if args.png:
            subtitle, suffix = section.report.host.describe(), "" if number == 1 else f"-{number}"
            written += write_pngs(drawings(section.report), args.png, subtitle, suffix)
    hosts = [(section.report.host.describe(), headline(section.parts)) for section in found]
    for host, said in hosts:
        console.say(f"{host}: {said.sentence()}" if len(found) > 1 else said.sentence())
        for text in said.because:
            console.say(f"  {text}")
    console.say(f"\nwrote {', '.join(map(str, written))}")
    console.document(
        {
            "report": str(args.out),
            "pictures": [str(path) for path in written[1:]],
            "verdicts": [
                {"host": host, "path": said.row.path if said.row else None, "sentence": said.sentence()}
                for host, said in hosts
            ],
        }
    )
    console.next_command(f"xdg-open {shlex.quote(str(args.out))}")
    return 0
