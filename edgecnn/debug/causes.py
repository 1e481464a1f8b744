"""Why a quantized file differs from its float model: what the figures of its layers point at.

The thresholds are engineers' rules, not laws; each says where it comes from. This module must not
know how anything was measured, nor engines.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgecnn.debug.results import Answers, ComparedLayer, Finding
from edgecnn.debug.signal import Signal, span
from edgecnn.recipe import CalibrationRecord

#: A file that loses nothing yet answers otherwise on more pictures than this (percent) has been lucky.
_HEALTHY_AGREEMENT = 95.0
#: A layer without any fault in its range is named if it costs so much.
_SENSITIVE_POINTS = 2.0
#: Channels of 100 times different range in one 8-bit scale: the weakest gets 2 of its 255 steps.
WIDE_RATIO = 100.0
#: So many of the channels must suffer from it: one weak channel of many carries little.
_WIDE_SHARE = 0.05
#: An outlier: the scale reaches so many times further than 99.99 % of the values.
OUTLIER_RATIO = 4.0
_OUTLIER_SHARE = 0.9999
#: Saturated: values beyond the scale by a quarter of what it holds, or more than 1 in 100 of them.
_OVERSHOOT = 0.25
_CLIPPED_SHARE = 0.01
FEW_SAMPLES = 100
#: Columns of one output that differ so much are different quantities, such as pixels and probabilities.
SHARED_SCALE_RATIO = 50.0
#: An input of 8 bits has some 40 dB; less than 20 is another picture.
_INPUT_DB = 20.0
_NO_CLIPPING_METHODS = ("minmax",)


@dataclass(frozen=True)
class Evidence:
    """All that the causes are read from.

    Args:
        layers: those that were compared.
        answers: of both models on the pictures.
        input: the input tensor in both.
        output: the output tensor in both; columns are its channels. ``None`` where it was not compared.
        output_is_probabilities: its columns are one quantity: they may differ.
        range_mismatch: what the contract says against the file's input, in words, if anything.
        recipe_name: by which the file was made; int8 where it does not tell.
        calibration: of the file, if it tells.
        model, data: as the user named them, quoted for a shell.
    """

    layers: Sequence[ComparedLayer]
    answers: Answers
    input: Signal | None
    output: Signal | None
    output_is_probabilities: bool
    range_mismatch: str
    recipe_name: str
    calibration: CalibrationRecord | None
    model: str
    data: str

    @property
    def export(self) -> str:
        return f"edgecnn export {self.model} --data {self.data}"

    @property
    def file_is_harmed(self) -> bool:
        """Whether the file as a whole answers worse, or otherwise, than 8 bits explain."""
        return self.answers.counts(self.answers.lost_points) or self.answers.agreement < _HEALTHY_AGREEMENT

    def is_harmful(self, layer: ComparedLayer) -> bool:
        """Whether the layer alone costs more than chance; where that is unknown, whether the file does."""
        return self.file_is_harmed and (layer.harm_points is None or self.answers.counts(layer.harm_points))


def find_causes(evidence: Evidence) -> tuple[Finding, ...]:
    """Return the likely causes, the likeliest first; if none stands out, one finding that says so."""
    found = [*_feeding(evidence), *_shared_scale(evidence), *_dead_channels(evidence)]
    of_layers: list[tuple[float, Finding]] = []
    for layer in evidence.layers:
        finding = _of_layer(layer, evidence)
        if finding is not None:
            of_layers.append((layer.harm_points or 0.0, finding))
    found += [finding for _, finding in sorted(of_layers, key=lambda pair: -pair[0])]
    found += _few_samples(evidence)
    return tuple(found or _nothing_special(evidence))


def _feeding(evidence: Evidence) -> Iterator[Finding]:
    again = f"correct --scale, --mean, --std and --color, then {evidence.export} again"
    if evidence.range_mismatch:
        yield Finding("feeding", None, f"wrong feeding: {evidence.range_mismatch.partition(': check')[0]}", again)
    elif evidence.input is not None and (evidence.input.sqnr_db or 0.0) < _INPUT_DB:
        decibels = evidence.input.sqnr_db or 0.0
        text = (
            f"wrong feeding: already the input differs from the float model's, {decibels:.1f} dB where 8 bits have 40"
        )
        yield Finding("feeding", None, text, again)
    if evidence.answers.float_is_guess:
        text = (
            f"wrong feeding: the float model itself scores {evidence.answers.float_accuracy:.1f} %, as a guesser does"
        )
        yield Finding("feeding", None, text, again)


def _shared_scale(evidence: Evidence) -> Iterator[Finding]:
    output = evidence.output
    if output is None or output.quant is None or evidence.output_is_probabilities:
        return
    magnitudes = output.channel_magnitudes
    alive = magnitudes[magnitudes > 0]
    if len(alive) and alive.max() > SHARED_SCALE_RATIO * alive.min():
        text = (
            f"the columns of the output share one scale ({output.quant.scale:.3g}) and reach from {alive.min():.3g} "
            f"to {alive.max():.3g}: boxes and scores, say, of which the smaller ones are rounded away"
        )
        remedy = f"keep the last layers float: {evidence.export} --recipe int8 --max-drop 0.5 searches for them"
        yield Finding("shared_scale", None, text, remedy)


def _dead_channels(evidence: Evidence) -> Iterator[Finding]:
    """Yield the layer where channels die first, if its scale does not explain it; those behind it inherit them."""
    dying = [layer for layer in evidence.layers if layer.signal.dead_channels]
    first = min(dying, key=lambda layer: layer.depth, default=None)
    if first is not None and first.signal.broken_channels and not _is_wide(first.signal):
        count, channels = first.signal.broken_channels, first.signal.channels
        text = (
            f"{first.name}: {count} of {channels} channels are dead in the file only, though its scale could hold them"
        )
        yield Finding("dead_channels", first.name, text, f"its weights are damaged: {evidence.export} --recipe int8")


def _of_layer(layer: ComparedLayer, evidence: Evidence) -> Finding | None:
    """Return the first of the causes that explains this layer's harm, from the most special to the most general."""
    signal = layer.signal
    if signal.quant is None or not evidence.is_harmful(layer):
        return None
    search = f"{evidence.export} --recipe int8 --max-drop 0.5"
    if signal.overshoot > _OVERSHOOT or signal.clipped_share > _CLIPPED_SHARE:
        return _saturation(layer, evidence)
    if _is_wide(signal):
        text = (
            f"{layer.name}: a wide activation range: its channels' ranges differ by {signal.channel_ratio:,.0f}x and "
            f"share one scale, so {signal.unresolved_share:.0%} of them move over fewer than 4 of its steps"
        )
        remedy = (
            f"{search} finds which layers to keep float; edgecnn train {evidence.model} --quantize-aware evens them"
        )
        return Finding("wide_range", layer.name, text, remedy)
    reach, most = _reach(signal), signal.magnitude_at(_OUTLIER_SHARE)
    if reach > OUTLIER_RATIO * most > 0:
        text = (
            f"{layer.name}: outliers: 99.99 % of its values stay within {most:.3g}, "
            f"the scale reaches to {reach:.3g}, so most of its steps are never used"
        )
        remedy = f"{evidence.export} --recipe int8 --calibration-method percentile"
        return Finding("outliers", layer.name, text, remedy)
    if layer.harm_points is None or not evidence.answers.counts(layer.harm_points, _SENSITIVE_POINTS):
        return None
    decibels = "" if signal.sqnr_db is None else f" ({signal.sqnr_db:.0f} dB)"
    text = (
        f"{layer.name}: a sensitive layer: alone it costs {layer.harm_points:.1f} points{decibels}, "
        "though its range is neither wide nor cut off"
    )
    return Finding("sensitive_layer", layer.name, text, f"{search} keeps it float")


