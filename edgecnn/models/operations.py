"""Operations of TensorFlow inside Keras 2 models, ``x / 255.0`` for one, as layers that compute the same.

Keras 2 kept them as TFOpLambda, which Keras 3 does not know; the preprocessing of most transfer
learning is written so. Plain data in, plain data out; this module must not know Keras.
"""

from __future__ import annotations

from typing import Any

_TRUEDIV = ("math.truediv", "math.divide", "__operators__.truediv", "realdiv")
_MULTIPLY = ("math.multiply", "__operators__.mul")
_SUBTRACT = ("math.subtract", "__operators__.sub")
_ADD = ("math.add", "__operators__.add")
_ACTIVATIONS = {
    "nn.relu": "relu", "nn.relu6": "relu6", "nn.elu": "elu", "nn.softmax": "softmax", "nn.sigmoid": "sigmoid",
    "math.sigmoid": "sigmoid", "nn.tanh": "tanh", "math.tanh": "tanh", "nn.silu": "silu", "nn.swish": "silu",
}  # fmt: skip
_OF_TWO = {**dict.fromkeys(_ADD, "Add"), **dict.fromkeys(_MULTIPLY, "Multiply"), **dict.fromkeys(_SUBTRACT, "Subtract")}


def is_reference(item: object) -> bool:
    """Return whether ``item`` is a Keras 2 reference to an output: ``[layer, node, tensor]``, maybe with arguments."""
    return (
        isinstance(item, list)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and all(isinstance(index, int) for index in item[1:3])
    )


def as_layer(node: dict[str, Any]) -> dict[str, Any] | None:
    """Return the layer that computes what a TFOpLambda does, or ``None`` where there is none.

    Args:
        node: the TFOpLambda of an architecture, with its ``config`` and ``inbound_nodes``.
    """
    calls = [call[0] if isinstance(call, list) and len(call) == 1 else call for call in node.get("inbound_nodes", [])]
    if not calls or not all(is_reference(call) for call in calls):
        return None
    made = [_call(node["config"].get("function"), call) for call in calls]
    first = made[0]
    if first is None or any(item is None or item[:2] != first[:2] for item in made):
        return None  # called twice with different numbers, it is two layers
    class_name, config, _ = first
    name = node["config"].get("name", node.get("name"))
    inbound = [item[2] for item in made if item is not None]
    layer = {"class_name": class_name, "config": {"name": name, **config}, "name": name, "inbound_nodes": inbound}
    return {"module": "keras.layers", "registered_name": None, **layer} if "module" in node else layer


def _call(function: object, call: list[Any]) -> tuple[str, dict[str, Any], list[Any]] | None:
    """Return class, arguments and inputs of the layer for one call of an operation."""
    given = call[3] if len(call) == 4 and isinstance(call[3], dict) else {}
    given = {key: value for key, value in given.items() if not (key == "name" and value is None)}
    inputs = [[*call[:3], {}]]
    if set(given) == {"y"} and is_reference(given["y"]) and function in _OF_TWO:
        return _OF_TWO[str(function)], {}, [*inputs, [*given["y"][:3], {}]]
    if set(given) == {"y"}:
        linear = _scale_and_offset(function, given["y"])
        return None if linear is None else ("Rescaling", linear, inputs)
    if function == "cast" and given == {"dtype": "float32"}:
        return "Activation", {"activation": "linear"}, inputs
    if function == "math.reduce_mean" and given.get("axis") == [1, 2] and set(given) <= {"axis", "keepdims"}:
        return "GlobalAveragePooling2D", {"keepdims": bool(given.get("keepdims"))}, inputs
    if isinstance(function, str) and function in _ACTIVATIONS and given in ({}, {"axis": -1}, {"axis": None}):
        return "Activation", {"activation": _ACTIVATIONS[function]}, inputs
    return None


def _scale_and_offset(function: object, constant: object) -> dict[str, Any] | None:
    """Return ``scale`` and ``offset`` of arithmetic with a number, or with one number per channel."""
    numbers: list[Any] = constant if isinstance(constant, list) else [constant]
    if not numbers or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in numbers):
        return None
    scale, offset = [1.0] * len(numbers), [0.0] * len(numbers)
    if function in _TRUEDIV and all(numbers):
        scale = [1 / value for value in numbers]
    elif function in _MULTIPLY:
        scale = [float(value) for value in numbers]
    elif function in _SUBTRACT:
        offset = [-float(value) for value in numbers]
    elif function in _ADD:
        offset = [float(value) for value in numbers]
    else:
        return None
    if not isinstance(constant, list):
        return {"scale": scale[0], "offset": offset[0]}
    return {"scale": scale, "offset": offset}
