"""Classes of processors: each with a rule and where it is written."""

from __future__ import annotations

import pytest

from edgecnn.errors import InputError
from edgecnn.targets import TARGETS, target_named


def test_every_target_says_why_and_by_whom() -> None:
    for name, target in TARGETS.items():
        assert target_named(name) is target
        assert target.onnx_activations in ("uint8", "int8")
        assert len(target.rule) > 20
        assert "onnxruntime" in target.source


def test_an_unknown_target_has_the_closest_named() -> None:
    with pytest.raises(InputError, match="did you mean 'arm64'"):
        target_named("arm46")
