"""The contract: validated when made, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn.errors import InputError
from edgecnn.spec import Head, InputSpec, ModelFacts, ModelSpec, complete_spec, number, picture_facts
from edgecnn.specfile import load_spec_file, settle_spec

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
        ("height", True), ("pad_value", True), ("pad_value", 1.0), ("channels", 3.0), ("channels", True),
        ("scale", 10**400), ("scale", "1" * 400 + "/1"), ("mean", None), ("mean", {"a": 1}),
        ("std", []), ("color", ["rgb"]), ("layout", {}), ("scale", 1e308), ("std", 5e-324),
    ],
)  # fmt: skip
def test_impossible_inputs_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        ModelSpec.from_dict({**DOCUMENT, "input": {**DOCUMENT["input"], field: value}})
    assert caught.value.remedy
    assert "--" not in caught.value.remedy  # it may come from a file
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "name", ["", ".hidden", "a/b", "a\\b", "a\0b", "\x1b[31m", "a b", "x" * 101, "a\n", 5, None, ["m"]]
)
def test_impossible_names_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="name") as caught:
        ModelSpec.from_dict({**DOCUMENT, "name": name})
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["m", "ResNet-8_v1.5", "größe", "x" * 100])
def test_usual_names_are_accepted(name: str) -> None:
    assert ModelSpec.from_dict({**DOCUMENT, "name": name}).name == name


@pytest.mark.parametrize("label", ["\x1b[2J", "a\tb", "a\0", "\x9b1m", "\ud800", None, True, ["a"], {}])
def test_labels_that_cannot_be_shown_are_refused(label: object) -> None:
    with pytest.raises(InputError, match="label"):
        ModelSpec.from_dict({**DOCUMENT, "labels": [label, "b"]})


def test_labels_may_be_any_text_or_number() -> None:
    labels = ModelSpec.from_dict({**DOCUMENT, "labels": [7, 0.5, "grün", "non\u00a0breaking", "a, b"]}).labels
    assert labels == ("7", "0.5", "grün", "non\u00a0breaking", "a, b")


def test_a_head_may_be_its_kind_alone() -> None:
    assert ModelSpec.from_dict({**DOCUMENT, "head": "logits"}).head == Head("logits")
    told = {"input": {"scale": 1, "color": "rgb"}, "head": "logits"}
    assert complete_spec(told, FACTS, name="m", labels=None).head == Head("logits")


@pytest.mark.parametrize("part", ["input", "head"])
@pytest.mark.parametrize("value", ["x", 1, [1], True])
def test_parts_that_are_no_mappings_are_refused(part: str, value: object) -> None:
    told: dict[str, Any] = {"input": {"scale": 1, "color": "rgb"}, part: value}
    with pytest.raises(InputError) as caught:
        ModelSpec.from_dict({**DOCUMENT, part: value})
    assert caught.value.remedy
    with pytest.raises(InputError):
        complete_spec(told, FACTS, name="m", labels=None)
    with pytest.raises(InputError):
        settle_spec(None, told, lambda: FACTS, name="m")
    with pytest.raises(InputError):
        settle_spec(ModelSpec.from_dict(DOCUMENT), told, lambda: FACTS, name="m")


@pytest.mark.parametrize("text", ["input: x", "[1]", "a: [", "a: 2001-99-99", "[" * 10_000, "input: [1]"])
def test_spec_files_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(InputError):
        load_spec_file(tmp_path / "spec.yaml")


def test_names_of_files_become_names_of_models() -> None:
    told = {"input": {"scale": 1, "color": "rgb"}}
    assert complete_spec(told, FACTS, name="my model (1)", labels=None).name == "my_model_1_"
    assert complete_spec(told, FACTS, name="...", labels=None).name == "model"


def test_one_output_needs_the_binary_head() -> None:
    facts = ModelFacts(8, 8, 3, "nhwc", "logits", 1)
    told: dict[str, Any] = {"input": {"scale": 1, "color": "rgb"}}
    with pytest.raises(InputError, match="one output") as caught:
        complete_spec(told, facts, name="m", labels=["a", "b"])
    assert "--head binary" in caught.value.remedy
    assert complete_spec({**told, "head": "binary"}, facts, name="m", labels=["a", "b"]).labels == ("a", "b")


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((None, 32, 24, 3), (32, 24, 3, "nhwc")),
        ((-1, 3, 32, 24), (32, 24, 3, "nchw")),
        ((1, 1, 28, 28), (28, 28, 1, "nchw")),
        ((1, 3, 3, 3), (3, 3, 3, "nhwc")),
        ((1, None, -1, 1), (None, None, 1, "nhwc")),
    ],
)
def test_layout_is_read_off_the_shape(shape: tuple[int | None, ...], found: tuple[object, ...]) -> None:
    facts = picture_facts(shape, classes=10)
    assert (facts.height, facts.width, facts.channels, facts.layout) == found


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
    assert number("1/127.5", "scale") == 1 / 127.5
    with pytest.raises(InputError):
        number("1/0", "scale")
    with pytest.raises(InputError, match="too long to print"):
        number(16**5000, "scale")


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
