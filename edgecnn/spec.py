"""The contract that travels inside every model file: how to feed a model and how to read it.

This module must not know file formats, engines or pictures; it is plain validated data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import Any

from edgecnn.errors import InputError, closest, unknown

COLORS = {"rgb": 3, "bgr": 3, "gray": 1}
LAYOUTS = ("nhwc", "nchw")
RESIZES = ("stretch", "letterbox", "center_crop")
INTERPOLATIONS = ("bilinear", "nearest", "area", "bicubic")
#: Head kind -> task. ``binary`` is one sigmoid output: the probability of class 1.
HEADS = {"probabilities": "classify", "logits": "classify", "binary": "classify"}
TASKS = ("classify",)
LARGEST_SIDE = 16384


def number(value: object, what: str) -> float:
    """Return ``value`` as a finite float; a text may be a fraction such as ``1/255``.

    Raises:
        InputError: not a finite number.
    """
    try:
        result = float(Fraction(value)) if isinstance(value, str) and "/" in value else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        result = math.nan
    if isinstance(value, bool) or not math.isfinite(result):
        raise InputError(f"{what} must be a finite number, not {value!r}", "write it as 0.5 or as 1/255")
    return result


def _one_of(what: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise unknown(what, str(value), allowed)


def _reject_unknown_keys(kind: type, mapping: Mapping[str, Any], where: str) -> None:
    known = [item.name for item in fields(kind)]
    for key in mapping:
        if key not in known:
            raise InputError(
                f"unknown key {key!r} in {where}{closest(str(key), known)}", f"known keys: {', '.join(known)}"
            )


@dataclass(frozen=True)
class InputSpec:
    """What the *float* model expects after preprocessing: ``(pixel * scale - mean) / std``.

    Args:
        height, width: of the input tensor, in pixels.
        channels: 3 or 1; fixed by ``color``.
        color: order of the channels in the tensor.
        layout: order of the axes in the tensor, batch first.
        resize: how a picture of another size is fitted: ``stretch`` ignores the aspect ratio,
            ``letterbox`` keeps it and fills with ``pad_value``, ``center_crop`` keeps it and cuts.
        interpolation: used when resizing.
        scale: pixels are 0..255; 1.0 feeds 0..255, 1/255 feeds 0..1.
        mean, std: per channel in the order of ``color``, in units of ``pixel * scale``; one
            number stands for all channels.
        pad_value: 0..255, fills the bars of ``letterbox``.

    Raises:
        InputError: a value is impossible.
    """

    height: int
    width: int
    channels: int = 3
    color: str = "rgb"
    layout: str = "nhwc"
    resize: str = "stretch"
    interpolation: str = "bilinear"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    pad_value: int = 114

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            side = getattr(self, name)
            if not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise InputError(f"input {name} must be 1 to {LARGEST_SIDE} pixels, not {side!r}", "correct the spec")
        _one_of("color", self.color, list(COLORS))
        _one_of("layout", self.layout, LAYOUTS)
        _one_of("resize", self.resize, RESIZES)
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        if self.channels != COLORS[self.color]:
            raise InputError(
                f"color {self.color!r} has {COLORS[self.color]} channel(s), the model takes {self.channels}",
                "use --color gray for 1 channel, rgb or bgr for 3",
            )
        object.__setattr__(self, "scale", number(self.scale, "scale"))
        for name in ("mean", "std"):
            object.__setattr__(self, name, self._per_channel(name))
        if self.scale <= 0 or min(self.std) <= 0:
            raise InputError(f"scale and std must be positive, not {self.scale} and {self.std}", "correct the spec")
        if not isinstance(self.pad_value, int) or not 0 <= self.pad_value <= 255:
            raise InputError(f"pad_value must be 0 to 255, not {self.pad_value!r}", "114 is the usual grey")

    def _per_channel(self, name: str) -> tuple[float, ...]:
        given = getattr(self, name)
        values = [given] if isinstance(given, (int, float, str)) else list(given)
        if len(values) == 1:
            values = values * self.channels
        if len(values) != self.channels:
            raise InputError(
                f"{name} has {len(values)} values for {self.channels} channel(s)",
                "give one value per channel, or one for all",
            )
        return tuple(number(value, name) for value in values)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the tensor for one picture, batch axis included."""
        if self.layout == "nhwc":
            return (1, self.height, self.width, self.channels)
        return (1, self.channels, self.height, self.width)

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value that any picture can give after preprocessing."""
        ends = [
            (pixel * self.scale - mean) / std
            for mean, std in zip(self.mean, self.std, strict=True)
            for pixel in (0, 255)
        ]
        return min(ends), max(ends)

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        document["mean"], document["std"] = list(self.mean), list(self.std)
        return document


@dataclass(frozen=True)
class Head:
    """What the output of the *float* model means.

    ``probabilities``: (1, C), one probability per class; ``logits``: (1, C) before a softmax;
    ``binary``: (1, 1), the probability of class 1 of two.
    """

    kind: str

    def __post_init__(self) -> None:
        _one_of("head kind", self.kind, list(HEADS))

    @property
    def task(self) -> str:
        return HEADS[self.kind]


@dataclass(frozen=True)
class ModelSpec:
    """The whole contract: name, task, input, head and labels (in class order)."""

    name: str
    task: str
    input: InputSpec
    head: Head
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "\\" in self.name or self.name.startswith("."):
            raise InputError(f"a model name cannot be {self.name!r}", "use letters, digits, '-' and '_'")
        _one_of("task", self.task, TASKS)
        if self.task != self.head.task:
            raise InputError(
                f"head {self.head.kind!r} is for {self.head.task!r}, not {self.task!r}", "correct the spec"
            )
        if len(self.labels) < 2:
            raise InputError(f"a classifier needs at least 2 labels, not {len(self.labels)}", "correct the labels")
        if self.head.kind == "binary" and len(self.labels) != 2:
            raise InputError(f"a binary head has 2 labels, not {len(self.labels)}", "correct the labels")

    @property
    def classes(self) -> int:
        return len(self.labels)

    def renamed(self, name: str) -> ModelSpec:
        return replace(self, name=name)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract as plain data: the keys of ``--spec`` YAML and of the embedded JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "input": self.input.to_dict(),
            "head": asdict(self.head),
            "labels": list(self.labels),
        }

    @classmethod
    def from_dict(cls, document: object) -> ModelSpec:
        """Return the contract from plain data, every key checked.

        Raises:
            InputError: a key is unknown or missing, or a value is impossible.
        """
        if not isinstance(document, Mapping):
            raise InputError(
                f"a spec must be a mapping, not {type(document).__name__}", "see 'The contract' in README.md"
            )
        _reject_unknown_keys(cls, document, "the spec")
        parts: dict[str, Mapping[str, Any]] = {}
        for key, kind in (("input", InputSpec), ("head", Head)):
            part = document.get(key)
            if not isinstance(part, Mapping):
                raise InputError(f"the spec has no mapping {key!r}", "see 'The contract' in README.md")
            _reject_unknown_keys(kind, part, f"{key!r} of the spec")
            parts[key] = part
        labels = document.get("labels")
        if not isinstance(labels, (list, tuple)):
            raise InputError("the spec has no list of labels", "add labels: [first, second, ...] or --labels FILE")
        try:
            head = Head(**parts["head"])
            return cls(
                name=str(document.get("name", "model")),
                task=str(document.get("task", head.task)),
                input=InputSpec(**parts["input"]),
                head=head,
                labels=tuple(str(label) for label in labels),
            )
        except TypeError as error:
            raise InputError(f"the spec is incomplete: {error}", "see 'The contract' in README.md") from error


@dataclass(frozen=True)
class ModelFacts:
    """What a model file tells by itself about its first input and output; ``None`` where it does not."""

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    layout: str | None = None
    head_kind: str | None = None
    classes: int | None = None


#: What no file without a contract tells and no shape reveals: asked for, never guessed.
_MUST_BE_SAID = {
    "scale": "--scale 1 (fed 0..255) or --scale 1/255 (fed 0..1)",
    "color": "--color rgb or --color bgr",
}


def complete_spec(told: Mapping[str, Any], facts: ModelFacts, *, name: str, labels: Sequence[str] | None) -> ModelSpec:
    """Return the contract from what the user told, what the model tells and the data's labels.

    Args:
        told: a partial contract, keys as in :meth:`ModelSpec.from_dict`; it wins.
        facts: read off the model; fills what was not told, and must not contradict it.
        name: of the model, when not told.
        labels: of the data set, when not told; without any, class numbers are the labels.

    Raises:
        InputError: something that must be known was told by nobody, or two tellings differ.
    """
    document = dict(told)
    document.setdefault("name", name)
    image = dict(document.get("input") or {})
    for key in ("height", "width", "channels", "layout"):
        seen = getattr(facts, key)
        if seen is not None and image.setdefault(key, seen) != seen:
            raise InputError(f"the spec says {key} {image[key]!r}, the model has {seen!r}", "correct the spec")
    if image.get("channels") == 1:
        image.setdefault("color", "gray")
    missing = [flag for key, flag in _MUST_BE_SAID.items() if key not in image]
    if missing:
        raise InputError(
            "the model carries no contract, so how its pictures are fed must be said",
            f"add {' and '.join(missing)}, or --spec FILE",
        )
    document["input"] = image
    if "head" not in document:
        if facts.head_kind is None:
            raise InputError(
                "the model does not tell what its output means", "add --head probabilities or --head logits"
            )
        document["head"] = {"kind": facts.head_kind}
    classes = 2 if document["head"].get("kind") == "binary" else facts.classes
    if "labels" not in document:
        document["labels"] = list(labels or [str(index) for index in range(classes or 0)])
    spec = ModelSpec.from_dict(document)
    if classes is not None and spec.classes != classes:
        raise InputError(
            f"there are {spec.classes} labels, the model has {classes} classes",
            "give labels that fit with --labels FILE",
        )
    return spec
