"""The models that edgecnn can build, by name, with what they take and how long they train.

Importing this module loads no Keras: a builder is imported when it is called. It must not know
data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any

from edgecnn.errors import InputError, unknown

LARGEST_INPUT_SIDE = 1024
LARGEST_CLASS_COUNT = 100_000


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be built. All take float32 pixels of 0..1 and end in class probabilities.

    Args:
        name: on the command line.
        summary: one line for people.
        family: module of :mod:`edgecnn.models` that builds it, by a function called ``name``.
        input_shape: default height, width, channels (1 grey, 3 RGB).
        classes: default number of classes.
        epochs: default number of passes over the training pictures.
        learning_rate: default peak of the schedule, for Adam.
        options: further keywords of the builder with their defaults.
    """

    name: str
    summary: str
    family: str
    input_shape: tuple[int, int, int]
    classes: int = 10
    epochs: int = 10
    learning_rate: float = 1e-3
    options: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _check_input_shape(self.input_shape)
        _check_classes(self.classes)
        if self.epochs < 1 or not self.learning_rate > 0:
            raise InputError(f"model {self.name!r} cannot train: {self}", "correct the registry")

    @property
    def build(self) -> Callable[..., Any]:
        """The builder: ``build(input_shape, classes, **options)`` returns a Keras model.

        Raises:
            MissingDependency: Keras is not installed.
        """
        from edgecnn.models.loading import import_keras

        import_keras()  # first, so that the family's own import of it prints nothing
        function: Callable[..., Any] = getattr(import_module(f"edgecnn.models.{self.family}"), self.name)
        return function


def _check_input_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or not all(isinstance(side, int) for side in shape):
        raise InputError(f"an input shape is (height, width, channels), not {shape!r}", "give three whole numbers")
    if not all(1 <= side <= LARGEST_INPUT_SIDE for side in shape[:2]):
        raise InputError(
            f"input sides must be 1 to {LARGEST_INPUT_SIDE} pixels, not {shape[0]}x{shape[1]}", "--input-size 96"
        )
    if shape[2] not in (1, 3):
        raise InputError(f"a model takes 1 or 3 channels, not {shape[2]}", "1 for grey, 3 for RGB")


def _check_classes(classes: int) -> None:
    if not isinstance(classes, int) or not 2 <= classes <= LARGEST_CLASS_COUNT:
        raise InputError(f"a classifier needs 2 to {LARGEST_CLASS_COUNT} classes, not {classes!r}", "--classes 10")


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "lenet5", "LeNet-5 as textbooks build it today", "lenet", (28, 28, 1), epochs=10, learning_rate=2e-3
        ),
        ModelEntry(
            "lenet5_classic",
            "LeNet-5 of 1998: tanh, average pooling",
            "lenet",
            (28, 28, 1),
            epochs=15,
            learning_rate=2e-3,
        ),
        ModelEntry(
            "mobilenet",
            "MobileNet v1: depthwise separable convolutions",
            "mobilenet",
            (96, 96, 3),
            epochs=30,
            learning_rate=2e-3,
            options=MappingProxyType({"alpha": 0.25, "downsample": "late"}),
        ),
        ModelEntry("resnet8", "ResNet-8 of MLPerf Tiny", "resnet", (32, 32, 3), epochs=30, learning_rate=2e-3),
        ModelEntry(
            "resnet20",
            "ResNet-20 of He et al. for CIFAR-10",
            "resnet",
            (32, 32, 3),
            epochs=40,
            learning_rate=2e-3,
            options=MappingProxyType({"shortcut": "projection"}),
        ),
    )
}


def model_entry(name: str) -> ModelEntry:
    """Return the entry of a model.

    Raises:
        InputError: no such model; the closest name is told.
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]


def build_model(
    name: str, input_shape: tuple[int, int, int] | None = None, classes: int | None = None, **options: float | str
) -> Any:
    """Return a Keras model with fresh weights, not compiled.

    Args:
        name: one of :data:`MODELS`.
        input_shape: height, width, channels; the entry's when ``None``.
        classes: of the softmax; the entry's when ``None``.
        options: of this model, as its entry lists them.

    Raises:
        InputError: the name, an option or a value is not possible.
    """
    entry = model_entry(name)
    for option in options:
        if option not in entry.options:
            if not entry.options:
                raise InputError(f"model {name!r} has no options, so not {option!r} either", "leave it out")
            raise unknown(f"option of model {name!r}:", option, entry.options)
    shape = tuple(input_shape or entry.input_shape)
    _check_input_shape(shape)
    count = entry.classes if classes is None else classes
    _check_classes(count)
    return entry.build(shape, count, **{**entry.options, **options})
