"""Ranges that quantization-aware training found travel inside the file, and are looked at when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn import formats
from edgecnn.artifact import contract_document, open_artifact
from edgecnn.errors import InputError


@pytest.mark.parametrize("name", ["tiny.keras", "tiny_float32.tflite", "tiny_float32.onnx"])
def test_ranges_travel(golden: Callable[[str], Path], name: str) -> None:
    path = golden(name)
    artifact = open_artifact(path)
    assert artifact.trained_ranges == {}
    ranges = {"means": (0.0, 0.7), "scores": (-3.5, 3.25)}
    document = contract_document(artifact.require_spec(), None, {}, trained_ranges=ranges)
    formats.embed(path, artifact.format, document)
    assert open_artifact(path).trained_ranges == ranges


@pytest.mark.parametrize(
    "ranges",
    [
        {"means": [1.0, 0.0]},
        {"means": [0.0]},
        {"means": [0.0, 1.0, 2.0]},
        {"means": ["0", "1"]},
        {"means": [False, True]},
        {"means": None},
        {"means": [0, 10**400]},
        {"": [0.0, 1.0]},
        {"\x1b[2J": [0.0, 1.0]},
        [["means", 0.0, 1.0]],
    ],
    ids=str,
)
def test_impossible_ranges_are_refused(golden: Callable[[str], Path], ranges: object) -> None:
    path = golden("tiny.keras")
    document = contract_document(open_artifact(path).require_spec(), None, {})
    formats.embed(path, "keras", {**document, "trained_ranges": ranges})
    with pytest.raises(InputError) as caught:
        open_artifact(path)
    assert caught.value.remedy
    assert "\x1b" not in str(caught.value)
