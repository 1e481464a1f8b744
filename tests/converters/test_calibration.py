"""Ranges from samples: exact extremes, and methods that leave outliers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from converters import calibration
from converters.calibration import BINS, LEVELS, CalibrationRun, Observe
from edgecnn.errors import EngineError, InputError
from edgecnn.tensors import QuantParams

Samples = npt.NDArray[np.float32]


class Model:
    """Counts how often it is opened and run; its tensors are functions of the sample."""

    def __init__(self, **tensors: Callable[[Samples], Samples]) -> None:
        self.tensors = tensors
        self.opened = self.runs = 0

    def open(self) -> Observe:
        self.opened += 1

        def observe(sample: Samples) -> Iterator[tuple[str, Samples]]:
            self.runs += 1
            for name, function in self.tensors.items():
                yield name, function(sample)

        return observe


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "float32.x"
    path.write_bytes(b"the float file")
    return path


def normal(*outliers: float, count: int = 200_000, relu: bool = False) -> Samples:
    values = np.random.default_rng(0).normal(size=count).astype(np.float32)
    values = np.maximum(values, 0) if relu else values
    values[: len(outliers)] = outliers
    return values.reshape(20, -1)


def found(source: Path, samples: Samples, method: str) -> tuple[float, float]:
    return CalibrationRun(source, samples, Model(same=lambda sample: sample).open).ranges(method)["same"]


def test_minmax_is_exact_over_all_samples(source: Path) -> None:
    samples = np.array([[1, 2], [-5, 0.5], [3.25, 1]], np.float32)
    model = Model(same=lambda sample: sample, above=lambda sample: sample + 10)
    ranges = CalibrationRun(source, samples, model.open).ranges("minmax")
    assert ranges == {"same": (-5.0, 3.25), "above": (0.0, 13.25)}  # 0 is always inside


def test_one_set_of_samples_is_run_once(source: Path) -> None:
    samples, model = normal(), Model(same=lambda sample: sample)
    first = CalibrationRun(source, samples, model.open).ranges("minmax")
    assert (model.opened, model.runs) == (1, 20)
    # A later run, as another recipe of the same export makes it, reads what is kept.
    assert CalibrationRun(source, samples, model.open).ranges("minmax") == first
    assert model.opened == 1
    # Only a method that wants a histogram asks for a second pass, and all such methods share it.
    for method in ("mse", "entropy", "percentile", "mse"):
        CalibrationRun(source, samples, model.open).ranges(method)
    assert (model.opened, model.runs) == (2, 40)


def test_other_samples_and_another_file_are_run_anew(source: Path) -> None:
    model = Model(same=lambda sample: sample)
    CalibrationRun(source, normal(), model.open).ranges("minmax")
    assert CalibrationRun(source, normal(50), model.open).ranges("minmax")["same"][1] == 50
    source.write_bytes(b"another float file")
    CalibrationRun(source, normal(50), model.open).ranges("minmax")
    assert model.opened == 3


#: Where the end may lie that an outlier at 100 stretched, of 200,000 normal values, which end at 4.5.
#: Entropy keeps LEVELS of BINS bins at least. For mse the outlier's own error, (100 - end)^2 once, weighs
#: as much as the rounding of all others: the sum of both is least at 79.
LIMITS = {"percentile": 5.0, "entropy": 1.5 * 105 * LEVELS / BINS + 4.5, "mse": 80.0}


@pytest.mark.parametrize("method", LIMITS)
def test_an_outlier_does_not_stretch_the_range(source: Path, method: str) -> None:
    low, high = found(source, normal(100.0), method)
    assert 2 < high < LIMITS[method]
    assert -5 < low < -2
    assert found(source, normal(100.0), "minmax")[1] == 100


@pytest.mark.parametrize("method", LIMITS)
def test_either_end_shrinks_by_itself(source: Path, method: str) -> None:
    low, high = found(source, normal(-100.0), method)
    assert -LIMITS[method] < low < -2 and 2 < high < 5


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
def test_without_outliers_little_is_cut_off(source: Path, method: str) -> None:
    """A uniform distribution has nothing to gain from a smaller range."""
    samples = np.random.default_rng(0).uniform(-1, 3, (20, 5000)).astype(np.float32)
    assert found(source, samples, method) == pytest.approx((-1, 3), abs=0.1)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_a_relu_keeps_its_zero(source: Path, method: str) -> None:
    low, high = found(source, normal(relu=True), method)
    assert low == 0 and 2 < high < 5


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
@pytest.mark.parametrize("value", [0.0, 2.5, -2.5])
def test_a_constant_tensor_has_a_range(source: Path, method: str, value: float) -> None:
    low, high = found(source, np.full((4, 10), value, np.float32), method)
    assert low <= min(value, 0) + 0.01 and high >= max(value, 0) - 0.01
    QuantParams.covering(low, high, "int8")


def test_percentile_keeps_what_it_says(source: Path) -> None:
    """99.99 % of a normal distribution lie within 3.89; of 200,000 values 20 lie beyond, so it is known to 0.2."""
    assert found(source, normal(), "percentile") == pytest.approx((-3.89, 3.89), abs=0.2)


def test_mse_is_close_to_the_best_of_all_ranges(source: Path) -> None:
    """Against brute force over real 8-bit arithmetic; 2 % for steps of 1/128 and errors taken as uniform."""
    values = normal(30.0, relu=True)

    def error(high: float) -> float:
        params = QuantParams.covering(0, high, "int8")
        return float(((params.dequantize(params.quantize(values)) - values) ** 2).mean())

    best = min(error(high) for high in np.linspace(1, 30, 200))
    assert error(found(source, values, "mse")[1]) <= 1.02 * best
    assert error(30.0) > 1.1 * best  # negative control: the extremes are worse


def test_what_is_no_number_is_named(source: Path) -> None:
    model = Model(conv=lambda sample: sample / np.float32(0))
    with pytest.raises(EngineError, match="'conv'"), np.errstate(divide="ignore", invalid="ignore"):
        CalibrationRun(source, np.ones((1, 3), np.float32), model.open).ranges("minmax")


def test_an_unknown_method_is_refused(source: Path) -> None:
    with pytest.raises(InputError, match="entropie"):
        found(source, normal(), "entropie")


def test_divergence_is_least_for_the_same_distribution() -> None:
    counts = np.random.default_rng(0).integers(1, 1000, BINS).astype(float)
    assert calibration._divergence(counts[:LEVELS], 0, LEVELS) == pytest.approx(0, abs=1e-9)
    assert calibration._divergence(counts, 0, BINS // 2) > calibration._divergence(counts, 0, BINS) > 0
