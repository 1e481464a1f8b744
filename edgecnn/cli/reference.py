"""``edgecnn reference MODEL``: the float model's answers and figures, for boards where it cannot run."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract
from edgecnn.cli.protocol import add_protocol_options, told_protocol

EPILOG = """\
Runs the float model on whatever backend and device Keras has here (KERAS_BACKEND=tensorflow, jax or
torch; a GPU where the backend sees one) and keeps its answers to every picture, its accuracy, its
latency, throughput and memory. "edgecnn bench --reference reference.json --data DATA" compares files
with it on a machine that has neither Keras nor a GPU; the pictures must be the same.

examples:
  edgecnn reference model.keras --data cifar10 --out reference.json
  KERAS_BACKEND=torch edgecnn reference model.keras --data cifar10 --batch 256 --out gpu.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``reference``."""
    parser.add_argument("model", metavar="MODEL", help="the float model: a .keras or .h5 file")
    parser.add_argument("--data", required=True, help="pictures to answer: a name, an .npz or a folder")
    parser.add_argument("--out", type=Path, default=Path("reference.json"), metavar="FILE", help="default: %(default)s")
    add_protocol_options(parser)
    add_contract_options(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, write, show."""
    from edgecnn.bench.runner import measured_reference
    from edgecnn.bench.tables import significant
    from edgecnn.files import ensure_folder, write_json

    ensure_folder(args.out.parent)
    measured = measured_reference(
        args.model, args.data, protocol=told_protocol(args), told=told_contract(args), reporter=console
    )
    reference = replace(measured, command=tuple(args.command))
    write_json(args.out, reference.to_dict())
    row, host = reference.row, reference.host
    console.say(f"{row.name} on {row.device}, {row.runtime_version}")
    console.say(f"host: {host.describe()}")
    if row.accuracy is not None:
        console.say(f"accuracy: {row.accuracy:.2f} % of {len(reference.probabilities):,} pictures of {reference.data}")
    interval = row.ci95_ms()
    between = f" ({significant(interval[0])} to {significant(interval[1])}, 95 %)" if interval else ""
    console.say(f"latency, batch 1: {significant(row.p50_ms)} ms{between}")
    console.say(f"throughput: {significant(row.pictures_per_s)} pictures per second at batch {args.batch}")
    memory = row.memory
    if memory is not None and memory.device_peak_bytes is not None:
        console.say(f"memory of the device: {memory.device_peak_bytes / 1e6:.1f} MB at most")
    for text in row.warnings:
        console.warn(text)
    console.say(f"\nwrote {args.out}")
    document = reference.to_dict()
    del document["probabilities"]  # megabytes of text: they are in the file
    console.document({**document, "reference": row.to_dict()})
    console.next_command(shlex.join(["edgecnn", "bench", "FILE", "--reference", str(args.out), "--data", args.data]))
    return 0
