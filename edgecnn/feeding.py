"""How a model wants its pictures, found by trying: the conventions that real models use, on labelled pictures.

A convention is taken only where the samples prove it: it beats a guess, and no other convention with
different answers can be the better one. Where they do not, the user is asked. This module must not
know which engine runs the model, nor the command line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.conventions import Convention, agrees, known_conventions
from edgecnn.data import Dataset
from edgecnn.errors import CheckFailed, EngineError, InputError
from edgecnn.metrics import GUESSING_LEVEL, guessing_probability, paired_change_interval
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import Runtime
from edgecnn.spec import COLORS, InputSpec, ModelFacts, ModelSpec, complete_spec, require_mapping
from edgecnn.tensors import QuantParams, TensorInfo
from edgecnn.verify import align_classes
from edgecnn.vision.classify import class_probabilities
from edgecnn.vision.preprocess import Preprocessor, float_tensor_info, value_table

#: Pictures on which every convention is tried, and how many times as many for those that they cannot tell apart.
SAMPLES, MORE = 500, 10
#: Pictures in files, of which the mean and the standard deviation of the data are measured.
_MEASURED = 5000
_BATCH = 128
#: Two sets of answers that differ by no more than this on any picture are one: sums in another order.
_SAME_ANSWER = 1e-3
#: Even if all of fewer pictures speak for one of two, that is luck in one case of twenty: 2 * 2^-5 > 5 %.
_FEWEST_DIFFERENT = 6
#: A rival's log-loss must be this many times the best's to count: of near twins, such as the means of
#: ImageNet and of CIFAR-10, either can be the likelier one by a hair on pictures that the model never saw.
_MATERIAL = 1.25
#: Temperatures that are tried before two log-losses are compared.
_TEMPERATURES = 2.0 ** np.arange(-6, 8.25, 0.25)


@dataclass(frozen=True)
class Candidate:
    """A convention and how the model did with it.

    Args:
        convention: the way of feeding.
        spec: the whole contract that it makes.
        samples: labelled pictures that it was tried on.
        accuracy: percent of them that were right; ``None`` where the output was not finite.
        log_loss: mean over them of -ln(probability of the true class), at the temperature that suits it best.
        chosen: whether it is the one.
    """

    convention: Convention
    spec: ModelSpec
    samples: int
    accuracy: float | None
    log_loss: float | None
    chosen: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "convention": self.convention.name,
            "input": self.spec.input.to_dict(),
            "samples": self.samples,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "chosen": self.chosen,
        }


@dataclass(frozen=True)
class Found:
    """The contract that was found, and everything that was tried, best first."""

    spec: ModelSpec
    candidates: tuple[Candidate, ...]
    data: str
    split: str

    @property
    def chosen(self) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.chosen)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of what was tried, the chosen one first."""
        rows = [
            [
                candidate.convention.name,
                candidate.convention.color,
                "-" if candidate.accuracy is None else f"{candidate.accuracy:.2f}",
                "-" if candidate.log_loss is None else f"{candidate.log_loss:.3f}",
                str(candidate.samples),
                "chosen" if candidate.chosen else "",
            ]
            for candidate in self.candidates
        ]
        return ["feeding", "color", "accuracy %", "log-loss", "pictures", ""], rows

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest records of the search."""
        return {
            "data": self.data,
            "split": self.split,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }


@dataclass(frozen=True, eq=False)
class _Trial:
    """A convention's answers on the samples: probabilities (N, C), ``None`` where they are not finite."""

    convention: Convention
    spec: ModelSpec
    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        if self.probabilities is None:
            return np.zeros(len(self.classes), np.bool_)
        return np.asarray(self.probabilities.argmax(axis=1) == self.classes)

    @cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """-ln of the probability of the true class, (N,), at the temperature at which they are least.

        Pixels fed at too large a scale make a model surer of the same answers, and an unsure model
        more probable: sureness tells nothing of how it was trained, so it is taken out.
        """
        if self.probabilities is None:
            return np.full(len(self.classes), np.inf)
        logs = np.log(np.maximum(self.probabilities.astype(np.float64), np.finfo(np.float32).tiny))
        rows = np.arange(len(logs))

        def at(temperature: float) -> npt.NDArray[np.float64]:
            scores = logs / temperature
            top = scores.max(axis=1)
            return np.asarray(np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top - scores[rows, self.classes])

        return min((at(temperature) for temperature in _TEMPERATURES), key=lambda losses: float(losses.mean()))

    def candidate(self) -> Candidate:
        broken = self.probabilities is None
        return Candidate(
            self.convention,
            self.spec,
            len(self.classes),
            None if broken else float(self.right.mean() * 100),
            None if broken else float(self.losses.mean()),
        )


