"""Which engine, and how many threads, for three real models; and what each file costs beside the float reference?

Question: for LeNet-5 (MNIST), a MobileNet of alpha 0.5 and MLPerf Tiny's ResNet-8 (CIFAR-10): latency, memory,
accuracy and agreement of float32, float16, dynamic int8 and int8 files in LiteRT, ONNX Runtime and OpenCV, on one and
two threads, beside the float model in Keras.

Method: for each model ``edgecnn reference`` keeps the float model's answers and figures; ``edgecnn export`` makes the
files; ``edgecnn bench`` measures all of them in interleaved rounds against that reference, on all test pictures.
The device of the reference (a GPU where Keras sees one, else the CPU) stands in every table.

    python benchmarks/engines.py --mnist mnist.npz --lenet5 model.keras --cifar10 cifar10.npz --mobilenet model.keras
        --resnet8 resnet8.h5 [--out benchmarks/results]
    python benchmarks/engines.py --smoke [--out DIR]

Writes ``reference_NAME.json`` and ``engines_NAME.md`` for each model; with ``--smoke`` for a tiny one, trained for an
epoch on scikit-learn's digits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgecnn.bench import Protocol, Report
from edgecnn.bench.runner import benchmark, measured_reference
from edgecnn.bench.tables import markdown, text_table
from edgecnn.files import ensure_folder, write_json, write_text

RECIPES = "float32,float16,dynamic_int8,int8"


@dataclass(frozen=True)
class Case:
    """One model: its file, its data, and what it must be told of its contract."""

    name: str
    model: Path
    data: str
    color: str | None = None
    scale: str | None = None

    @property
    def told(self) -> dict[str, dict[str, str]]:
        return {} if self.color is None else {"input": {"color": self.color, "scale": str(self.scale)}}

    @property
    def flags(self) -> list[str]:
        return [] if self.color is None else ["--color", self.color, "--scale", str(self.scale)]


def edgecnn(*words: object) -> None:
    """Run one command; a file that fails verification is no failure of the experiment."""
    done = subprocess.run([sys.executable, "-m", "edgecnn", *map(str, words)], check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"edgecnn {' '.join(map(str, words))} ended with exit code {done.returncode}")


def cases(arguments: argparse.Namespace, work: Path) -> Iterator[Case]:
    """Yield the models that were given."""
    if arguments.smoke:
        edgecnn("train", "lenet5", "--data", "digits", "--epochs", 1, "--limit", 300, "--out", work / "digits")
        yield Case("digits", work / "digits" / "model.keras", "digits")
    for name, data in (("lenet5", arguments.mnist), ("mobilenet", arguments.cifar10)):
        if getattr(arguments, name):
            yield Case(name, getattr(arguments, name), data)
    if arguments.resnet8:
        yield Case("resnet8", arguments.resnet8, arguments.cifar10, "rgb", "1")


def report_on(case: Case, protocol: Protocol, out: Path, work: Path, limit: list[object]) -> Report:
    """Make the reference and the files of one model, measure them, write both."""
    measured = measured_reference(case.model, case.data, protocol=protocol, told=case.told)
    # Files and data by their names: the folders are this machine's.
    name = Path(case.data).name
    reference = replace(measured, data=name, row=replace(measured.row, path=measured.row.path.rpartition("/")[2]))
    kept = out / f"reference_{case.name}.json"
    write_json(kept, reference.to_dict())
    files = work / case.name
    less = ["--trials", 0, "--floor", 0] if limit else []
    words = ("--data", case.data, "--recipe", RECIPES, *case.flags, *limit, *less, "--out", files)
    edgecnn("export", case.model, *words)
    report = benchmark([files], protocol=protocol, reference=kept, data=case.data, runtimes=["all"])
    return replace(report, data=name)


def main() -> int:
    """Measure every model and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    for name in ("lenet5", "mobilenet", "resnet8"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("mnist", "cifar10"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-seconds", type=float, default=4.0, help="of sampling per row")
    parser.add_argument("--smoke", action="store_true", help="a tiny model, one short round")
    parser.add_argument("--out", type=Path, default=Path("engines"))
    arguments = parser.parse_args()
    protocol = Protocol(threads=(1, 2), rounds=arguments.rounds, max_seconds=arguments.max_seconds, timeout_s=600)
    limit: list[object] = []
    if arguments.smoke:
        limit, protocol = ["--limit", 50], Protocol(rounds=1, runs=20, max_seconds=0.2, limit=50)
    ensure_folder(arguments.out)
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(arguments, Path(folder)):
            report = report_on(case, protocol, arguments.out, Path(folder), limit)
            write_text(arguments.out / f"engines_{case.name}.md", markdown(report).replace(f"{folder}/", ""))
            print("\n".join(text_table(report)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
