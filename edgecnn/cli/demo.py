"""``edgecnn demo``: the whole tour on real handwritten digits, by commands that a reader can repeat."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.cli.console import Console
from edgecnn.errors import CheckFailed

if TYPE_CHECKING:
    from edgecnn.artifact import Artifact

_PICTURES = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``demo``."""
    parser.add_argument("--out", default="demo", metavar="DIR", help="default: demo")
    parser.add_argument("--epochs", type=int, metavar="N", help="of the training (default: the model's own)")


class _Tour:
    """Runs commands as a user would type them, and remembers them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.commands: list[str] = []

    def run(self, *words: object, apart: bool = False) -> None:
        """Run ``edgecnn WORDS``; a failing one ends the tour.

        Args:
            apart: in a process of its own. ``predict`` tries a file out in a fork, and the threads that
                TensorFlow and the engines have left in this process do not survive one.

        Raises:
            CheckFailed: the command's exit code was not 0.
        """
        from edgecnn.cli.main import run_verb

        verb, *rest = [str(word) for word in words]
        command = shlex.join(["edgecnn", verb, *rest])
        self.commands.append(command)
        self.console.say(f"\n$ {command}")
        if apart:
            out = sys.stderr if self.console.as_json else None
            code = subprocess.run([sys.executable, "-m", "edgecnn", verb, *rest], stdout=out, check=False).returncode
        else:
            code = run_verb(verb, rest, as_step=True, as_json=self.console.as_json)
        if code != 0:
            raise CheckFailed(f"{command} ended with exit code {code}", "see what it said above")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train, export, benchmark, classify, report."""
    start = time.monotonic()
    out = Path(arguments.out)
    model, files, bench = out / "model.keras", out / "files", out / "bench"
    tour = _Tour(console)
    epochs = ["--epochs", arguments.epochs] if arguments.epochs is not None else []
    tour.run("train", "lenet5", "--data", "digits", "--out", out, *epochs)
    tour.run("export", model, "--data", "digits", "--out", files)
    tour.run("bench", files, "--reference", model, "--data", "digits", "--rounds", 3, "--out", bench, "--png")
    smallest = _smallest(files)
    pictures = _save_pictures(out / "pictures")
    tour.run("predict", smallest.path, pictures, apart=True)
    results = json.loads((bench / "results.json").read_text())
    report = _write_report(out, tour.commands, smallest)

    console.say(
        f"\nDone in {time.monotonic() - start:.0f} s. The report: {report}. The commands, to repeat each by hand:\n"
    )
    for command in tour.commands:
        console.say(f"  {command}")
    console.document(
        {"commands": tour.commands, "report": str(report), "smallest": str(smallest.path), "bench": results}
    )
    return 0


def _smallest(folder: Path) -> Artifact:
    from edgecnn.artifact import open_artifact
    from edgecnn.recipe import FORMATS

    found = [open_artifact(path) for path in sorted(folder.iterdir()) if path.suffix in FORMATS.values()]
    return min(found, key=lambda artifact: artifact.size_bytes)


def _save_pictures(folder: Path) -> Path:
    """Write a few test pictures as PNG, the true class in the name, and return their folder."""
    import cv2

    from edgecnn.data import load_data
    from edgecnn.files import write_bytes

    data = load_data("digits", "test", limit=_PICTURES)
    for number, (picture, digit) in enumerate(zip(data, data.require_classes(), strict=True), start=1):
        write_bytes(folder / f"{number}_a_{digit}.png", cv2.imencode(".png", picture)[1].tobytes())
    return folder


def _write_report(out: Path, commands: list[str], smallest: Artifact) -> Path:
    """Write ``report.md``: what was done, the table, how to repeat it."""
    from edgecnn.files import write_text

    manifest: dict[str, Any] = json.loads((out / "files" / "manifest.json").read_text())
    reference = manifest["reference"]
    path = out / "report.md"
    lines = [
        "# LeNet-5 on handwritten digits",
        "",
        (
            f"The float model scores {reference['accuracy']:.2f} % on {reference['samples']} test pictures, "
            f"on {reference['device']}."
        ),
        f"The smallest file, `files/{smallest.path.name}`, has {smallest.size_bytes:,} bytes.",
        "",
        "![learning curves](curves.png)",
        "",
        "![latency, accuracy and size](bench/tradeoff.png)",
        "",
        "![every sample of every file](bench/latency.png)",
        "",
        "All pictures, and the table to sort: [bench/report.html](bench/report.html).",
        "",
        # One level down: this page has a title of its own.
        re.sub("^#", "##", (out / "bench" / "results.md").read_text().strip(), flags=re.MULTILINE),
        "",
        "## Verification beside the float model",
        "",
        "| file | accuracy % | change, points | agreement % | largest drift | verdict |",
        "|---|---:|---:|---:|---:|---|",
        *(
            f"| {row['path']} | {row['accuracy']:.2f} | {row['accuracy_change_points']:+.2f} | {row['agreement']:.2f} "
            f"| {row['max_drift']:.4f} | {row['verdict']} |"
            for row in manifest["artifacts"]
        ),
        "",
        "## Commands",
        "",
        "```",
        *commands,
        "```",
        "",
    ]
    write_text(path, "\n".join(lines))
    return path