def find_feeding(
    runtime: Runtime,
    facts: ModelFacts,
    told: Mapping[str, Any],
    data: Dataset,
    *,
    name: str,
    training: Dataset | None = None,
    samples: int = SAMPLES,
    reporter: Reporter = SILENT,
) -> Found:
    """Return the contract with which a float model recognizes labelled pictures.

    Args:
        runtime: the opened model.
        facts: what it tells about itself.
        told: a partial contract; it wins, and leaves only the conventions that agree with it.
        data: pictures with classes that the model knows.
        name: of the model, where ``told`` has none.
        training: pictures whose mean and standard deviation are tried; ``data`` where ``None``.
        samples: labelled pictures on which every convention is tried; on ten times as many, those that these
            cannot tell apart.
        reporter: where progress goes.

    Raises:
        InputError: the data has no classes or not the model's, the model takes no picture of 1 or 3
            channels, what is told leaves no convention, or the samples cannot tell two apart.
        CheckFailed: no convention does better than a guess.
    """
    classes = data.require_classes()
    if len(np.unique(classes)) < 2:
        raise InputError(f"data {data.name!r} has pictures of one class alone", "give pictures of every class")
    conventions, geometry = _conventions(facts, told, data if training is None else training)
    specs = [_spec(told, facts, each, name, data.class_names) for each in conventions]
    aligned = align_classes(data, specs[0])
    plan = list(zip(conventions, specs, strict=True))
    trials = _try(runtime, plan, aligned.balanced(samples, 0), geometry, reporter)
    _require_knowledge(trials, data)
    rivals = _rivals(trials)
    if len(rivals) > 1:
        again = [(trial.convention, trial.spec) for trial in rivals]
        # Best on pictures that it may have learned from: there the feeding that it learned with is at its best.
        more = training if training is not None and training.classes is not None else data
        drawn = align_classes(more, specs[0]).balanced(MORE * samples, 0)
        rivals = _rivals(_try(runtime, again, drawn, geometry, reporter))
    best = _only(rivals)
    ranked = [trial.candidate() for trial in trials if trial.convention not in {rival.convention for rival in rivals}]
    ranked += [replace(rival.candidate(), chosen=rival is best) for rival in rivals]
    ranked.sort(key=lambda item: (not item.chosen, -(item.accuracy or 0), item.log_loss or math.inf))
    return Found(best.spec, tuple(ranked), data.name, data.split)


