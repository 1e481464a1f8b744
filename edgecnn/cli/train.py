"""``edgecnn train``: from a model's name and a data set to ``model.keras`` with its contract."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from edgecnn.cli.console import Console
from edgecnn.cli.models import input_size
from edgecnn.errors import InputError

EPILOG = """\
DATA is digits, mnist, fashion_mnist or cifar10, an .npz with x_train, y_train, x_test and y_test,
or a folder with one folder per class (train/ and val/ above them, if there are).

A tenth of the training pictures, class by class, is held out to decide when to stop. The test
pictures are looked at once, at the end. On the CPU of one machine, the same --seed with the same
--threads gives the same weights; kernels of a GPU may add in another order.

examples:
  edgecnn train lenet5 --data digits --out digits
  edgecnn train mobilenet --data flowers/ --input-size 128 --alpha 0.5 --out flowers_model"""
_COLOR_CHANNELS = {"gray": 1, "rgb": 3}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a name that 'edgecnn models' lists")
    parser.add_argument("--data", required=True, metavar="DATA", help="pictures with classes, see below")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: the model's name)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the data (default: the model's)")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="pictures per step (default: 128)")
    parser.add_argument("--lr", type=float, metavar="F", help="peak learning rate of Adam (default: the model's)")
    parser.add_argument(
        "--patience", type=int, default=8, metavar="N", help="stop after N epochs without a better one (default: 8)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, order and draws (default: 0)")
    parser.add_argument("--alpha", type=float, metavar="F", help="width multiplier, for models that have one")
    parser.add_argument("--input-size", metavar="HxW", help="height and width in pixels, or one number for both")
    parser.add_argument("--color", choices=list(_COLOR_CHANNELS), help="feed the model so (default: as the data is)")
    parser.add_argument("--limit", type=int, metavar="N", help="train on N pictures only, class-balanced")
    parser.add_argument(
        "--augment", metavar="A,...", help="mirror, shift: changes drawn anew for training pictures (default: none)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: the backend's choice)")


def _set_environment(threads: int | None) -> None:
    """Prepare the backend; has an effect only before Keras is imported."""
    # Some of TensorFlow's kernels add in the order in which threads arrive, unless told not to.
    os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"--threads must be at least 1, not {threads}", "--threads 2")
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(threads)


def run(args: argparse.Namespace, console: Console) -> int:
    _set_environment(args.threads)
    from edgecnn.models.registry import model_entry
    from edgecnn.training import TrainingPlan, train

    entry = model_entry(args.model)
    if args.alpha is not None and "alpha" not in entry.options:
        raise InputError(f"{entry.name} has no --alpha", "leave it out, or choose mobilenet")
    augment = tuple(args.augment.split(",")) if args.augment else ()
    out = Path(args.out or entry.name).expanduser()
    result = train(
        entry.name,
        args.data,
        out,
        TrainingPlan(args.epochs, args.batch_size, args.lr, args.patience, args.seed, args.limit, augment),
        input_size=input_size(args.input_size) if args.input_size else None,
        channels=_COLOR_CHANNELS.get(args.color),
        options={} if args.alpha is None else {"alpha": args.alpha},
        reporter=console,
    )
    console.say(
        f"test accuracy {result.test_accuracy:.2f} % on {result.samples['test']:,} pictures, "
        f"with the weights of epoch {result.best_epoch} of {result.epochs}"
    )
    for path in (result.model, result.curves, result.history):
        console.say(f"wrote {path}")
    console.next_command(shlex.join(["edgecnn", "export", str(result.model), "--data", args.data, "--out", str(out)]))
    console.document(result.to_dict())
    return 0
