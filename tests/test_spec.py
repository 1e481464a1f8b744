"""The contract: validated when made, never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from edgecnn.errors import InputError
from edgecnn.spec import Head, InputSpec, ModelFacts, ModelSpec, complete_spec, number

# The contract in the README's words.
DOCUMENT: dict[str, Any] = {
    "name": "resnet8",
    "task": "classify",
    "input": {
        "height": 32, "width": 32, "channels": 3, "color": "rgb", "layout": "nhwc", "resize": "stretch",
        "scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1],
    },
    "head": {"kind": "probabilities"},
    "labels": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}  # fmt: skip


def test_round_trip() -> None:
    spec = ModelSpec.from_dict(DOCUMENT)
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert {key: spec.to_dict()[key] for key in ("name", "task", "head", "labels")} == {
        key: DOCUMENT[key] for key in ("name", "task", "head", "labels")
    }


def test_one_number_stands_for_all_channels() -> None:
    assert InputSpec(8, 8, mean=(0.5,), std=2).mean == (0.5, 0.5, 0.5)  # type: ignore[arg-type]


def test_value_range_is_what_any_picture_can_give() -> None:
    assert InputSpec(8, 8).value_range == (0, 255)
    assert InputSpec(8, 8, scale=1 / 127.5, mean=(1.0,)).value_range == pytest.approx((-1, 1))
    assert InputSpec(8, 8, scale=1 / 255, mean=(0, 0.5, 0), std=(1, 0.25, 1)).value_range == pytest.approx((-2, 2))


def test_shape_follows_layout() -> None:
    assert InputSpec(4, 6).shape == (1, 4, 6, 3)
    assert InputSpec(4, 6, layout="nchw").shape == (1, 3, 4, 6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 0), ("height", 1.5), ("width", 10**6), ("color", "rbg"), ("layout", "chw"), ("resize", "squash"),
        ("scale", 0), ("scale", "x"), ("mean", [1, 2]), ("std", [0, 1, 1]), ("channels", 1), ("pad_value", 300),
        ("interpolation", "lanczos"), ("scale", float("nan")), ("scale", True),
    ],
)  # fmt: skip
def test_impossible_inputs_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError):
        ModelSpec.from_dict({**DOCUMENT, "input": {**DOCUMENT["input"], field: value}})


def test_misspelt_keys_name_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'height'"):
        ModelSpec.from_dict({**DOCUMENT, "input": {"heigth": 32}})
    with pytest.raises(InputError, match="did you mean 'labels'"):
        ModelSpec.from_dict({**DOCUMENT, "lables": []})


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"input": {}}, {**DOCUMENT, "labels": ["one"]}, {**DOCUMENT, "labels": "abc"}]
)
def test_what_is_no_contract_is_refused(document: object) -> None:
    with pytest.raises(InputError):
        ModelSpec.from_dict(document)


def test_binary_head_has_two_labels() -> None:
    with pytest.raises(InputError, match="binary"):
        ModelSpec("m", "classify", InputSpec(8, 8), Head("binary"), ("a", "b", "c"))


def test_fractions_are_numbers() -> None:
    assert number("1/255", "scale") == 1 / 255
    with pytest.raises(InputError):
        number("1/0", "scale")


FACTS = ModelFacts(height=32, width=32, channels=3, layout="nhwc", head_kind="probabilities", classes=10)


def test_model_fills_what_was_not_told() -> None:
    spec = complete_spec({"input": {"scale": "1/255", "color": "bgr"}}, FACTS, name="m", labels=None)
    assert (spec.input.height, spec.input.color, spec.head.kind) == (32, "bgr", "probabilities")
    assert spec.labels == tuple("0123456789")


def test_feeding_is_never_guessed() -> None:
    with pytest.raises(InputError) as caught:
        complete_spec({}, FACTS, name="m", labels=None)
    assert "--scale" in caught.value.remedy
    assert "--color" in caught.value.remedy


def test_grey_models_need_no_colour() -> None:
    facts = ModelFacts(28, 28, 1, "nhwc", "logits", 10)
    assert complete_spec({"input": {"scale": 1}}, facts, name="m", labels=None).input.color == "gray"


def test_contradiction_is_refused() -> None:
    told = {"input": {"scale": 1, "color": "rgb", "height": 64}}
    with pytest.raises(InputError, match="the spec says height 64"):
        complete_spec(told, FACTS, name="m", labels=None)
    with pytest.raises(InputError, match="3 labels"):
        complete_spec({"input": {"scale": 1, "color": "rgb"}, "labels": ["a", "b", "c"]}, FACTS, name="m", labels=None)
