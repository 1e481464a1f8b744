"""Quantization recipes by name, and which formats can hold them.

This module must not know how a recipe is carried out: converters do that.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from edgecnn.errors import InputError, unknown

FORMATS = {"tflite": ".tflite", "onnx": ".onnx"}
SCHEMES = ("float", "weight_only", "dynamic", "static")
GRANULARITIES = ("per_tensor", "per_channel")
IOS = ("float32", "integer", "uint8")
#: How the ranges of activations follow from what calibration saw.
METHODS = ("minmax", "percentile", "entropy", "mse")
#: Of ranges that quantization-aware training found: not chosen, but carried by the model.
TRAINED = "trained"
#: What a format or its engine cannot hold or do well, and what to use instead.
UNSUPPORTED = {
    ("onnx", "int8_uint8_io"): "an int8 .onnx file takes a camera's uint8 bytes already: use int8",
}
#: Names and dtypes; the name becomes part of file names.
_WORD = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_EXPORT_AGAIN = "export the model again"


@dataclass(frozen=True)
class CalibrationRecord:
    """Which pictures set the ranges of a static recipe, and how: data set, count, seed, their hash, method.

    Raises:
        InputError: a field is of another type, or impossible.
    """

    data: str
    samples: int
    seed: int
    sha256: str
    method: str = "minmax"

    def __post_init__(self) -> None:
        if self.method not in (*METHODS, TRAINED):
            raise unknown("calibration method", str(self.method)[:100], METHODS)
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (self.samples, self.seed))
        texts = isinstance(self.data, str) and isinstance(self.sha256, str)
        if not whole or not texts or _CONTROL.search(self.data) or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise InputError(f"a calibration record cannot be {reprlib.repr(vars(self))}", _EXPORT_AGAIN)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """How the numbers of a model are stored and computed.

    Args:
        name: the word used on the command line and in file names.
        weights: dtype of the stored weights.
        activations: dtype of the values between layers; ``float32`` unless ``static``.
        scheme: ``float``; ``weight_only`` (integer weights, made float again before they are used);
            ``dynamic`` (integer weights, activations quantized while running); ``static`` (ranges of
            the activations fixed by calibration).
        granularity: of the weights' scales.
        io: ``float32``; ``integer``: the input and output tensors are quantized, in the dtype
            in which the format computes; ``uint8``: quantized, in a camera's own dtype.
        calibration: filled in when a static recipe has been carried out.
        excluded_layers: names of layers that stay float32, as the Keras model names them.

    Raises:
        InputError: a field is of another type or unknown, or their combination is nonsense.
    """

    name: str
    summary: str
    weights: str
    activations: str = "float32"
    scheme: str = "float"
    granularity: str = "per_channel"
    io: str = "float32"
    calibration: CalibrationRecord | None = None
    excluded_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "weights", "activations"):
            word = getattr(self, field)
            if not isinstance(word, str) or not _WORD.fullmatch(word):
                raise InputError(
                    f"the {field} of a recipe cannot be {reprlib.repr(word)}",
                    "up to 100 letters, digits, '-', '_' and '.'",
                )
        for field, allowed in (("scheme", SCHEMES), ("granularity", GRANULARITIES), ("io", IOS)):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"recipe {self.name!r}: {field} cannot be {reprlib.repr(getattr(self, field))}",
                    f"one of: {', '.join(allowed)}",
                )
        if self.scheme != "float" and self.weights.startswith("float"):
            raise InputError(
                f"recipe {self.name!r}: {self.scheme} quantization of {self.weights} weights is nonsense",
                "use weights int8, or the scheme float",
            )
        if (self.scheme == "static") == (self.activations == "float32"):
            raise InputError(
                f"recipe {self.name!r}: static means integer activations, and only static does",
                "use activations int8 with the scheme static, float32 with any other",
            )
        if self.io != "float32" and self.scheme != "static":
            raise InputError(f"recipe {self.name!r}: integer input and output need a static scheme", "use int8")
        named = isinstance(self.excluded_layers, tuple) and all(
            isinstance(name, str) and name and not _CONTROL.search(name) for name in self.excluded_layers
        )
        if not named or (self.excluded_layers and self.scheme == "float"):
            raise InputError(
                f"recipe {self.name!r} cannot exclude {reprlib.repr(self.excluded_layers)}",
                "name layers of the model; a float recipe quantizes none",
            )

    @property
    def needs_calibration(self) -> bool:
        return self.scheme == "static"

    def calibrated(self, record: CalibrationRecord) -> Recipe:
        return replace(self, calibration=record)

    def excluding(self, layers: Sequence[str]) -> Recipe:
        """Return the recipe with these layers, and no others, kept float32."""
        return replace(self, excluded_layers=tuple(layers))

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        del document["summary"]
        document["excluded_layers"] = list(self.excluded_layers)
        for optional in ("calibration", "excluded_layers"):
            if not document[optional]:
                del document[optional]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Recipe:
        """Return the recipe that a model file carries; unknown keys of later versions are dropped.

        Raises:
            InputError: a key is missing, or a value is impossible.
        """
        words = {key: document.get(key) for key in ("name", "weights", "activations", "scheme", "granularity", "io")}
        for key, word in words.items():
            if not isinstance(word, str):
                raise InputError(
                    f"the recipe inside the file has the {key} {reprlib.repr(word)}, which is no text", _EXPORT_AGAIN
                )
        known = RECIPES.get(str(words["name"]))
        record = document.get("calibration")
        if record is not None:
            names = [item.name for item in fields(CalibrationRecord)]
            if not isinstance(record, Mapping) or any(name not in record for name in names if name != "method"):
                raise InputError(f"the recipe's calibration lacks one of {', '.join(names)}", _EXPORT_AGAIN)
            record = CalibrationRecord(**{name: record[name] for name in names if name in record})
        excluded = document.get("excluded_layers", [])
        if not isinstance(excluded, (list, tuple)):
            raise InputError(f"the recipe excludes {reprlib.repr(excluded)}, which is no list", _EXPORT_AGAIN)
        summary = known.summary if known else ""
        return cls(summary=summary, calibration=record, excluded_layers=tuple(excluded), **words)  # type: ignore[arg-type]


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "as trained", weights="float32"),
        Recipe("float16", "half the size, float32 in and out", weights="float16"),
        Recipe("weight_only_int8", "int8 weights, float32 arithmetic", weights="int8", scheme="weight_only"),
        Recipe("dynamic_int8", "int8 weights, activations quantized while running", weights="int8", scheme="dynamic"),
        Recipe(
            "int8",
            "all int8; takes a camera's bytes",
            weights="int8",
            activations="int8",
            scheme="static",
            io="integer",
        ),
        Recipe(
            "int8_uint8_io",
            "int8 inside, uint8 in and out",
            weights="int8",
            activations="int8",
            scheme="static",
            io="uint8",
        ),
        Recipe("int8_float_io", "int8 inside, float32 in and out", weights="int8", activations="int8", scheme="static"),
        Recipe(
            "int16x8",
            "int16 between layers, int8 weights: near float accuracy, slow",
            weights="int8",
            activations="int16",
            scheme="static",
        ),
    )
}


def recipes_named(names: Sequence[str]) -> list[Recipe]:
    """Return the recipes of ``names`` (``all`` stands for every one), in order, without repeats.

    Raises:
        InputError: a name is unknown; the closest is named.
    """
    wanted = [name for given in names for name in (RECIPES if given == "all" else [given])]
    for name in wanted:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES)
    return [RECIPES[name] for name in dict.fromkeys(wanted)]


def formats_named(names: Sequence[str]) -> list[str]:
    """Return the file formats of ``names`` (``all`` stands for every one), checked like recipes."""
    wanted = [name for given in names for name in (FORMATS if given == "all" else [given])]
    for name in wanted:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    return list(dict.fromkeys(wanted))
