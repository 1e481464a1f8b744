from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgecnn.debug.results import ComparedLayer, by_harm
from edgecnn.debug.signal import Signal, as_channels_last, span
from edgecnn.tensors import QuantParams


def signal_of(f: object, q: object, quant: QuantParams | None = None) -> Signal:
    signal = Signal(quant)
    signal.add(np.asarray(f, np.float32), np.asarray(q, np.float32))
    return signal


def test_sqnr_and_cosine_by_hand() -> None:
    """Signal 9 + 16 = 25, noise 0.25 + 0: 10 log10(100) = 20 dB; the angle from 3*3.5 + 16 over 5 * |(3.5, 4)|."""
    signal = signal_of([[3.0, 4.0]], [[3.5, 4.0]])
    assert signal.sqnr_db == pytest.approx(20.0)
    assert signal.cosine == pytest.approx(26.5 / (5 * math.sqrt(28.25)))


def test_batches_add_up() -> None:
    rng = np.random.default_rng(0)
    f = rng.normal(size=(10, 4, 4, 3)).astype(np.float32)
    q = f + rng.normal(scale=0.01, size=f.shape).astype(np.float32)
    whole, parts = signal_of(f, q), Signal(None)
    for i in range(0, 10, 3):
        parts.add(f[i : i + 3], q[i : i + 3])
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db)
    assert parts.float_range == whole.float_range
    assert parts.magnitude_at(0.99) == whole.magnitude_at(0.99)


def test_rounding_gives_the_noise_of_the_textbook() -> None:
    """Uniform noise of one step has the power scale^2 / 12."""
    f = np.random.default_rng(0).uniform(-1, 1, (1, 100, 100, 4)).astype(np.float32)
    params = QuantParams.covering(-1, 1, "int8")
    found = signal_of(f, params.dequantize(params.quantize(f)), params).sqnr_db
    expected = 10 * math.log10((1 / 3) / (params.scale**2 / 12))
    assert found == pytest.approx(expected, abs=0.1)


def test_identical_and_silent_layers_are_null_in_json() -> None:
    same, silent = signal_of([[1.0, 2.0]], [[1.0, 2.0]]), signal_of([[0.0]], [[0.0]])
    assert same.sqnr_db == math.inf
    assert silent.sqnr_db is None
    assert silent.cosine is None
    documents = [ComparedLayer("x", "Conv2D", "x", 0, signal).to_dict() for signal in (same, silent)]
    json.dumps(documents, allow_nan=False)
    assert [(d["sqnr_db"], d["identical"]) for d in documents] == [(None, True), (None, False)]


def test_percentiles_to_one_percent() -> None:
    values = np.random.default_rng(0).normal(size=(1, 100_000)).astype(np.float32)
    for share in (0.5, 0.99, 0.9999):
        exact = float(np.quantile(np.abs(values), share))
        assert signal_of(values, values).magnitude_at(share) == pytest.approx(exact, rel=0.02)


def test_channels() -> None:
    f = np.zeros((1, 8, 4), np.float32)
    f[..., 0] = np.linspace(0, 100, 8)  # fills the scale
    f[..., 1] = np.linspace(0, 0.1, 8)  # less than a step
    f[..., 2] = np.linspace(0, 50, 8)  # dead in the file, though it need not be
    params = QuantParams.covering(0, 100, "uint8")
    q = params.dequantize(params.quantize(f))
    q[..., 2] = 0
    signal = signal_of(f, q, params)
    assert signal.channel_ratio == pytest.approx(1000)
    assert (signal.dead_channels, signal.broken_channels) == (2, 1)
    assert signal.unresolved_share == pytest.approx(1 / 3)  # the fourth is silent in the float model too


def test_saturation() -> None:
    params = QuantParams.covering(0, 1, "uint8")
    f = np.array([[0.5, 1.0, 1.001, 2.0]], np.float32)
    signal = signal_of(f, params.dequantize(params.quantize(f)), params)
    assert signal.clipped_share == 0.25  # 1.001 is rounded to the last step, not cut off
    assert signal.overshoot == pytest.approx(1.0)
    assert span(params) == pytest.approx((0, 1))


def test_layouts() -> None:
    f = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    first = f.transpose(0, 3, 1, 2)
    assert np.array_equal(as_channels_last(first, f), f)
    square = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    assert np.array_equal(as_channels_last(square.transpose(0, 3, 1, 2), square), square)
    assert np.array_equal(as_channels_last(square, square), square)
    flat = f[:, 0, 0]
    assert np.array_equal(as_channels_last(flat[:, :, None, None], flat), flat)
    assert as_channels_last(f, f[:, :2]) is None
    assert as_channels_last(f.reshape(2, 60), f) is None  # a flattened tensor has lost its channels


def test_most_harmful_first() -> None:
    quiet, loud = signal_of([[3.0, 4.0]], [[3.0, 4.001]]), signal_of([[3.0, 4.0]], [[3.5, 4.0]])
    layers = [
        ComparedLayer("unmeasured", "Add", "", 0, loud),
        ComparedLayer("calm", "Add", "", 1, quiet, 0.0),
        ComparedLayer("noisy", "Add", "", 2, loud, 0.0),
        ComparedLayer("bad", "Add", "", 3, quiet, 4.5),
    ]
    assert [layer.name for layer in by_harm(layers)] == ["bad", "noisy", "calm", "unmeasured"]