def _conventions(facts: ModelFacts, told: Mapping[str, Any], pictures: Dataset) -> tuple[list[Convention], InputSpec]:
    """Return the conventions that agree with what is told, and the size and fit of the model's pictures."""
    image = dict(require_mapping(told, "input", "the spec"))
    channels = image.get("channels", facts.channels) or COLORS.get(str(image.get("color")))
    if channels not in (1, 3):
        raise InputError(f"the model takes {channels or 'an unknown number of'} channels", "give --color gray or rgb")
    shape = {key: getattr(facts, key) for key in ("height", "width", "layout") if getattr(facts, key) is not None}
    fitted = {**shape, **image, "channels": channels, "color": "gray" if channels == 1 else "rgb"}
    missing = [key for key in ("height", "width") if key not in fitted]
    if missing:
        raise InputError(f"the model does not tell its {' and '.join(missing)}", "give them in --spec FILE")
    geometry = InputSpec(**{**fitted, "scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    known = known_conventions(channels, *_statistics(pictures, geometry))
    agreeing = [each for each in known if agrees(each, image, channels)]
    if not agreeing:
        raise InputError("what is told of the feeding fits no convention that is tried", "leave out --spec auto")
    return agreeing, geometry


def _spec(
    told: Mapping[str, Any], facts: ModelFacts, convention: Convention, name: str, labels: Sequence[str] | None
) -> ModelSpec:
    image = {"channels": COLORS[convention.color], **convention.overlay(), **require_mapping(told, "input", "the spec")}
    return complete_spec({**told, "input": image}, facts, name=name, labels=labels)


def _fitted(pictures: Dataset, geometry: InputSpec) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield every picture as uint8 (1, ...) of the model's size, values untouched."""
    bytes_in = TensorInfo("input", geometry.shape, "uint8", QuantParams(1.0, 0, "uint8"))
    preprocess = Preprocessor(geometry, bytes_in)
    return (preprocess(picture).copy() for picture in pictures)


def _statistics(pictures: Dataset, geometry: InputSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of every channel in units of 0..1, to four places as they are published.

    Of all pictures that are in memory; of those in files, a draw.
    """
    measured = pictures if isinstance(pictures.pictures, np.ndarray) else pictures.balanced(_MEASURED, 0)
    axis = 3 if geometry.layout == "nhwc" else 1
    counts = np.zeros((geometry.channels, 256), np.int64)
    waiting = _fitted(measured, geometry)
    while block := list(islice(waiting, _BATCH)):
        together = np.concatenate(block)
        for channel in range(geometry.channels):
            counts[channel] += np.bincount(together.take(channel, axis=axis).ravel(), minlength=256)
    values, weights = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ values
    std = np.sqrt(np.maximum(weights @ values**2 - mean**2, 0))
    # Pictures of one value have no deviation to divide by.
    return tuple(round(float(m), 4) for m in mean), tuple(round(float(s), 4) or 1.0 for s in std)


def _try(
    runtime: Runtime,
    plan: Sequence[tuple[Convention, ModelSpec]],
    drawn: Dataset,
    geometry: InputSpec,
    reporter: Reporter,
) -> list[_Trial]:
    """Run the model once over the pictures with each convention; they are fitted to its size once for all."""
    fitted = np.concatenate(list(_fitted(drawn, geometry)))
    classes = drawn.require_classes()
    trials = []
    for convention, spec in reporter.progress(plan, "find the feeding"):
        try:
            probabilities = _answers(runtime, spec, geometry, fitted)
        except EngineError:
            if len(plan) == 1:
                raise
            probabilities = None  # values that the model was not made for may overflow in it
        trials.append(_Trial(convention, spec, classes, probabilities))
    return trials


def _answers(
    runtime: Runtime, spec: ModelSpec, geometry: InputSpec, fitted: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Return float32 (N, C) for pictures (N, ...) in RGB or grey, uint8, of the model's size."""
    nhwc = geometry.layout == "nhwc"
    pixels = fitted if nhwc else fitted.transpose(0, 2, 3, 1)
    if spec.input.color == "bgr":
        pixels = pixels[..., ::-1]
    table = value_table(spec.input, float_tensor_info(spec.input))
    channel = np.arange(geometry.channels)
    size = runtime.batch or _BATCH
    rows = []
    for start in range(0, len(pixels), size):
        values = table[pixels[start : start + size], channel]
        raw = runtime.invoke([np.ascontiguousarray(values if nhwc else values.transpose(0, 3, 1, 2))])[0]
        rows.append(class_probabilities(raw, spec.head, runtime.outputs[0]))
    return np.concatenate(rows)


def _require_knowledge(trials: Sequence[_Trial], data: Dataset) -> None:
    """Refuse where even the best convention may have been lucky: it is the best of many guessers then."""
    best = max(trials, key=lambda trial: int(trial.right.sum()))
    correct, classes = int(best.right.sum()), best.classes
    if min(1.0, len(trials) * guessing_probability(correct, classes)) <= GUESSING_LEVEL:
        return
    raise CheckFailed(
        f"with none of {len(trials)} ways of feeding does the model do better than a guess on {len(classes)} pictures "
        f"of {data.name!r}: the best gives {best.right.mean() * 100:.2f} % ({best.convention.name} "
        f"{best.convention.color})",
        "check that the data is what the model was trained for, the order of its labels, and their number",
    )


def _rivals(trials: Sequence[_Trial]) -> list[_Trial]:
    """Return the best trial and those that may be as good and answer differently, best first.

    Accuracy decides first: what is worse by a paired 95 % interval is out. What is left is compared by
    the log-loss of the true class, which sees what few pictures do not: a model trained on 0..1 may
    name nearly all digits when fed 0..255, but not with the probabilities that it learned. It counts
    only where the difference is large, and the best must be the best in both.
    """
    most = max(trials, key=lambda trial: (int(trial.right.sum()), -float(trial.losses.mean())))
    close = [trial for trial in trials if trial is most or not _loses(trial, most)]
    best = min(close, key=lambda trial: float(trial.losses.mean()))
    if int(best.right.sum()) < int(most.right.sum()) and not _same(best, most):
        rest = [trial for trial in close if trial not in (best, most)]
        return [most, best, *rest]
    different = [trial for trial in close if trial is not best and not _same(trial, best)]
    rivals = [trial for trial in different if not _less_likely(trial, best)]
    if rivals:
        return [best, *rivals]
    # Of equal answers the plainest.
    return [next(trial for trial in trials if trial is best or (trial in close and _same(trial, best)))]


def _loses(trial: _Trial, best: _Trial) -> bool:
    won, lost = int((trial.right & ~best.right).sum()), int((best.right & ~trial.right).sum())
    return won + lost >= _FEWEST_DIFFERENT and paired_change_interval(won, lost, len(trial.classes))[1] < 0


def _less_likely(trial: _Trial, best: _Trial) -> bool:
    """Return whether the true classes are less likely by ``trial``: a paired 95 % interval, by the normal law."""
    if trial.probabilities is None:
        return True
    if float(trial.losses.mean()) < _MATERIAL * float(best.losses.mean()):
        return False
    extra = trial.losses - best.losses
    return float(extra.mean()) > 1.96 * float(extra.std(ddof=1)) / math.sqrt(len(extra))


def _same(one: _Trial, other: _Trial) -> bool:
    if one.probabilities is None or other.probabilities is None:
        return False
    return float(np.abs(one.probabilities - other.probabilities).max()) <= _SAME_ANSWER


def _only(rivals: Sequence[_Trial]) -> _Trial:
    if len(rivals) == 1:
        return rivals[0]
    shown = "; ".join(
        f"{rival.convention.name} {rival.convention.color} {rival.right.mean() * 100:.2f} %" for rival in rivals[:4]
    )
    raise InputError(
        f"{len(rivals[0].classes)} pictures cannot tell {len(rivals)} ways of feeding apart: {shown}",
        "say it: " + ", or ".join(rival.convention.flags for rival in rivals[:4]),
    )
