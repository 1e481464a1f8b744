"""Which tensor of a file is the output of which layer of the Keras model.

Files that edgecnn exports name a tensor after its layer. Those of others carry TensorFlow's scopes,
all that was fused into one operator joined by ``;``: ``model/relu/Relu;model/bn/add;model/conv/Conv2D``.
This module must not know engines or values.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

#: What the quantizers add to the name of a tensor; ``/2`` counts the operators that a layer became.
_ADDED = re.compile(
    r"(_QuantizeLinear_(Input|Output)|_DequantizeLinear_Output|_quantized|_dequant|_int8|/int8|:\d+|/\d+)$"
)
_COUNTED = re.compile(r"/\d+$")
_SECOND_CALL = re.compile(r"_1$")
#: Layers with weights: where several layers were fused, the tensor is theirs.
_WEIGHTED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "Dense"}
_STORAGE = {"QUANTIZE", "DEQUANTIZE", "INPUT"}
_ACTIVATIONS = {"RELU", "RELU6", "LEAKY_RELU", "PRELU", "Relu", "Clip", "LeakyRelu", "PRelu", "SOFTMAX", "Softmax",
                "LOGISTIC", "Sigmoid", "TANH", "Tanh", "HARD_SWISH", "HardSwish", "Elu", "ELU"}  # fmt: skip
#: Operator of any format, or layer -> what it computes; for files whose names tell nothing.
_KINDS = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "CONV_2D", "DEPTHWISE_CONV_2D"), "convolution"),
    **dict.fromkeys(("TRANSPOSE_CONV", "Conv", "ConvTranspose", "QLinearConv", "ConvInteger"), "convolution"),
    **dict.fromkeys(("Dense", "FULLY_CONNECTED", "Gemm", "MatMul", "QLinearMatMul", "QGemm"), "dense"),
    **dict.fromkeys(("Add", "ADD", "QLinearAdd"), "addition"),
    **dict.fromkeys(("MaxPooling2D", "MAX_POOL_2D", "MaxPool"), "maximum"),
    **dict.fromkeys(("Concatenate", "CONCATENATION", "Concat"), "concatenation"),
}
#: Of the layers whose kind is known, so many must fit in order before order is believed.
_BELIEVED_SHARE = 0.5


@dataclass(frozen=True)
class Node:
    """A layer of the float model or a tensor of the file: its name, its op, the shape of one picture's value."""

    name: str
    op: str
    shape: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """The shape as far as both formats agree on it: sides of 1 dropped, order forgotten."""
        return tuple(sorted(side for side in self.shape if side != 1))


@dataclass(frozen=True)
class Group:
    """Values of one Keras layer, and the tensors of the file that it became; both in order of execution.

    A layer may have several of either: a dense layer and its softmax are two quantized values, a
    swish is a sigmoid and a product. :func:`assign` tells which is which.
    """

    layers: tuple[str, ...]
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class Matches:
    """What was found, ``how`` by ``names`` or by ``order``."""

    groups: tuple[Group, ...] = ()
    how: str = "names"


def match(layers: Sequence[Node], tensors: Sequence[Node]) -> Matches:
    """Return which tensors of the file belong to which layers, by name; by order where names tell nothing."""
    readings = [_by_name(layers, tensors, second) for second in (False, True)]
    named = max(readings, key=len)  # the first, where both find as many
    kinds = {layer.name for layer in layers if layer.op in _KINDS}
    found = sum(len(kinds.intersection(group.layers)) for group in named)
    if kinds and found < _BELIEVED_SHARE * len(kinds):
        ordered = _by_order(layers, tensors)
        if len(ordered) >= max(_BELIEVED_SHARE * len(kinds), found + 1):
            return Matches(tuple(ordered), "order")
    return Matches(tuple(named))


