"""Quantization recipes by name, and which formats can hold them.

This module must not know how a recipe is carried out: converters do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgecnn.errors import InputError, unknown

FORMATS = {"tflite": ".tflite", "onnx": ".onnx"}
SCHEMES = ("float", "dynamic", "static")
GRANULARITIES = ("per_tensor", "per_channel")


@dataclass(frozen=True)
class CalibrationRecord:
    """Which pictures set the ranges of a static recipe: data set, count, seed and their hash."""

    data: str
    samples: int
    seed: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """How the numbers of a model are stored and computed.

    Args:
        name: the word used on the command line and in file names.
        weights: dtype of the stored weights.
        activations: dtype of the values between layers; ``float32`` unless ``static``.
        scheme: ``float``; ``dynamic`` (integer weights, activations quantized while running);
            ``static`` (ranges of the activations fixed by calibration).
        granularity: of the weights' scales.
        io: ``float32``, or ``integer``: the input and output tensors are quantized, in the dtype
            in which the format takes a camera's bytes with the least arithmetic.
        calibration: filled in when a static recipe has been carried out.
    """

    name: str
    summary: str
    weights: str
    activations: str = "float32"
    scheme: str = "float"
    granularity: str = "per_channel"
    io: str = "float32"
    calibration: CalibrationRecord | None = None

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES or self.granularity not in GRANULARITIES or self.io not in ("float32", "integer"):
            raise InputError(f"recipe {self.name!r} has an impossible field: {self}", "correct the recipe")
        if self.scheme != "float" and self.weights.startswith("float"):
            raise InputError(
                f"recipe {self.name!r}: {self.scheme} quantization of {self.weights} weights is nonsense", ""
            )
        if (self.scheme == "static") == (self.activations == "float32"):
            raise InputError(f"recipe {self.name!r}: static means integer activations, and only static does", "")
        if self.io == "integer" and self.scheme != "static":
            raise InputError(f"recipe {self.name!r}: integer input and output need a static scheme", "use int8")

    @property
    def needs_calibration(self) -> bool:
        return self.scheme == "static"

    def calibrated(self, record: CalibrationRecord) -> Recipe:
        return replace(self, calibration=record)

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        del document["summary"]
        if self.calibration is None:
            del document["calibration"]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Recipe:
        """Return the recipe that a model file carries; unknown keys of later versions are dropped."""
        try:
            known = RECIPES.get(str(document["name"]))
            record = document.get("calibration")
            return cls(
                name=str(document["name"]),
                summary=known.summary if known else "",
                weights=str(document["weights"]),
                activations=str(document["activations"]),
                scheme=str(document["scheme"]),
                granularity=str(document["granularity"]),
                io=str(document["io"]),
                calibration=CalibrationRecord(**record) if record else None,
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"the recipe inside the file is damaged: {error}", "export the model again") from error


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "as trained", weights="float32"),
        Recipe("float16", "half the size, float32 in and out", weights="float16"),
        Recipe("dynamic_int8", "int8 weights, activations quantized while running", weights="int8", scheme="dynamic"),
        Recipe(
            "int8",
            "all int8; takes a camera's bytes",
            weights="int8",
            activations="int8",
            scheme="static",
            io="integer",
        ),
        Recipe("int8_float_io", "int8 inside, float32 in and out", weights="int8", activations="int8", scheme="static"),
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
