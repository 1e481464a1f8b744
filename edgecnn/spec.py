"""The contract that travels inside every model file: how to feed a model and how to read it.

This module must not know file formats, engines or pictures; it is plain validated data.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
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
#: A model's name becomes part of file names and of a terminal's lines.
_NAME = re.compile(r"(?!\.)[\w.-]{1,100}")
#: What a label must not send to a terminal, and halves of characters that no file can hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SEE_README = "see 'The contract' in README.md"
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def shown(value: object) -> str:
    """Return ``repr(value)`` cut to one readable line, whatever its size or depth."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python prints no integers of more than some thousand digits
        return f"a {type(value).__name__} too long to print"


def require_mapping(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """Return the mapping under ``key``; an empty one where it is absent or null.

    Raises:
        InputError: something else is there.
    """
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{key!r} of {where} must be a mapping, not {shown(value)}", _SEE_README)
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object, what: str) -> float:
    """Return ``value`` as a finite float; a text may be a fraction such as ``1/255`` or ``1/127.5``.

    Raises:
        InputError: not a finite number.
    """
    try:
        above, slash, below = value.partition("/") if isinstance(value, str) else (value, "", "")
        result = float(above) / float(below) if slash else float(above)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        result = math.nan
    if isinstance(value, bool) or not math.isfinite(result):
        raise InputError(f"{what} must be a finite number, not {shown(value)}", "write it as 0.5 or as 1/255")
    return result


