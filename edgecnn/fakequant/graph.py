"""A Keras model as a flat list of calls: nested models opened, every tensor a numbered value.

Keras' own graph is reached by ``_nodes_by_depth`` of a functional model and ``arguments`` of a
node, here and nowhere else. This module must not know quantization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from edgecnn.errors import InputError


@dataclass(frozen=True)
class Value:
    """One tensor of a graph, by number."""

    index: int


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer, or of an operation of ``keras.ops``.

    Args:
        layer: what is called.
        name: of the layer; in a model inside the model, after that one's name: ``inner/conv``.
        args, kwargs: of the call, a :class:`Value` for every tensor.
        outputs: the values that it gives, flattened.
    """

    layer: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Value, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        leaves = keras.tree.flatten((self.args, dict(self.kwargs)))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Value))

    @property
    def op(self) -> str:
        """The class that Keras gives the layer, such as ``Conv2D``."""
        return type(self.layer).__name__

    def reading(self, old: Value, new: Value) -> Step:
        """Return this step with one value read in another's place."""
        args, kwargs = keras.tree.map_structure(
            lambda leaf: new if leaf == old else leaf, (self.args, dict(self.kwargs))
        )
        return replace(self, args=args, kwargs=kwargs)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model of one input and one output: its calls in the order in which they can be made.

    Args:
        name: of the model.
        picture: its symbolic input (shape and dtype).
        input, output: their values.
        steps: the calls.
    """

    name: str
    picture: Any
    input: Value
    output: Value
    steps: tuple[Step, ...]

    def readers(self) -> Counter[Value]:
        """Return how many arguments read each value; the model's output counts as one."""
        counted = Counter(value for step in self.steps for value in step.inputs)
        counted[self.output] += 1
        return counted

    def calls(self) -> Counter[int]:
        """Return how often each layer is called, by ``id``."""
        return Counter(id(step.layer) for step in self.steps)

    def flat_names(self) -> dict[int, str]:
        """Return one name per layer, by ``id``, for a model without models inside it.

        It is the layer's own, unless layers of two models share that: then the inner model's comes before it.
        """
        names: dict[int, str] = {}
        for step in self.steps:
            own = step.name.rpartition("/")[-1]
            name = own if own not in names.values() else step.name.replace("/", "_")
            while id(step.layer) not in names and name in names.values():
                name += "_"
            names.setdefault(id(step.layer), name)
        return names

    def run(self, tensor: Any, call: Callable[[Step, Any, Any], Any]) -> Any:
        """Return the output for an input tensor, symbolic or not.

        Args:
            tensor: the input.
            call: makes one call: given the step, its arguments and keywords with tensors in them.
        """
        known = {self.input: tensor}
        for step in self.steps:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: known[leaf] if isinstance(leaf, Value) else leaf, (step.args, dict(step.kwargs))
            )
            known.update(zip(step.outputs, keras.tree.flatten(call(step, args, kwargs)), strict=True))
        return known[self.output]


class _Recorder:
    """Walks through a model and the models inside it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._names: dict[int, str] = {}
        self._count = 0

    def value(self) -> Value:
        self._count += 1
        return Value(self._count - 1)

    def walk(self, model: Any, inputs: Sequence[Value], within: str = "") -> list[Value]:
        """Record the calls of ``model`` and return its outputs."""
        if isinstance(model, keras.Sequential):
            values = list(inputs)
            for layer in model.layers:
                values = self._call(layer, tuple(values), {}, 1, within)
            return values
        known = dict(zip(map(id, model.inputs), inputs, strict=True))
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                    continue
                args, kwargs = node.arguments.fill_in(known)
                outputs = self._call(node.operation, args, kwargs, len(node.outputs), within)
                known.update(zip(map(id, node.outputs), outputs, strict=True))
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(
        self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: int, within: str
    ) -> list[Value]:
        if isinstance(layer, keras.Sequential) or hasattr(layer, "_nodes_by_depth"):
            read = [leaf for leaf in keras.tree.flatten((args, dict(kwargs))) if isinstance(leaf, Value)]
            return self.walk(layer, read, f"{within}{layer.name}/")
        values = tuple(self.value() for _ in range(outputs))
        self.steps.append(Step(layer, self._name(layer, within), args, kwargs, values))
        return list(values)

    def _name(self, layer: Any, within: str) -> str:
        return self._names.setdefault(id(layer), f"{within}{layer.name}")


def graph_of(model: Any) -> Graph:
    """Return a functional or sequential Keras model, models inside it opened, as a flat graph.

    Raises:
        InputError: it is of another kind, is not built, or has not one input and one output.
    """
    sequential = isinstance(model, keras.Sequential)
    if not (sequential and model.built) and not hasattr(model, "_nodes_by_depth"):
        raise InputError(
            f"the model {model.name!r} is neither functional nor sequential (with an input): its layers are not known",
            "build it as keras.Model(inputs, outputs) or as keras.Sequential([keras.Input(...), ...])",
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(f"the model {model.name!r} has not one input and one output", "use one of each")
    recorder = _Recorder()
    first = recorder.value()
    (last,) = recorder.walk(model, [first])
    return Graph(model.name, model.inputs[0], first, last, tuple(recorder.steps))


def copied_layer(layer: Any, name: str, **changes: Any) -> Any:
    """Return a new layer of the same configuration, but for its name and ``changes``; its weights are not copied.

    Operations of ``keras.ops`` and Lambda layers have nothing to train and are returned as they are.
    """
    if not isinstance(layer, keras.layers.Layer) or type(layer).__name__ == "Lambda":
        return layer
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})


def rebuilt(graph: Graph, layers: Mapping[int, Any]) -> Any:
    """Return a functional Keras model that makes the calls of ``graph``.

    Args:
        graph: the calls.
        layers: the layer to call in place of each, by ``id`` of the original.
    """
    picture = keras.Input(batch_shape=graph.picture.shape, dtype=graph.picture.dtype, name=graph.picture.name)
    output = graph.run(picture, lambda step, args, kwargs: layers[id(step.layer)](*args, **kwargs))
    return keras.Model(picture, output, name=graph.name)
