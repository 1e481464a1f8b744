"""The repair as plain data: what it changes, what it leaves, and that nothing makes it fail but InputError."""

from __future__ import annotations

import copy
import json
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn.errors import InputError
from edgecnn.models.operations import as_layer
from edgecnn.models.repair import renamed, repaired
from tests.conftest import GOLDEN

with zipfile.ZipFile(GOLDEN / "keras2.keras") as _archive:
    OLD: dict[str, Any] = json.loads(_archive.read("config.json"))
with zipfile.ZipFile(GOLDEN / "tiny.keras") as _archive:
    NEW: dict[str, Any] = json.loads(_archive.read("config.json"))


def operation(function: str, *more: Any, **given_: Any) -> dict[str, Any]:
    return {
        "class_name": "TFOpLambda",
        "config": {"name": "op", "function": function},
        "name": "op",
        "inbound_nodes": [["x", 0, 0, {**given_, "name": None}], *more],
    }


def test_a_repair_is_idempotent_and_leaves_its_input_alone() -> None:
    before = copy.deepcopy(OLD)
    once, notes = repaired(renamed(OLD))
    assert notes
    assert before == OLD
    again, more = repaired(once)
    assert again is once
    assert more == ()


def test_a_current_architecture_keeps_all_but_its_initializers() -> None:
    same = renamed(NEW)
    assert same is NEW
    changed, notes = repaired(NEW)
    assert notes == ()
    assert "initializer" not in json.dumps(changed)


@pytest.mark.parametrize(
    ("node", "made"),
    [
        (operation("math.truediv", y=255.0), ("Rescaling", {"scale": 1 / 255.0, "offset": 0.0})),
        (operation("math.multiply", y=2), ("Rescaling", {"scale": 2.0, "offset": 0.0})),
        (
            operation("math.subtract", y=[1.0, 2.0, 3.0]),
            ("Rescaling", {"scale": [1.0] * 3, "offset": [-1.0, -2.0, -3.0]}),
        ),
        (operation("__operators__.add", y=3.0), ("Rescaling", {"scale": 1.0, "offset": 3.0})),
        (operation("__operators__.add", y=["z", 0, 0]), ("Add", {})),
        (operation("nn.relu"), ("Activation", {"activation": "relu"})),
        (operation("cast", dtype="float32"), ("Activation", {"activation": "linear"})),
        (operation("math.reduce_mean", axis=[1, 2], keepdims=False), ("GlobalAveragePooling2D", {"keepdims": False})),
    ],
)
def test_operations_become_layers(node: dict[str, Any], made: tuple[str, dict[str, Any]]) -> None:
    layer = as_layer(node)
    assert layer is not None
    assert (layer["class_name"], layer["config"]) == (made[0], {"name": "op", **made[1]})


@pytest.mark.parametrize(
    "node",
    [
        operation("math.truediv", y=0.0),
        operation("math.truediv", y=True),
        operation("math.pow", y=2.0),
        operation("math.truediv", y=2.0, more=1),
        operation("math.truediv", ["x", 1, 0, {"y": 4.0}], y=2.0),
        operation("io.read_file", filename="/etc/passwd"),
        operation("nn.softmax", axis=1),
    ],
)
def test_other_operations_are_left_for_keras_to_refuse(node: dict[str, Any]) -> None:
    assert as_layer(node) is None


@pytest.mark.parametrize(
    ("class_name", "config", "said"),
    [
        ("BatchNormalization", {"renorm": True}, "renorm True"),
        ("BatchNormalization", {"mode": 2}, "mode 2"),
        ("BatchNormalization", {"virtual_batch_size": 8}, "virtual_batch_size 8"),
        ("Conv2DTranspose", {"groups": 2}, "groups 2"),
        ("InputLayer", {"ragged": True}, "ragged True"),
        ("Convolution2D", {"nb_filter": 1, "dim_ordering": "th"}, "dim_ordering 'th'"),
    ],
)
def test_what_computes_is_not_dropped(class_name: str, config: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        repaired({"class_name": class_name, "config": config})


def test_the_policies_of_keras_2_are_names() -> None:
    policy = {"module": "keras.mixed_precision", "class_name": "Policy", "config": {"name": "mixed_float16"}}
    assert renamed({"dtype": policy}) == {"dtype": "mixed_float16"}


def test_an_architecture_without_end_is_refused() -> None:
    deep: Any = {"class_name": "Dense", "config": {}}
    for _ in range(50_000):
        deep = {"class_name": "Sequential", "config": [deep]}
    assert renamed(deep) is deep
    with pytest.raises(InputError, match="nested too deeply"):
        repaired(deep)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [path] + [place for key in keys for place in places(node[key], (*path, key))]


PLACES = [place for place in places(OLD) if place]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["Sequential", "Functional", "TFOpLambda", "Policy", "InputLayer", "a/b"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["class_name", "config", "layers", "name", "inbound_nodes", "output_layers", "groups", "axis"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), JUNK)
def test_a_malformed_architecture_is_repaired_or_refused(place: tuple[Any, ...], junk: Any) -> None:
    """Never a traceback: what a rule looks into may hold anything."""
    config = copy.deepcopy(OLD)
    node: Any = config
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = junk
    try:
        repaired(renamed(config))
    except InputError as error:
        assert error.remedy


@settings(max_examples=200, deadline=None)
@given(JUNK)
def test_junk_is_repaired_or_refused(junk: Any) -> None:
    try:
        repaired(renamed(junk))
    except InputError as error:
        assert error.remedy