def assign(nearness: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Return which tensor is which value of a layer: as many pairs as can be, in order, the nearest ones.

    Args:
        nearness: for each value, its nearness to each tensor, -1 to 1; minus infinity where it cannot be that one.

    Returns:
        pairs (value, tensor), both rising; of equals, the later tensor.
    """
    # Sums over the pairs of the first values and tensors; 2 is added so that every pair is worth something.
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}
    columns = len(nearness[0]) if nearness else 0
    for row in range(len(nearness) + 1):
        for column in range(columns + 1):
            choices: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])]
            if row:
                choices.append(best[row - 1, column])
            if column:
                choices.append(best[row, column - 1])
            if row and column and nearness[row - 1][column - 1] > -math.inf:
                total, pairs = best[row - 1, column - 1]
                choices.append((total + 2 + nearness[row - 1][column - 1], [*pairs, (row - 1, column - 1)]))
            best[row, column] = max(reversed(choices), key=lambda choice: choice[0])
    return best[len(nearness), columns][1]


def _by_name(layers: Sequence[Node], tensors: Sequence[Node], second_call: bool) -> list[Group]:
    """Match by name.

    Args:
        second_call: read ``conv_1`` as ``conv``: Keras marks so the scopes of a model that is called again.
    """
    known = {layer.name: layer for layer in layers} | {layer.name.replace("/", "_"): layer for layer in layers}
    values: dict[str, list[Node]] = {}
    for layer in layers:
        values.setdefault(_keras_layer(layer.name, known), []).append(layer)
    found: dict[str, list[int]] = {}
    owner: str | None = None
    for index, tensor in enumerate(tensors):
        if tensor.op in _STORAGE:
            continue
        told = _owner(tensor.name, known, second_call)
        # An activation without a name of its own belongs to the layer right before it.
        behind = tensor.op in _ACTIVATIONS and tensor.sides == tensors[index - 1].sides
        owner = _keras_layer(told.name, known) if told is not None else owner if behind else None
        if owner is not None and any(value.sides == tensor.sides for value in values[owner]):
            found.setdefault(owner, []).append(index)
    return [Group(tuple(value.name for value in values[name]), tuple(indices)) for name, indices in found.items()]


def _keras_layer(name: str, known: Mapping[str, Node]) -> str:
    """Return the layer that a quantized value, ``dense/2``, belongs to."""
    layer = _COUNTED.sub("", name)
    return layer if layer in known else name


def _owner(name: str, known: Mapping[str, Node], second_call: bool) -> Node | None:
    """Return the layer that a tensor's name tells: the weighted one that it mentions most often, else any."""
    mentions: Counter[str] = Counter()
    for path in name.split(";"):
        plain = path
        while (shorter := _ADDED.sub("", plain)) != plain and plain not in known:
            plain = shorter
        segments = plain.split("/")
        if second_call:
            segments = [_SECOND_CALL.sub("", segment) for segment in segments]
        if "/".join(segments) in known:
            mentions["/".join(segments)] += 1
            continue
        # The last segment is TensorFlow's name of the operator, "add" for one, unless the layers' own name ends there.
        words = [word for word in _runs(segments[:-1]) if word in known]
        mentions.update(words or [word for word in _runs(segments) if word in known])
    best = sorted(mentions, key=lambda word: (known[word].op in _WEIGHTED, mentions[word], len(word)))
    return known[best[-1]] if best else None


def _runs(segments: Sequence[str]) -> Iterator[str]:
    """Yield every run of segments, joined as names of layers inside nested models are."""
    for start in range(len(segments)):
        for end in range(start + 1, len(segments) + 1):
            yield "_".join(segments[start:end])


def _by_order(layers: Sequence[Node], tensors: Sequence[Node]) -> list[Group]:
    """Match the longest runs of layers and operators that compute the same in the same shape."""
    left = [(layer.name, (_KINDS[layer.op], layer.sides)) for layer in layers if layer.op in _KINDS]
    right = [(i, (_KINDS[node.op], node.sides)) for i, node in enumerate(tensors) if node.op in _KINDS]
    matcher = SequenceMatcher(None, [key for _, key in left], [key for _, key in right], autojunk=False)
    groups = []
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            index = right[block.b + step][0]
            behind = index + 1 < len(tensors) and tensors[index + 1].op in _ACTIVATIONS
            groups.append(Group((left[block.a + step][0],), (index, index + 1) if behind else (index,)))
    return groups
