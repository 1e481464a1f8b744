"""``edgecnn VERB``: finds the verb, turns every error into one clear line and an exit code.

Exit codes: 0 done, 1 a check failed, 2 wrong usage or bad input, 3 a missing dependency, 4 a
runtime failure, 130 interrupted by Ctrl-C, 143 ended by SIGTERM. Nothing but the standard library
is imported before a verb runs.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType, ModuleType
from typing import NoReturn

from edgecnn import __version__
from edgecnn.cli.console import Console, harmless
from edgecnn.errors import EdgecnnError, InputError, MissingDependency, OutputError, closest

#: Verb -> what it does; the module of a verb has its name. In the order in which a user meets them.
VERBS = {
    "demo": "train, export, verify and benchmark LeNet-5 on real digits: the whole tour",
    "models": "list the Keras models that edgecnn can build",
    "train": "train a model and write its contract into model.keras",
    "export": "turn a Keras model into verified .tflite and .onnx files",
    "debug": "show where a quantized file went wrong, layer by layer, and the likely cause",
    "reference": "keep the float model's answers and figures for machines where it cannot run",
    "bench": "measure latency, memory and accuracy of files beside the float reference",
    "choose": "name the best file for a budget, and what each other one lost by",
    "compare": "find regressions between two runs of bench, and check floors and ceilings",
    "report": "make one HTML page, and pictures, of what bench measured",
    "predict": "classify pictures with one model file",
    "info": "show what a model file says about itself",
    "doctor": "show what is installed, what is missing and the line that cures it",
}
#: Import name -> (distribution, extra that brings it).
_EXTRA_OF = {
    "cv2": ("opencv-python", "edge"),
    "ai_edge_litert": ("ai-edge-litert", "tflite"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "keras": ("keras", "export"),
    "tensorflow": ("tensorflow", "export"),
    "tf2onnx": ("tf2onnx", "export"),
    "onnx": ("onnx", "export"),
    "ai_edge_quantizer": ("ai-edge-quantizer", "export"),
    "sympy": ("sympy", "export"),
    "sklearn": ("scikit-learn", "train"),
    "matplotlib": ("matplotlib", "train"),
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are :class:`InputError`, with the closest option named."""

    def error(self, message: str) -> NoReturn:
        unknown_prefix = "unrecognized arguments: "
        if message.startswith(unknown_prefix):
            word = message.removeprefix(unknown_prefix).split()[0].split("=")[0]
            message = f"unknown option {word!r}{closest(word, self._option_string_actions)}"
        raise InputError(message, f"{self.prog} --help")


def parser_for(verb: str) -> tuple[Parser, ModuleType]:
    """Return the parser of a verb and its module."""
    module = import_module(f"edgecnn.cli.{verb}")
    parser = Parser(
        prog=f"edgecnn {verb}",
        description=f"{VERBS[verb].capitalize()}.",
        epilog=getattr(module, "EPILOG", None),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser, module


def help_text() -> str:
    """Return what ``edgecnn --help`` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb.ljust(width)}  {summary}" for verb, summary in VERBS.items())
    return (
        "usage: edgecnn VERB [OPTION...]\n\n"
        "Trained Keras CNNs become verified, benchmarked TFLite and ONNX files for the edge.\n\n"
        f"{verbs}\n\n"
        "edgecnn VERB --help tells more. Exit codes: 0 done, 1 a check failed, 2 wrong usage or bad\n"
        "input, 3 a missing dependency, 4 a runtime failure."
    )


def run(argv: Sequence[str]) -> int:
    """Run one command; errors come out as exceptions."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"edgecnn {__version__}")
        return 0
    verb = argv[0]
    if verb not in VERBS:
        raise InputError(f"unknown verb {verb!r}{closest(verb, VERBS)}", "edgecnn --help")
    return run_verb(verb, argv[1:])


def run_verb(verb: str, words: Sequence[str], *, as_step: bool = False, as_json: bool = False) -> int:
    """Run one verb and return its exit code.

    Args:
        words: its arguments; what it was called with reaches it as ``arguments.command``.
        as_step: it is a step of another verb, which has the JSON document and the last word.
        as_json: that verb was asked for JSON.
    """
    parser, module = parser_for(verb)
    arguments = parser.parse_args(words)
    arguments.command = ("edgecnn", verb, *words)
    try:
        status: int = module.run(arguments, Console(arguments.json or as_json, nested=as_step))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF:
            raise
        raise MissingDependency(*_EXTRA_OF[package], f"edgecnn {verb}") from error
    return status


class _Terminated(BaseException):
    """SIGTERM came; a BaseException, so that clean-up runs and nothing swallows it."""


class Interrupted(EdgecnnError):
    """The user, or the system, ended the command."""

    def __init__(self, how: str, exit_code: int) -> None:
        super().__init__(f"{how}: files written so far are whole, nothing is half-written", "run the command again")
        self.exit_code = exit_code


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _flushed(status: int) -> int:
    """Find out now, not at exit, whether standard output took everything."""
    if sys.stdout is None:
        return status
    sys.stdout.flush()
    return status


def _from_system(error: OSError) -> EdgecnnError:
    """Return what the system refused: a path that cannot be used, or an output that is full."""
    if error.filename is not None:
        return InputError(f"cannot use {error.filename!r}: {error.strerror}", "check the path and its permissions")
    _silence_stdout()
    return OutputError(f"the system refused: {error.strerror or error}", "free some space, or close what uses it up")


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _report(error: EdgecnnError, argv: Sequence[str]) -> int:
    print(f"error: {harmless(str(error))}", file=sys.stderr)
    Console("--json" in argv).document(
        {"error": {"message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}}
    )
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``edgecnn``: returns the exit code."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot spell is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        return _flushed(run(words))
    except EdgecnnError as error:
        return _report(error, words)
    except KeyboardInterrupt:
        return _report(Interrupted("interrupted", 130), words)
    except _Terminated:
        return _report(Interrupted("terminated", 143), words)
    except BrokenPipeError:
        _silence_stdout()  # the reader left: no complaint at exit
        return 0
    except OSError as error:
        return _report(_from_system(error), words)
    except Exception as error:
        if os.environ.get("EDGECNN_DEBUG"):
            traceback.print_exc()
        bug = EdgecnnError(
            f"unexpected {type(error).__name__}: {error}",
            "run again with EDGECNN_DEBUG=1 and report what it prints: this is a bug in edgecnn",
        )
        return _report(bug, words)


if __name__ == "__main__":
    sys.exit(main())
