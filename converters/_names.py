"""Keras layer names, carried through converters that know only TensorFlow's scopes.

TensorFlow builds an operator's name from the names of layers, appends ``_1``, ``_2`` where one comes
again, and fusing joins the names of what was fused: ``conv2d_1/Relu`` may be the first use of layer
``conv2d_1`` or the second of ``conv2d``. So layers are called by marks that end before any suffix
while they are converted, and the operators are named after the layers when the file is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: A leaf layer's scope while it is converted. The dot ends the number before TensorFlow's suffix.
_MARK = re.compile(r"L(\d+)\.")
_CONTAINER = "M."
_ACTIVATIONS = {
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout", "SpatialDropout2D", "GaussianNoise",
    "GaussianDropout", "ActivityRegularization", "Identity",
}  # fmt: skip
_WEIGHTED, _OTHER, _NORMALIZING, _ACTIVATING = range(4)


@dataclass(frozen=True)
class Step:
    """One operator that wants a name.

    Args:
        op: the format's name of the operator, in lower case.
        hints: texts that may hold marks: its own name, and those of its constants.
        weighted: whether it multiplies with a kernel.
        rearranges: whether it only moves values, so that it does not count as a layer's work.
    """

    op: str
    hints: tuple[str, ...]
    weighted: bool = False
    rearranges: bool = False


@dataclass(frozen=True)
class _Leaf:
    """A layer: its name, its say over fused operators, and the layer with a kernel that it follows, if it does."""

    path: str
    rank: int
    follows: str | None = None


class Unique:
    """Gives each name once: ``name``, then ``name/2``, ``name/3``."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, name: str) -> str:
        number, found = 1, name
        while found in self._taken:
            number += 1
            found = f"{name}/{number}"
        self._taken.add(found)
        return found


class KerasNames:
    """The layers behind the marks that :func:`mark` has set."""

    def __init__(self, leaves: Sequence[_Leaf], last: int) -> None:
        self._leaves = leaves
        #: A hint for the operator that makes the output, which converters call by a word of their own.
        self.last = f"L{last}."

    def layer_of(self, step: Step) -> str | None:
        """Return the layer that did the work of a (perhaps fused) operator; ``None`` where nothing tells."""
        hints = step.hints if step.weighted else step.hints[:1]
        marks = [int(number) for hint in hints for number in _MARK.findall(hint)]
        leaves = [self._leaves[number] for number in marks if number < len(self._leaves)]
        # Scopes of wrappers hold those of what they wrap: of equals, the first is the outermost.
        found = min(leaves, key=lambda leaf: leaf.rank, default=None)
        if found is None:
            return None
        # A folded kernel may have lost its name to the normalization.
        return (step.weighted and found.rank != _WEIGHTED and found.follows) or found.path

    def name_all(self, steps: Sequence[Step], unique: Unique) -> list[str]:
        """Return one name per step, none twice, as :class:`converters.Layer` describes them."""
        layers = [self.layer_of(step) or f"graph/{step.op}" for step in steps]
        working = [unique(layer) if not step.rearranges else "" for step, layer in zip(steps, layers, strict=True)]
        done = set(working)
        return [
            name or unique(layer if layer not in done else f"{layer}/{step.op}")
            for name, layer, step in zip(working, layers, steps, strict=True)
        ]


def mark(model: Any) -> KerasNames:
    """Rename the layers of a loaded Keras model to marks, and return what they were called."""
    leaves: dict[int, _Leaf] = {}
    for layer, path in _leaf_layers(model, ""):
        if id(layer) not in leaves:  # a shared layer is one layer
            layer.name = f"L{len(leaves)}."
            before = leaves.get(id(_before(layer)))
            follows = None if before is None else before.path if before.rank == _WEIGHTED else before.follows
            leaves[id(layer)] = _Leaf(path, _rank(layer), follows)
    last = _last(model)
    numbers = list(leaves)
    return KerasNames(list(leaves.values()), numbers.index(id(last)) if id(last) in leaves else len(leaves) - 1)


def _last(model: Any) -> Any:
    """Return the layer that makes the output of a model, or of the last model inside it."""
    try:
        found = model.outputs[0]._keras_history.operation  # Keras has no public way from a tensor to its layer
    except (AttributeError, IndexError, TypeError):  # a model that is code of its own
        return model.layers[-1]
    return _last(found) if hasattr(found, "get_layer") and found is not model else found


def _leaf_layers(model: Any, prefix: str) -> Iterator[tuple[Any, str]]:
    """Yield the layers that hold no layers of their own model, with their paths; containers are renamed."""
    model.name = _CONTAINER
    for layer in model.layers:
        # Names are shown: a file must not send control sequences to the terminal.
        path = prefix + "".join(letter if letter.isprintable() else "?" for letter in layer.name)
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
            yield from _leaf_layers(layer, f"{path}/")
        else:
            yield layer, path


def _before(layer: Any) -> Any:
    """Return the one layer whose output a layer always reads in its own model; ``None`` if there are several."""
    # Keras notes a use once more each time it builds a Sequential further.
    parents = [parent.operation for node in getattr(layer, "_inbound_nodes", []) for parent in node.parent_nodes]
    return parents[0] if parents and all(parent is parents[0] for parent in parents) else None


def _rank(layer: Any) -> int:
    """Return how much a layer has to say about an operator into which several were fused."""
    kind = type(layer).__name__
    if any(hasattr(layer, kernel) for kernel in ("kernel", "depthwise_kernel")):
        return _WEIGHTED
    if "Normalization" in kind:
        return _NORMALIZING
    return _ACTIVATING if kind in _ACTIVATIONS else _OTHER
