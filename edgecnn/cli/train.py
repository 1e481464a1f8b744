"""``edgecnn train``: from a model's name, or a trained file, and a data set to ``model.keras`` with its contract."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract
from edgecnn.cli.models import input_size
from edgecnn.errors import InputError

if TYPE_CHECKING:
    from edgecnn.spec import ModelSpec
    from edgecnn.training import TrainingPlan, TrainingResult
    from edgecnn.training.splits import TrainingData

EPILOG = """\
DATA is digits, mnist, fashion_mnist or cifar10, an .npz with x_train, y_train, x_test and y_test,
or a folder with one folder per class (train/ and val/ above them, if there are).

A tenth of the training pictures, class by class, is held out to decide when to stop. The test
pictures are looked at once, at the end. On the CPU of one machine, the same --seed with the same
--threads gives the same weights; kernels of a GPU may add in another order.

--quantize-aware takes a trained .keras or .h5 file and fine-tunes it for int8: 3 epochs (more for
small data) at a rate of 0.0002 by default. The file that it writes is a float model with the
ranges inside that int8 files of it use.

examples:
  edgecnn train lenet5 --data digits --out digits
  edgecnn train mobilenet --data flowers/ --input-size 128 --alpha 0.5 --out flowers_model
  edgecnn train digits/model.keras --quantize-aware --data digits --out digits_qat"""
_COLOR_CHANNELS = {"gray": 1, "rgb": 3}
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a name that 'edgecnn models' lists, or a Keras file")
    parser.add_argument("--data", required=True, metavar="DATA", help="pictures with classes, see below")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: the model's name)")
    parser.add_argument(
        "--quantize-aware", action="store_true", help="fine-tune a trained Keras file so that it loses less in int8"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the data (default: the model's)")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="pictures per step (default: 128)")
    parser.add_argument("--lr", type=float, metavar="F", help="peak learning rate of Adam (default: the model's)")
    parser.add_argument(
        "--patience", type=int, default=8, metavar="N", help="stop after N epochs without a better one (default: 8)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, order and draws (default: 0)")
    parser.add_argument("--alpha", type=float, metavar="F", help="width multiplier, for models that have one")
    parser.add_argument(
        "--downsample", metavar="WHERE", help="late or early: where mobilenet makes a small picture smaller"
    )
    parser.add_argument("--input-size", metavar="HxW", help="height and width in pixels, or one number for both")
    parser.add_argument("--limit", type=int, metavar="N", help="train on N pictures only, class-balanced")
    parser.add_argument(
        "--augment", metavar="A,...", help="mirror, shift: changes drawn anew for training pictures (default: none)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: the backend's choice)")
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )
    add_contract_options(parser)


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
    """Train, tell where the results are, name the export that follows."""
    _set_environment(args.threads)
    from edgecnn.training import TrainingPlan

    augment = tuple(args.augment.split(",")) if args.augment else ()
    plan = TrainingPlan(args.epochs, args.batch_size, args.lr, args.patience, args.seed, args.limit, augment)
    result = _fine_tuned(args, plan, console) if args.quantize_aware else _trained(args, plan, console)
    for path in (result.model, result.curves, result.history):
        console.say(f"wrote {path}")
    out = str(result.model.parent)
    console.next_command(shlex.join(["edgecnn", "export", str(result.model), "--data", args.data, "--out", out]))
    console.document(result.to_dict())
    return 0


def _is_file(model: str) -> bool:
    return Path(model).suffix.lower() in _KERAS_SUFFIXES or Path(model).is_file()


def _refuse(args: argparse.Namespace, options: Sequence[str], why: str) -> None:
    """Refuse options that have no meaning here.

    Raises:
        InputError: one was given.
    """
    for option in options:
        if getattr(args, option):
            raise InputError(f"--{option.replace('_', '-')} {why}", "leave it out")


def _trained(args: argparse.Namespace, plan: TrainingPlan, console: Console) -> TrainingResult:
    """Train a model of the zoo."""
    from edgecnn.models.registry import model_entry
    from edgecnn.training import train

    if _is_file(args.model):
        raise InputError(
            f"{args.model!r} is a file: without --quantize-aware, models of the zoo are trained by name",
            "add --quantize-aware to fine-tune it for int8, or give a name that 'edgecnn models' lists",
        )
    entry = model_entry(args.model)
    options = {name: value for name in ("alpha", "downsample") if (value := getattr(args, name)) is not None}
    for name in options:
        if name not in entry.options:
            raise InputError(f"{entry.name} has no --{name}", "leave it out, or choose mobilenet")
    _refuse(
        args, ("spec", "scale", "mean", "std", "resize", "labels", "head"), f"says how a file is fed, not {entry.name}"
    )
    if args.color not in (None, *_COLOR_CHANNELS):
        raise InputError(f"models of the zoo are not trained with --color {args.color}", "--color rgb or --color gray")
    result = train(
        entry.name,
        args.data,
        Path(args.out or entry.name).expanduser(),
        plan,
        input_size=input_size(args.input_size) if args.input_size else None,
        channels=_COLOR_CHANNELS.get(args.color),
        options=options,
        reporter=console,
    )
    console.say(
        f"test accuracy {result.test_accuracy:.2f} % on {result.samples['test']:,} pictures, "
        f"with the weights of epoch {result.best_epoch} of {result.epochs}"
    )
    return result


def _fine_tuned(args: argparse.Namespace, plan: TrainingPlan, console: Console) -> TrainingResult:
    """Fine-tune a trained Keras file for int8."""
    from edgecnn.artifact import open_artifact
    from edgecnn.files import ensure_folder
    from edgecnn.models.loading import facts_of, load_keras_model
    from edgecnn.specfile import settle_spec
    from edgecnn.training import train_quantize_aware
    from edgecnn.training.splits import load_splits

    _refuse(args, ("alpha", "downsample", "input_size"), "is of models of the zoo, a trained file has its own")
    if not _is_file(args.model):
        raise InputError(
            f"--quantize-aware fine-tunes a trained file, {args.model!r} is none",
            f"edgecnn train {args.model} --data {shlex.quote(args.data)}, then --quantize-aware with its model.keras",
        )
    source = open_artifact(args.model)
    if not source.is_keras:
        raise InputError(f"{args.model!r} is a .{source.format} file", "training starts from a .keras or .h5 file")
    out = ensure_folder(Path(args.out or f"{source.path.stem}_qat").expanduser())
    told = told_contract(args)
    data = load_splits(args.data, limit=plan.limit, seed=plan.seed, reporter=console)
    model = load_keras_model(source, trust=args.trust)
    spec = settle_spec(source.spec, told, lambda: facts_of(model), name=source.path.stem, labels=data.labels)
    result = train_quantize_aware(model, source, spec, _aligned(data, spec), args.data, out, plan, reporter=console)
    console.say(
        f"test accuracy on {result.samples['test']:,} pictures: float {result.float_before:.2f} % before, "
        f"{result.float_after:.2f} % after; fake-quantized {result.quantized_before:.2f} % before, "
        f"{result.test_accuracy:.2f} % after, with the weights of epoch {result.best_epoch} of {result.epochs}"
    )
    return result


def _aligned(data: TrainingData, spec: ModelSpec) -> TrainingData:
    """Return the data with classes counted as the model's labels count them."""
    from edgecnn.verify import align_classes

    train, validation, test = (align_classes(part, spec) for part in (data.train, data.validation, data.test))
    return replace(data, train=train, validation=validation, test=test, labels=spec.labels)
