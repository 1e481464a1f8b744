from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgecnn.debug.causes import Evidence, find_causes
from edgecnn.debug.results import Answers, ComparedLayer
from edgecnn.debug.signal import Signal
from edgecnn.recipe import CalibrationRecord
from edgecnn.tensors import QuantParams

Floats = npt.NDArray[np.float64]
HARMED, WELL = Answers(200, 80.0, 90.0, 80.0), Answers(200, 99.0, 90.0, 90.0)
RECORD = CalibrationRecord("digits", 300, 0, "0" * 64)


def values(channels: int = 8) -> Floats:
    return np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, channels))


def layer(f: Floats, quant: QuantParams | None = None, harm: float | None = 5.0, depth: int = 0) -> ComparedLayer:
    params = quant or QuantParams.covering(float(f.min()), float(f.max()), "int8")
    signal = Signal(params)
    signal.add(f.astype(np.float32), params.dequantize(params.quantize(f)))
    return ComparedLayer(f"layer{depth}", "Conv2D", "t", depth, signal, harm)


def evidence(*layers: ComparedLayer, answers: Answers = HARMED) -> Evidence:
    same = Signal(None)
    same.add(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
    return Evidence(
        layers, answers, same, None, output_is_probabilities=True, range_mismatch="", recipe_name="int8",
        calibration=RECORD, model="m.keras", data="digits",
    )  # fmt: skip


def kinds(of: Evidence) -> list[str]:
    findings = find_causes(of)
    assert all("edgecnn " in finding.remedy for finding in findings)
    return [finding.kind for finding in findings]


def test_a_wide_range() -> None:
    wide = layer(values() * np.geomspace(1, 1000, 8))
    (finding,) = find_causes(evidence(wide, layer(values(), harm=0.0, depth=1)))
    assert (finding.kind, finding.layer) == ("wide_range", "layer0")
    assert "wide activation range" in finding.text


def test_a_wide_range_that_does_no_harm_is_no_cause() -> None:
    wide = values() * np.geomspace(1, 1000, 8)
    assert kinds(evidence(layer(wide, harm=0.5), answers=WELL)) == ["none"]
    assert kinds(evidence(layer(wide, harm=0.5))) == ["accumulated"]


def test_outliers() -> None:
    f = values()
    f[0, 0, 0, :] = 60.0  # in every channel: these do not differ
    f[1:] = np.random.default_rng(1).uniform(-1, 1, (3, 16, 16, 8))
    many = np.concatenate([f, *[values()] * 20])
    finding = find_causes(evidence(layer(many)))[0]
    assert finding.kind == "outliers"
    assert "--calibration-method percentile" in finding.remedy


def test_saturation_and_its_two_reasons() -> None:
    narrow = layer(values(), QuantParams.covering(-0.3, 0.3, "int8"))
    finding = find_causes(evidence(narrow))[0]
    assert finding.kind == "saturation"
    assert "--calibration-samples 300" in finding.remedy
    clipped = replace(evidence(narrow), calibration=replace(RECORD, method="percentile"))
    assert "--calibration-method minmax" in find_causes(clipped)[0].remedy


def test_dead_channels_are_told_where_they_die_first() -> None:
    def dead(depth: int) -> ComparedLayer:
        f = values().astype(np.float32)
        params = QuantParams.covering(-1, 1, "int8")
        q = params.dequantize(params.quantize(f))
        q[..., 3] = 0
        signal = Signal(params)
        signal.add(f, q)
        return ComparedLayer(f"layer{depth}", "Conv2D", "t", depth, signal, 0.0)

    (finding,) = find_causes(evidence(dead(2), layer(values(), harm=0.0), dead(1)))
    assert (finding.kind, finding.layer) == ("dead_channels", "layer1")
    assert "1 of 8 channels" in finding.text


def test_few_calibration_samples() -> None:
    few = replace(evidence(layer(values(), harm=0.0), answers=WELL), calibration=replace(RECORD, samples=20))
    assert kinds(few) == ["few_calibration_samples"]


def test_boxes_and_scores_that_share_a_scale() -> None:
    output = layer(np.abs(values()) * np.array([640, 640, 640, 640, 1, 1, 1, 1]))
    shared = replace(evidence(answers=WELL), output=output.signal, output_is_probabilities=False)
    assert kinds(shared) == ["shared_scale"]
    assert kinds(replace(shared, output_is_probabilities=True)) == ["none"]
    alike = layer(np.abs(values()) * np.array([640, 640, 640, 640, 20, 20, 20, 20]))
    assert kinds(replace(shared, output=alike.signal)) == ["none"]


def test_wrong_feeding() -> None:
    assert kinds(replace(evidence(), range_mismatch="the file's input was quantized for 0 to 1")) == ["feeding"]
    other = Signal(None)
    other.add(np.ones((1, 3), np.float32), np.full((1, 3), 3, np.float32))
    assert kinds(replace(evidence(), input=other)) == ["feeding"]
    assert kinds(evidence(answers=replace(WELL, float_is_guess=True))) == ["feeding"]


def test_a_sensitive_layer_and_errors_that_add_up() -> None:
    assert kinds(evidence(layer(values(), harm=6.0))) == ["sensitive_layer"]
    assert kinds(evidence(layer(values(), harm=1.0))) == ["accumulated"]


def test_luck_is_no_harm() -> None:
    """Three of 200 pictures may turn by chance; four are more."""
    assert [WELL.counts(points) for points in (0.5, 1.5, 2.0)] == [False, False, True]
    assert not Answers(20_000, 99.0).counts(0.9)


def test_the_most_harmful_layer_comes_first() -> None:
    wide = values() * np.geomspace(1, 1000, 8)
    found = find_causes(evidence(layer(wide, harm=3.0), layer(wide, harm=30.0, depth=1)))
    assert [finding.layer for finding in found] == ["layer1", "layer0"]
