"""Colours by what they mean, for light and for dark pages. This module must not know what is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Role -> (on white, on black). Formats and stages have Okabe and Ito's colours, told apart by
#: colour-blind readers too ("Color Universal Design", 2008); no colour stands for a format and a stage.
PALETTE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "paper": ("#ffffff", "#16191d"),
        "ink": ("#1b1f24", "#e8eaed"),
        "muted": ("#5b6570", "#a0a8b2"),
        "grid": ("#dfe3e8", "#31373f"),
        "band": ("#f5f7f9", "#1d2126"),
        "base": ("#b9c0c8", "#59626d"),
        "tflite": ("#0072b2", "#56b4e9"),
        "onnx": ("#d55e00", "#f08a3c"),
        "keras": ("#7f7f7f", "#9aa0a6"),
        "preprocess": ("#56b4e9", "#56b4e9"),
        "quantize": ("#e69f00", "#e69f00"),
        "invoke": ("#009e73", "#009e73"),
        "dequantize": ("#f0e442", "#f0e442"),
        "postprocess": ("#cc79a7", "#cc79a7"),
        "good": ("#00734f", "#4cc79a"),
        "bad": ("#b3261e", "#f2867e"),
        "dark": ("#1b1f24", "#1b1f24"),
    }
)
_FORMATS = {"tflite": "tflite", "onnx": "onnx"}


def format_role(name: str | None) -> str:
    """Return the role of a model file's format; Keras' two formats, and none, have the same."""
    return _FORMATS.get(name or "", "keras")