def _is_wide(signal: Signal) -> bool:
    ratio = signal.channel_ratio or 0.0
    return ratio > WIDE_RATIO and signal.unresolved_share > _WIDE_SHARE


def _reach(signal: Signal) -> float:
    """Return how far from 0 both the values and the scale go."""
    low, high = signal.float_range
    reach = max(-low, high)
    return reach if signal.quant is None else min(reach, max(map(abs, span(signal.quant))))


def _saturation(layer: ComparedLayer, evidence: Evidence) -> Finding:
    signal, record = layer.signal, evidence.calibration
    smallest, largest = signal.float_range
    low, high = span(signal.quant) if signal.quant is not None else (0.0, 0.0)
    text = (
        f"{layer.name}: saturation: the float values go from {smallest:.3g} to {largest:.3g}, "
        f"the scale holds {low:.3g} to {high:.3g} and cuts off {signal.clipped_share:.2%} of them"
    )
    chosen = record is not None and record.method not in _NO_CLIPPING_METHODS
    option = "--calibration-method minmax" if chosen else "--calibration-samples 300"
    return Finding("saturation", layer.name, text, f"{evidence.export} --recipe int8 {option}")


def _few_samples(evidence: Evidence) -> Iterator[Finding]:
    record = evidence.calibration
    if record is not None and 0 < record.samples < FEW_SAMPLES:
        text = f"few calibration samples: {record.samples} pictures set the ranges, which depend on the draw"
        remedy = f"{evidence.export} --recipe int8 --calibration-samples 300"
        yield Finding("few_calibration_samples", None, text, remedy)


def _nothing_special(evidence: Evidence) -> list[Finding]:
    known = [layer.signal.sqnr_db for layer in evidence.layers if layer.signal.sqnr_db is not None]
    decibels = f"{statistics.median(known):.0f} dB" if known else "this size"
    lost = evidence.answers.lost_points
    if evidence.answers.counts(lost):
        text = f"no layer stands out, yet together they cost {lost:.1f} points: their errors ({decibels}) add up"
        remedy = f"edgecnn train {evidence.model} --quantize-aware --data {evidence.data} makes the model used to them"
        return [Finding("accumulated", None, text, remedy)]
    text = f"nothing stands out: errors of {decibels} are what {evidence.recipe_name} gives"
    return [
        Finding("none", None, text, f"if it must lose less: {evidence.export} --recipe int8 --max-drop 0.5 searches")
    ]
