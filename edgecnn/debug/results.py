"""What was found about a quantized file: its layers, the causes, the document that programs read.

This module must not know how anything was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.debug.signal import Signal

SCHEMA_VERSION = 1
#: So many pictures more or less are luck: a layer's harm is a difference of two counts.
CHANCE_PICTURES = 3
#: A loss counts from so many points on, and from more pictures than luck decides.
HARM_POINTS = 1.0
#: A share of pictures in points is a float; a loss equal to a threshold must count.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ComparedLayer:
    """One layer of the float model beside its tensor in the file.

    Args:
        name: as the Keras model names it.
        op: its Keras class, or the activation.
        tensor: the file's name of the tensor.
        depth: its place in the order of execution, from 0.
        signal: both outputs, summed over the pictures.
        harm_points: accuracy, in points, that the float model loses when this layer alone is quantized as in
            the file (agreement, where the data has no classes); ``None`` where the file does not quantize it.
    """

    name: str
    op: str
    tensor: str
    depth: int
    signal: Signal
    harm_points: float | None = None

    @property
    def sqnr_text(self) -> str:
        """The signal to noise in words."""
        if self.is_identical:
            return "+inf"
        return "-" if self.signal.sqnr_db is None else f"{self.signal.sqnr_db:.1f}"

    @property
    def is_identical(self) -> bool:
        """Whether not one value differs."""
        return self.signal.sqnr_db == math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as JSON knows it: what cannot be measured, and an infinite ratio, is ``null``."""
        signal, quant = self.signal, self.signal.quant
        ratio = signal.channel_ratio
        return {
            "layer": self.name,
            "op": self.op,
            "sqnr_db": None if signal.sqnr_db is None or self.is_identical else signal.sqnr_db,
            "cosine": signal.cosine,
            "float_range": list(signal.float_range),
            "scale": quant.scale if quant else None,
            "harm_points": self.harm_points,
            "zero_point": quant.zero_point if quant else None,
            "dtype": quant.dtype if quant else None,
            "identical": self.is_identical,
            "channels": signal.channels,
            "dead_channels": signal.dead_channels,
            "channel_ratio": ratio if ratio is not None and math.isfinite(ratio) else None,
            "clipped_share": signal.clipped_share,
            "depth": self.depth,
            "tensor": self.tensor,
        }


@dataclass(frozen=True)
class Finding:
    """One likely cause.

    Args:
        kind: a word that programs can compare.
        layer: that it is about; ``None`` where it is about the whole file.
        text: what was seen, a sentence with its figures.
        remedy: what to do, with an edgecnn command in it.
    """

    kind: str
    layer: str | None
    text: str
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "layer": self.layer, "text": self.text, "remedy": self.remedy}


@dataclass(frozen=True)
class Answers:
    """What the two models answer on the pictures, in percent; accuracies ``None`` where the data has no classes.

    ``float_is_guess`` says that the float model cannot be told from a guesser.
    """

    pictures: int
    agreement: float
    float_accuracy: float | None = None
    file_accuracy: float | None = None
    float_is_guess: bool = False

    @property
    def lost_points(self) -> float:
        """Accuracy that the file loses, in points; agreement, where there is none."""
        if self.float_accuracy is None or self.file_accuracy is None:
            return 100 - self.agreement
        return self.float_accuracy - self.file_accuracy

    @property
    def chance_points(self) -> float:
        """Losses up to this many points are luck."""
        return CHANCE_PICTURES * 100 / self.pictures

    def counts(self, points: float, least: float = HARM_POINTS) -> bool:
        """Whether a loss is at least ``least`` points and more than luck."""
        return points >= least - _ROUNDING and points > self.chance_points + _ROUNDING


@dataclass(frozen=True)
class DebugReport:
    """All of it.

    Args:
        file, reference: the quantized and the float model.
        data: what the user called the pictures.
        answers: of both models.
        layers: most harmful first; of equals, the one with the least signal to noise.
        not_compared: layers of the float model for which the file has no tensor.
        matched_by: ``names`` or ``order``.
        findings: most likely cause first; never empty.
    """

    file: Path
    reference: Path
    data: str
    answers: Answers
    layers: tuple[ComparedLayer, ...]
    not_compared: tuple[str, ...]
    matched_by: str
    findings: tuple[Finding, ...]

    @property
    def cause(self) -> str:
        """The likeliest cause in words, with its remedy."""
        return f"{self.findings[0].text}; {self.findings[0].remedy}"

    def in_order(self) -> list[ComparedLayer]:
        """Return the layers in the order of execution."""
        return sorted(self.layers, key=lambda layer: layer.depth)

    def to_dict(self) -> dict[str, Any]:
        answers = self.answers
        return {
            "schema_version": SCHEMA_VERSION,
            "file": self.file.name,
            "reference": self.reference.name,
            "data": Path(self.data).name,
            "pictures": answers.pictures,
            "float_accuracy": answers.float_accuracy,
            "file_accuracy": answers.file_accuracy,
            "agreement": answers.agreement,
            "layers": [layer.to_dict() for layer in self.layers],
            "not_compared": list(self.not_compared),
            "matched_by": self.matched_by,
            "cause": self.cause,
            "causes": [finding.to_dict() for finding in self.findings],
        }


def by_harm(layers: Sequence[ComparedLayer]) -> tuple[ComparedLayer, ...]:
    """Return the layers, most harmful first; unmeasured ones last; of equals, the noisiest first."""

    def rank(layer: ComparedLayer) -> tuple[float, float]:
        harm = -math.inf if layer.harm_points is None else layer.harm_points
        sqnr = layer.signal.sqnr_db
        return -harm, math.inf if sqnr is None else sqnr

    return tuple(sorted(layers, key=rank))
