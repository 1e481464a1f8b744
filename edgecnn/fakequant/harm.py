"""Which layer costs how much accuracy when it alone is quantized.

This module must not know converters or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.fakequant.model import Array, FakeQuantizedModel, Range
from edgecnn.reporter import SILENT, Reporter


def predicted_classes(outputs: Array) -> npt.NDArray[np.int64]:
    """Return the class of each row of probabilities or logits; of one sigmoid output, 1 above one half."""
    predicted: npt.NDArray[np.int64] = np.argmax(outputs, axis=-1)
    return (outputs[:, 0] > 0.5).astype(np.int64) if outputs.shape[-1] == 1 else predicted


def harm(
    model: Any,
    x: Array,
    classes: npt.NDArray[np.int64] | None,
    ranges: Mapping[str, Range],
    reporter: Reporter = SILENT,
) -> dict[str, float]:
    """Return the points of accuracy that the float model loses by each layer's quantization alone.

    Args:
        model: a float Keras model, or a :class:`FakeQuantizedModel` (whose compiled functions are used again).
        x: float32 (N, height, width, channels) samples as the float model takes them.
        classes: (N,) of the samples; agreement with the float model is measured where there are none.
        ranges: of the layers' outputs, by name; layers without one are left out.
        reporter: shows how far it is.

    Returns:
        {layer: percentage points}, in order of execution; negative where quantization happened to help.
    """
    quantized = model if isinstance(model, FakeQuantizedModel) else FakeQuantizedModel(model)
    quantized.set_ranges(ranges)
    with quantized.only():
        float_classes = predicted_classes(quantized.predict(x))
    true = float_classes if classes is None else np.asarray(classes)
    reached = np.mean(float_classes == true)
    lost = {}
    layers = [layer for layer in quantized.layers if layer.name in ranges]
    for layer in reporter.progress(layers, "quantizing layers one by one", len(layers)):
        with quantized.only(layer.name):
            lost[layer.name] = 100 * float(reached - np.mean(predicted_classes(quantized.predict(x)) == true))
    return lost