def _one_of(what: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise unknown(what, value[:100] if isinstance(value, str) else shown(value), allowed)


def _check_keys(kind: type, mapping: Mapping[str, Any], where: str, *, optional: Sequence[str] = ()) -> None:
    known = [item.name for item in fields(kind)]
    for key in mapping:
        if key not in known:
            raise InputError(
                f"unknown key {shown(key)} in {where}{closest(str(key)[:100], known)}",
                f"known keys: {', '.join(known)}",
            )
    required = [item.name for item in fields(kind) if item.default is MISSING and item.name not in optional]
    missing = [name for name in required if name not in mapping]
    if missing:
        raise InputError(f"{where} lacks {' and '.join(missing)}", _SEE_README)


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
            if not _is_whole(side) or not 1 <= side <= LARGEST_SIDE:
                raise InputError(
                    f"input {name} must be 1 to {LARGEST_SIDE} pixels, not {shown(side)}", f"correct {name} in the spec"
                )
        _one_of("color", self.color, list(COLORS))
        _one_of("layout", self.layout, LAYOUTS)
        _one_of("resize", self.resize, RESIZES)
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        if not _is_whole(self.channels) or self.channels != COLORS[self.color]:
            raise InputError(
                f"color {self.color!r} has {COLORS[self.color]} channel(s), the model takes {shown(self.channels)}",
                "choose the color gray for 1 channel, rgb or bgr for 3",
            )
        object.__setattr__(self, "scale", number(self.scale, "scale"))
        for name in ("mean", "std"):
            object.__setattr__(self, name, self._per_channel(name))
        if self.scale <= 0 or min(self.std) <= 0:
            raise InputError(
                f"scale and std must be positive, not {self.scale} and {self.std}", "correct scale and std in the spec"
            )
        if not all(map(math.isfinite, self.value_range)):
            raise InputError(
                f"pixels overflow with scale {self.scale}, mean {self.mean} and std {self.std}",
                "correct scale, mean and std in the spec",
            )
        if not _is_whole(self.pad_value) or not 0 <= self.pad_value <= 255:
            raise InputError(f"pad_value must be 0 to 255, not {shown(self.pad_value)}", "114 is the usual grey")

    def _per_channel(self, name: str) -> tuple[float, ...]:
        given = getattr(self, name)
        values = list(given) if isinstance(given, (list, tuple)) else [given]
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
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(
                f"a model name cannot be {shown(self.name)}", "use up to 100 letters, digits, '-', '_' and '.'"
            )
        _one_of("task", self.task, TASKS)
        if self.task != self.head.task:
            raise InputError(
                f"head {self.head.kind!r} is for {self.head.task!r}, not {self.task!r}", f"set task: {self.head.task}"
            )
        for label in self.labels:
            if not isinstance(label, str) or _CONTROL.search(label):
                raise InputError(
                    f"a label must be text without control characters, not {shown(label)}", "correct that label"
                )
        if len(self.labels) < 2:
            raise InputError(
                f"a classifier needs at least 2 labels, not {len(self.labels)}",
                "list one label per class, in class order; with one output: two labels and the head binary",
            )
        if self.head.kind == "binary" and len(self.labels) != 2:
            raise InputError(
                f"a binary head has 2 labels, not {len(self.labels)}",
                "list two labels, or choose the head probabilities or logits",
            )

    @property
    def classes(self) -> int:
        return len(self.labels)

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
            raise InputError(f"a spec must be a mapping, not {shown(document)}", _SEE_README)
        _check_keys(cls, document, "the spec", optional=("name", "task"))
        image, head_part = require_mapping(document, "input", "the spec"), _head_part(document)
        _check_keys(InputSpec, image, "'input' of the spec")
        _check_keys(Head, head_part, "'head' of the spec")
        labels = document.get("labels")
        if not isinstance(labels, (list, tuple)):
            raise InputError("the spec has no list of labels", "add labels: [first, second, ...] or --labels FILE")
        head = Head(**head_part)
        return cls(
            name=document.get("name", "model"),
            task=document.get("task", head.task),
            input=InputSpec(**image),
            head=head,
            # YAML reads 7 as a number. It also reads no as False: that is not what was written, and is refused.
            labels=tuple(str(label) if _is_whole(label) or isinstance(label, float) else label for label in labels),
        )


def _head_part(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``head`` of a contract; ``head: logits`` is short for ``head: {kind: logits}``."""
    if isinstance(document.get("head"), str):
        return {"kind": document["head"]}
    return require_mapping(document, "head", "the spec")


@dataclass(frozen=True)
class ModelFacts:
    """What a model file tells by itself about its first input and output; ``None`` where it does not.

    ``classes`` is the number of outputs: 1 for a binary head.
    """

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    layout: str | None = None
    head_kind: str | None = None
    classes: int | None = None


def picture_facts(shape: Sequence[int | None], *, classes: int | None, head_kind: str | None = None) -> ModelFacts:
    """Return the facts of an input tensor of four axes, batch first; free sides are ``None`` or negative.

    The channels are the axis of 1 or 3; where both ends could be, they are last, as Keras has them.
    """
    _, *sides = shape
    layout = "nchw" if sides[0] in (1, 3) and sides[2] not in (1, 3) else "nhwc"
    height, width, channels = (
        side if side is not None and side > 0 else None
        for side in (sides if layout == "nhwc" else sides[1:] + sides[:1])
    )
    return ModelFacts(height, width, channels, layout, head_kind, classes)


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
    # A file's name may hold spaces and brackets, a model's may not.
    document.setdefault("name", re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:100] or "model")
    image = dict(require_mapping(document, "input", "the spec"))
    for key in ("height", "width", "channels", "layout"):
        seen = getattr(facts, key)
        if seen is not None and image.setdefault(key, seen) != seen:
            raise InputError(
                f"the spec says {key} {shown(image[key])}, the model has {seen!r}", f"correct {key} in the spec"
            )
    if image.get("channels") == 1:
        image.setdefault("color", "gray")
    missing = [flag for key, flag in _MUST_BE_SAID.items() if key not in image]
    if missing:
        raise InputError(
            "the model carries no contract, so how its pictures are fed must be said",
            f"add {' and '.join(missing)}, or --spec FILE",
        )
    document["input"] = image
    if document.get("head") is None:
        if facts.head_kind is None:
            raise InputError(
                "the model does not tell what its output means", "add --head probabilities or --head logits"
            )
        document["head"] = {"kind": facts.head_kind}
    kind = _head_part(document).get("kind")
    if kind != "binary" and facts.classes == 1:
        raise InputError(
            f"the model has one output, a head of {shown(kind)} has one per class",
            "add --head binary if the output is the probability of class 1",
        )
    classes = 2 if kind == "binary" else facts.classes
    if document.get("labels") is None:
        document["labels"] = list(labels or [str(index) for index in range(classes or 0)])
    spec = ModelSpec.from_dict(document)
    if classes is not None and spec.classes != classes:
        raise InputError(
            f"there are {spec.classes} labels, the model has {classes} classes",
            "give labels that fit with --labels FILE",
        )
    return spec
