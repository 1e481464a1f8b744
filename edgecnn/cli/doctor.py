"""``edgecnn doctor``: what is installed, what is missing, and the line that cures it."""

from __future__ import annotations

import argparse
import platform
import struct
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgecnn import __version__
from edgecnn.cli.console import Console

#: Distribution -> (what it is for, extra that brings it, module to try, or "" where importing is slow).
_PACKAGES = {
    "ai-edge-litert": ("run .tflite files", "tflite", "ai_edge_litert.interpreter"),
    "onnxruntime": ("run .onnx files", "onnx", "onnxruntime"),
    "opencv-python": ("read, resize and draw pictures", "edge", "cv2"),
    "tensorflow": ("convert to .tflite", "export", ""),
    "keras": ("the models and the float reference", "export", ""),
    "tf2onnx": ("convert to .onnx", "export", ""),
    "onnx": ("convert to .onnx", "export", ""),
    "ai-edge-quantizer": ("quantize .tflite", "export", ""),
    "sympy": ("quantize .onnx", "export", ""),
    "scikit-learn": ("the digits data set", "train", ""),
    "matplotlib": ("learning curves and charts", "train", ""),
}
#: Any of these stands for the first.
_SUBSTITUTES = {
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "ai-edge-litert": ("tflite-runtime",),
    "tensorflow": ("tensorflow-cpu",),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """``doctor`` has no options of its own."""


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, ``None`` if it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Show the host, every package, and what to do about what is wrong; return 1 if something is.

    A package that is not installed is no problem: not everybody needs every extra.
    """
    from edgecnn.bench.host import usable_cores

    packages = [_package(name) for name in _PACKAGES]
    problems = list(_problems(packages))
    system = f"{platform.system()} {platform.machine()}, {usable_cores()} usable cores"
    host = f"Python {platform.python_version()}, {system}"
    console.say(f"edgecnn {__version__}, {host}\n")
    console.table(
        ("package", "version", "needed to", "remedy"),
        [(row["name"], row["version"] or "missing", row["purpose"], row["cure"]) for row in packages],
    )
    for problem in problems:
        console.say(f"\nproblem: {problem['what']}\n  remedy: {problem['remedy']}")
    console.document({"edgecnn": __version__, "host": host, "packages": packages, "problems": problems})
    return 1 if problems else 0


def _package(name: str) -> dict[str, Any]:
    purpose, extra, module = _PACKAGES[name]
    found = next((other for other in (name, *_SUBSTITUTES.get(name, ())) if installed_version(other)), None)
    cure = "" if found else f"pip install 'edgecnn[{extra}]'"
    broken = _import_failure(module) if found and module else ""
    return {
        "name": found or name,
        "version": installed_version(found) if found else None,
        "purpose": purpose,
        "extra": extra,
        "cure": cure,
        "broken": broken,
    }


def _import_failure(module: str) -> str:
    from importlib import import_module

    try:
        import_module(module)
    except Exception as error:  # a broken wheel may raise anything; telling it is the point here
        return f"{type(error).__name__}: {error}"
    return ""


def _problems(packages: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for row in packages:
        if "libGL" in row["broken"]:
            yield {
                "what": f"{row['name']} is installed but this system has no libGL",
                "remedy": f"pip uninstall {row['name']} && pip install 'edgecnn[edge-headless]'",
            }
        elif row["broken"]:
            yield {
                "what": f"{row['name']} is installed but cannot be imported: {row['broken']}",
                "remedy": f"pip install --force-reinstall {row['name']}",
            }
    several = [name for name in ("opencv-python", *_SUBSTITUTES["opencv-python"]) if installed_version(name)]
    if len(several) > 1:
        yield {
            "what": f"{' and '.join(several)} are both installed and overwrite each other",
            "remedy": f"pip uninstall {' '.join(several)} && pip install {several[0]}",
        }
    numpy_version = installed_version("numpy") or "0"
    if installed_version("tflite-runtime") and int(numpy_version.partition(".")[0]) >= 2:
        yield {"what": f"tflite-runtime does not work with numpy {numpy_version}", "remedy": "pip install 'numpy<2'"}
    if struct.calcsize("P") == 4:
        yield {
            "what": "this Python is 32-bit: LiteRT and ONNX Runtime have no wheels for it",
            "remedy": "use a 64-bit system",
        }
