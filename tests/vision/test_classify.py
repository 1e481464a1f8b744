"""Raw output to ranked classes."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import EngineError, InputError
from edgecnn.spec import Head
from edgecnn.tensors import QuantParams, TensorInfo
from edgecnn.vision.classify import class_probabilities, classify

FLOAT = TensorInfo("y", (1, 3), "float32")


def test_logits_become_probabilities_without_overflow() -> None:
    found = class_probabilities(np.array([[1000.0, 1000.0, 0.0]], np.float32), Head("logits"), FLOAT)
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.0]], atol=1e-7)


def test_integers_are_dequantized_first() -> None:
    tensor = TensorInfo("y", (1, 3), "int8", QuantParams(1 / 256, -128, "int8"))
    found = class_probabilities(np.array([[-128, 0, 127]], np.int8), Head("probabilities"), tensor)
    np.testing.assert_allclose(found, [[0, 0.5, 255 / 256]])


def test_binary_has_two_classes() -> None:
    found = class_probabilities(np.array([[0.9]], np.float32), Head("binary"), TensorInfo("y", (1, 1), "float32"))
    np.testing.assert_allclose(found, [[0.1, 0.9]], atol=1e-7)
    with pytest.raises(InputError, match="one output"):
        class_probabilities(np.zeros((1, 3), np.float32), Head("binary"), FLOAT)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_output_is_an_error_not_a_class(bad: float) -> None:
    with pytest.raises(EngineError, match="NaN"):
        class_probabilities(np.array([[0.0, bad, 0.0]], np.float32), Head("probabilities"), FLOAT)


def test_ranked_most_probable_first() -> None:
    found = classify(np.array([0.2, 0.5, 0.3], np.float32), 2)
    assert found.class_id.tolist() == [1, 2]
    assert found.probability.tolist() == pytest.approx([0.5, 0.3])
