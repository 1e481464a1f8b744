from __future__ import annotations

import math

import pytest

from edgecnn.debug.match import Group, Node, assign, match

SQUARE, FLAT = (8, 8, 4), (3,)
LAYERS = [
    Node("conv2d", "Conv2D", SQUARE),
    Node("conv2d_1", "Conv2D", SQUARE),
    Node("add", "Add", SQUARE),
    Node("dense", "Dense", FLAT),
    Node("dense/2", "softmax", FLAT),
]


def by_name(tensors: list[Node], layers: list[Node] = LAYERS) -> dict[str, tuple[int, ...]]:
    found = match(layers, tensors)
    assert found.how == "names"
    return {group.layers[0]: group.tensors for group in found.groups}


def test_names_of_files_made_by_edgecnn() -> None:
    tensors = [
        Node("input", "INPUT", (8, 8, 3)),
        Node("conv2d", "Conv", (4, 8, 8)),
        Node("conv2d_1", "Conv", (4, 8, 8)),
        Node("add", "Add", (4, 8, 8)),
        Node("activation", "Relu", (4, 8, 8)),  # fused in the float model
        Node("dense", "Gemm", FLAT),
        Node("output_QuantizeLinear_Input", "Softmax", FLAT),
    ]
    assert by_name(tensors) == {"conv2d": (1,), "conv2d_1": (2,), "add": (3, 4), "dense": (5, 6)}


def test_scopes_of_tensorflow() -> None:
    """As in MLPerf Tiny's ResNet-8: constants that layers share bring other layers' names along."""
    tensors = [
        Node("input_1_int8", "INPUT", (8, 8, 3)),
        Node("m/act/Relu;m/bn/F;m/conv2d/BiasAdd;m/conv2d_1/Conv2D;m/conv2d/Conv2D1", "CONV_2D", SQUARE),
        Node("m/bn_1/F;m/conv2d_1/BiasAdd;m/conv2d_1/Conv2D", "CONV_2D", SQUARE),
        Node("m/act_1/Relu;m/add/add", "ADD", SQUARE),
        Node("m/dense/MatMul;m/dense/BiasAdd", "FULLY_CONNECTED", FLAT),
        Node("Identity_int8", "SOFTMAX", FLAT),
    ]
    assert by_name(tensors) == {"conv2d": (1,), "conv2d_1": (2,), "add": (3,), "dense": (4, 5)}


def test_scopes_of_a_model_that_was_called_twice() -> None:
    """``conv2d_1`` is then layer ``conv2d``, and ``conv2d_1_1`` is ``conv2d_1``."""
    tensors = [
        Node("s_1/conv2d_1/Relu", "CONV_2D", SQUARE),
        Node("s_1/conv2d_1_1/Relu", "CONV_2D", SQUARE),
        Node("s_1/dense_1/MatMul", "FULLY_CONNECTED", FLAT),
    ]
    assert by_name(tensors) == {"conv2d": (0,), "conv2d_1": (1,), "dense": (2,)}


def test_nested_models() -> None:
    for name in ("outer/inner", "outer_inner"):
        layers = [Node(name, "Conv2D", SQUARE)]
        for tensor in ("outer/inner", "model/outer/inner/Conv2D", "outer/inner/2"):
            assert by_name([Node(tensor, "CONV_2D", SQUARE)], layers) == {name: (0,)}


def test_another_shape_is_another_tensor() -> None:
    assert by_name([Node("conv2d", "CONV_2D", (8, 8, 5)), Node("dense", "FULLY_CONNECTED", FLAT)]) == {"dense": (1,)}


def test_without_names_the_order_of_operators_tells() -> None:
    tensors = [
        Node("input", "INPUT", (8, 8, 3)),
        Node("t1", "Conv", (4, 8, 8)),
        Node("t2", "Relu", (4, 8, 8)),
        Node("t3", "Conv", (4, 8, 8)),
        Node("t4", "Add", (4, 8, 8)),
        Node("t5", "Gemm", FLAT),
    ]
    found = match(LAYERS, tensors)
    assert found.how == "order"
    assert found.groups == (
        Group(("conv2d",), (1, 2)),
        Group(("conv2d_1",), (3,)),
        Group(("add",), (4,)),
        Group(("dense",), (5,)),
    )


def test_nothing_fits() -> None:
    assert match(LAYERS, [Node("t", "Conv", (1, 1, 7))]).groups == ()


@pytest.mark.parametrize(
    ("nearness", "pairs"),
    [
        ([[0.9, 0.2]], [(0, 0)]),
        ([[0.5, 0.5]], [(0, 1)]),  # of equals the later one
        ([[0.9, 0.3], [0.4, 0.8]], [(0, 0), (1, 1)]),  # a dense layer and its softmax
        ([[1.0, 0.1, 0.2], [0.1, -0.1, 0.99]], [(0, 0), (1, 2)]),  # a swish: convolution, sigmoid, product
        ([[-0.2, 0.1], [0.9, -0.5]], [(0, 0), (1, 1)]),  # two pairs are worth more than one good one
        ([[-math.inf, 0.1]], [(0, 1)]),
        ([[-math.inf]], []),
        ([], []),
    ],
)
def test_which_value_is_which_tensor(nearness: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    assert assign(nearness) == pairs
