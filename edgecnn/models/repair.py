"""Architectures in the words of Keras 1 and 2, said again in those of Keras 3.

Plain data in, plain data out: nothing is made here, Keras is not known, and what comes out is for
the screen to judge like any other architecture. One rule holds everywhere: an argument is left out
only where its value says nothing about what the model computes; where it does, the file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from edgecnn.errors import InputError
from edgecnn.models.operations import as_layer, is_reference
from edgecnn.spec import shown

#: Any value of such an argument says nothing about what a trained model computes.
_ANY = object()
_NO_PLACE = {"kernel_initializer": (_ANY,), "kernel_regularizer": (_ANY,), "kernel_constraint": (_ANY,)}
#: Of no interest to whoever opens the file: nearly every file of Keras 2 has them.
_UNTOLD = {
    "ragged",
    "rng_type",
    "quantization_config",
    "fused",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
    *_NO_PLACE,
}
#: Class -> argument that Keras 3 does not know -> the values without a meaning.
_DROPPED: dict[str, dict[str, tuple[object, ...]]] = {
    "": {
        "ragged": (False, None), "quantization_config": (None,), "rng_type": (_ANY,), "batch_input_shape": (_ANY,),
    },
    "BatchNormalization": {
        "renorm": (False, None), "renorm_clipping": (None, {}), "renorm_momentum": (_ANY,), "fused": (_ANY,),
        "virtual_batch_size": (None,), "adjustment": (None,), "mode": (0,),
    },
    "DepthwiseConv2D": {"groups": (1,), **_NO_PLACE},
    "SeparableConv2D": {"groups": (1,), **_NO_PLACE},
    "Conv2DTranspose": {"groups": (1,)},
}  # fmt: skip
_CLASSES = {
    "Convolution2D": "Conv2D", "Deconvolution2D": "Conv2DTranspose", "SeparableConvolution2D": "SeparableConv2D",
    "Convolution2DTranspose": "Conv2DTranspose", "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization", "SyncBatchNormalization": "BatchNormalization",
}  # fmt: skip
_SAVE_AGAIN = "save the model again with a current Keras"
_RENAMED = {
    "nb_filter": "filters", "output_dim": "units", "border_mode": "padding", "subsample": "strides",
    "bias": "use_bias", "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "p": "rate",
}  # fmt: skip
_WORDS_OF_KERAS_1 = {*_RENAMED, "nb_row", "dim_ordering", "init", "gamma_init", "beta_init", "W_regularizer"}
_LAYERS_OF_KERAS_1 = {
    "Conv2D", "Dense", "Dropout", "BatchNormalization", "MaxPooling2D", "AveragePooling2D", "ZeroPadding2D",
    "UpSampling2D", "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
}  # fmt: skip
#: Modules under which other releases kept the same classes. The screen still judges the new name.
_MODULES = (
    (re.compile(r"^tf_keras(?=\.|$)"), "keras"),
    (re.compile(r"^keras\.(src\.)?engine\.functional$"), "keras.src.models.functional"),
    (re.compile(r"^keras\.(src\.)?engine\.sequential$"), "keras.src.models.sequential"),
    (re.compile(r"^keras\.(src\.)?engine\.training$"), "keras.src.models.model"),
    (re.compile(r"^keras\.(src\.)?engine\.input_layer$"), "keras.layers"),
)


def renamed(config: object) -> object:
    """Return an architecture with the modules and dtype policies of Keras 2 called as Keras 3 calls them.

    What needs no change, or is nested too deeply to be any model, is returned itself.
    """
    try:
        result = _each(config, _renamed_object)
        same = result == config
    except RecursionError:
        same = True
    return config if same else result


def _renamed_object(node: dict[str, Any]) -> object:
    name, module, inner = node.get("class_name"), node.get("module"), node.get("config")
    if name in ("Policy", "PolicyV1") and isinstance(inner, dict) and isinstance(inner.get("name"), str):
        return inner["name"]
    if isinstance(name, str) and isinstance(module, str):
        for pattern, ours in _MODULES:
            module = pattern.sub(ours, module, count=1)
        node["module"] = module
    return node


def repaired(given: object) -> tuple[object, tuple[str, ...]]:
    """Return an architecture as Keras 3 reads it, and what was changed, in a few words each.

    What needs no change is returned itself.

    Raises:
        InputError: the architecture is no model, is nested too deeply, or has an argument that Keras 3
            has no place for and that changes what the model computes.
    """
    notes = _Notes()
    config = given
    try:
        for rule in (_classes, _sequential, _operation, _arguments_of_keras_1, _arguments, _references):
            config = _each(config, partial(_if_object, rule, notes))
        return (given, ()) if config == given else (config, tuple(notes))
    except RecursionError as error:
        raise InputError("the architecture is nested too deeply", _SAVE_AGAIN) from error
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # Made by hand or damaged: the places that the rules look into hold something else.
        raise InputError(
            f"the architecture is not as any Keras writes it ({type(error).__name__}: {shown(str(error))})", _SAVE_AGAIN
        ) from error


class _Notes(dict[str, None]):
    """What was changed, each thing once, in the order in which it was met."""

    def add(self, note: str) -> None:
        self[note] = None


def _each(node: object, change: Callable[[dict[str, Any]], object]) -> object:
    """Return a copy of plain data with every mapping changed, the inner ones first."""
    if isinstance(node, list):
        return [_each(item, change) for item in node]
    if isinstance(node, dict):
        return change({key: _each(value, change) for key, value in node.items()})
    return node


def _if_object(rule: Callable[[dict[str, Any], _Notes], object], notes: _Notes, node: dict[str, Any]) -> object:
    """Apply a rule where a mapping is an object of Keras, its arguments a mapping (a list in an old Sequential)."""
    name, config = node.get("class_name"), node.get("config")
    if isinstance(name, str) and (isinstance(config, dict) or (name == "Sequential" and isinstance(config, list))):
        return rule(node, notes)
    return node


def _classes(node: dict[str, Any], notes: _Notes) -> object:
    """Call a class as Keras 3 does."""
    if node["class_name"] in _CLASSES:
        notes.add(node["class_name"])
        node["class_name"] = _CLASSES[node["class_name"]]
    return node


def _sequential(node: dict[str, Any], notes: _Notes) -> object:
    """Put the layers of a Sequential model under a name, an input layer first where a shape is told."""
    if node["class_name"] != "Sequential":
        return node
    config = node["config"]
    if isinstance(config, list):
        notes.add("Sequential as a list")
        config = {"layers": config}
    layers = config["layers"]
    node["config"] = config = {"name": "sequential", **config}
    shape = _input_shape(layers[0]) if layers else None
    if shape is not None and layers[0]["class_name"] != "InputLayer":
        name = f"{layers[0]['config'].get('name', 'first')}_input"
        config["layers"] = [{"class_name": "InputLayer", "config": {"batch_shape": shape, "name": name}}, *layers]
        notes.add("batch_input_shape")
    return node


def _input_shape(layer: Mapping[str, Any]) -> list[int | None] | None:
    """Return the shape, batch first, that a layer or a model tells for its input."""
    config = layer.get("config")
    if not isinstance(config, dict):
        return None
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    inner = config.get("layers")
    if shape is None and isinstance(inner, list) and inner and isinstance(inner[0], dict):
        # A Sequential begins with its input; the layers of a functional model stand in the order of the graph.
        return _input_shape(inner[0])
    return shape if isinstance(shape, list) else None


def _operation(node: dict[str, Any], notes: _Notes) -> object:
    """Replace an operation of TensorFlow by the layer that computes the same, where there is one."""
    if node["class_name"] != "TFOpLambda":
        return node
    layer = as_layer(node)
    if layer is not None:
        notes.add(f"{shown(node['config'].get('function'))} as {layer['class_name']}")
    return layer or node


def _arguments_of_keras_1(node: dict[str, Any], notes: _Notes) -> object:
    """Say the arguments of Keras 1 in the words of Keras 3."""
    config = node["config"]
    if node["class_name"] not in _LAYERS_OF_KERAS_1 or not config.keys() & _WORDS_OF_KERAS_1:
        return node
    ordering = config.pop("dim_ordering", "tf")
    if ordering not in ("tf", "default"):
        raise _cannot(node, "dim_ordering", ordering)
    if {"nb_row", "nb_col"} <= config.keys():
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    for key in ("init", "gamma_init", "beta_init", "W_regularizer", "b_regularizer", "input_dtype", "input_dim"):
        config.pop(key, None)  # read by training alone
    node["config"] = {_RENAMED.get(key, key): value for key, value in config.items()}
    notes.add("arguments of Keras 1")
    return node


def _arguments(node: dict[str, Any], notes: _Notes) -> object:
    """Leave out the arguments that Keras 3 does not know, where they say nothing."""
    name, config = node["class_name"], node["config"]
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
        notes.add("batch_input_shape")
    for key, values in {**_DROPPED[""], **_DROPPED.get(name, {})}.items():
        if key not in config:
            continue
        if _ANY not in values and config[key] not in values:
            raise _cannot(node, key, config[key])
        del config[key]
        if key not in _UNTOLD:
            notes.add(key if key == "batch_input_shape" else f"{name} {key}")
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
    # What a weight began with: every weight is read from the file, and old ones name what is no more.
    node["config"] = {key: value for key, value in config.items() if not key.endswith("_initializer")}
    return node


def _references(node: dict[str, Any], notes: _Notes) -> object:
    """Give layers names that Keras 3 allows, and write the graph as lists of lists."""
    config = node["config"]
    for holder in (node, config):
        if isinstance(holder.get("name"), str) and "/" in holder["name"]:
            holder["name"] = _flat(holder["name"])
            notes.add("names with /")
    calls = node.get("inbound_nodes")
    if isinstance(calls, list):
        calls = [[call] if is_reference(call) else call for call in calls]
        node["inbound_nodes"] = [_flat_references(call) for call in calls]
    if isinstance(config.get("layers"), list) and "output_layers" in config:
        for key in ("input_layers", "output_layers"):
            ends = _flat_references(config[key])
            # A list of one would make lists of one of what the model takes and gives.
            config[key] = ends[0] if isinstance(ends, list) and len(ends) == 1 else ends
        _count_calls_of_models(config)
    return node


def _count_calls_of_models(config: dict[str, Any]) -> None:
    """Count the calls of models inside a functional model from 0.

    Keras 2 counted the making of a model as its call number 0, Keras 3 does not; but it subtracts one itself
    where a Functional is the output.
    """
    kinds = {layer["config"].get("name"): layer["class_name"] for layer in config["layers"] if "config" in layer}
    inner = [ref for layer in config["layers"] for ref in _list_references(layer.get("inbound_nodes"))]
    outer = list(_list_references(config["output_layers"]))
    for name, kind in kinds.items():
        if kind not in ("Functional", "Model", "Sequential"):
            continue
        calls = [ref for ref in inner + outer if ref[0] == name]
        if calls and min(ref[1] for ref in calls) >= 1:
            for ref in calls:
                ref[1] -= 1
        if kind != "Sequential":
            for ref in (ref for ref in outer if ref[0] == name):
                ref[1] += 1


def _list_references(item: object) -> Iterator[list[Any]]:
    """Yield the Keras 2 references inside lists."""
    if isinstance(item, list):
        if is_reference(item):
            yield item
        else:
            for inner in item:
                yield from _list_references(inner)


def _flat_references(item: object) -> object:
    if not isinstance(item, list):
        return item
    if is_reference(item):
        return [_flat(item[0]), *item[1:]]
    return [_flat_references(inner) for inner in item]


def _flat(name: str) -> str:
    return name.replace("/", "_")


def _cannot(node: Mapping[str, Any], key: str, value: object) -> InputError:
    return InputError(
        f"its layer {shown(node['config'].get('name'))} ({node['class_name']}) has {key} {shown(value)}, "
        "which Keras 3 does not compute",
        "convert the model with the Keras that made it",
    )
