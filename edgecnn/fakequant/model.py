"""A float Keras model whose layers can be fake-quantized one by one.

This module must not know data sets, files or the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgecnn.errors import InputError, unknown
from edgecnn.fakequant.folding import fold, fold_named
from edgecnn.fakequant.graph import graph_of
from edgecnn.fakequant.network import Network, Purpose, SharedState
from edgecnn.fakequant.plan import QuantizedLayer, plan_of
from edgecnn.quiet import quiet
from edgecnn.tensors import QuantParams

Array = npt.NDArray[np.float32]
Range = tuple[float, float]
#: Of the moving average of ranges while training: the last hundred batches weigh most.
_DECAY = 0.99
_BATCH = 64


class FakeQuantizedModel:
    """A folded float model that computes as its int8 file will, layer by layer as switched.

    Weights: int8, symmetric, one scale per output channel (depthwise: per channel and multiplier).
    Outputs after their fused activation: int8 over a range, as :meth:`QuantParams.covering` spreads
    it; softmax, sigmoid and tanh over the ranges that TFLite's specification fixes. The input is
    quantized whenever any layer is. Biases stay float: int32 holds them nearly exactly.

    Args:
        model: functional or sequential Keras model of one input and one output; copied, not changed.
        input_range: smallest and largest value that any picture can give (the contract's
            ``InputSpec.value_range``); ``None`` leaves the input float.

    ``layers`` are what is quantized, in order of execution. Nothing is enabled at first.
    ``trainer`` is the Keras model to fit: every layer on, whatever is enabled, and while training
    each range is a moving average of its batches' (for :meth:`move_ranges` steps).

    Raises:
        InputError: the model's layers are not known, see :func:`fold`.
    """

    def __init__(self, model: Any, input_range: Range | None = None) -> None:
        self._folded, paths = fold_named(model)
        params = None if input_range is None else QuantParams.covering(*input_range, "int8")
        plan = plan_of(graph_of(fold(self._folded)), paths)
        self.layers: tuple[QuantizedLayer, ...] = plan.points
        self._by_name = {step.name: step.layer for step in reversed(plan.graph.steps)}
        self._index = {layer.name: number for number, layer in enumerate(self.layers)}
        self._state = SharedState(plan, params, _DECAY)
        self._networks: dict[Purpose, Any] = {}
        self.set_ranges({layer.name: layer.fixed for layer in self.layers if layer.fixed is not None})

    @property
    def trainer(self) -> Any:
        return self._network("train")

    @property
    def enabled(self) -> tuple[str, ...]:
        """Names of the layers that are on, in order."""
        switches = keras.ops.convert_to_numpy(self._state.switches)
        return tuple(layer.name for layer, on in zip(self.layers, switches, strict=False) if on)

    def enable(self, names: Iterable[str]) -> None:
        """Switch exactly these layers on and all others off; compiles nothing anew.

        Raises:
            InputError: a name is unknown.
        """
        switches = np.zeros(self._state.switches.shape, np.float32)
        for name in names:
            switches[self._number(name)] = 1
        self._state.switches.assign(switches)

    def enable_all(self) -> None:
        """Switch every layer on, as in the file."""
        self.enable(layer.name for layer in self.layers)

    @property
    def ranges(self) -> dict[str, Range]:
        """Smallest and largest value of each layer's output, as set or trained."""
        values = keras.ops.convert_to_numpy(self._state.ranges)
        return {layer.name: (float(low), float(high)) for layer, (low, high) in zip(self.layers, values, strict=False)}

    def set_ranges(self, ranges: Mapping[str, Range]) -> None:
        """Set the ranges of these layers; the others, and the fixed ones, keep theirs.

        Raises:
            InputError: a name is unknown, or a range is not finite or upside down.
        """
        values = np.array(keras.ops.convert_to_numpy(self._state.ranges), np.float32)
        for name, (low, high) in ranges.items():
            number = self._number(name)
            if not (np.isfinite([low, high]).all() and low <= high):
                raise InputError(f"the range of {name!r} cannot be {low} to {high}", "calibrate on more pictures")
            values[number] = self.layers[number].fixed or (low, high)
        params = [QuantParams.covering(float(low), float(high), "int8") for low, high in values]
        self._state.ranges.assign(values)
        self._state.scales.assign(np.array([each.scale for each in params], np.float32))
        self._state.zero_points.assign(np.array([each.zero_point for each in params], np.float32))

    def params(self, name: str) -> QuantParams:
        """Return the quantization of a layer's output.

        Raises:
            InputError: the name is unknown.
        """
        return QuantParams.covering(*self.ranges[self.layers[self._number(name)].name], "int8")

    def move_ranges(self, steps: int) -> None:
        """Let ranges move for so many training steps from now on, and stand still after them.

        Ranges that stand still let the last steps fit the weights to the ranges of the file (Krishnamoorthi,
        "Quantizing deep convolutional networks for efficient inference", 2018, section 3.2).
        """
        self._state.moving_steps.assign(np.float32(steps))

    def calibrate(self, x: Array, batch: int = _BATCH) -> dict[str, Range]:
        """Return the smallest and the largest value of every layer's output over samples, in float.

        Args:
            x: float32 (N, height, width, channels), as the float model takes them.
            batch: samples at a time.
        """
        extremes = self._run("extremes", x, batch)
        found = {}
        for layer, values in zip(self.layers, extremes, strict=True):
            found[layer.name] = layer.fixed or (float(values[:, 0].min()), float(values[:, 1].max()))
        return found

    def predict(self, x: Array, batch: int = _BATCH) -> Array:
        """Return the model's outputs, float32 (N, classes), with the enabled layers fake-quantized."""
        (output,) = self._run("predict", x, batch)
        return output

    def outputs(self, x: Array, batch: int = _BATCH) -> dict[str, Array]:
        """Return every layer's output, float32 (N, ...), with the enabled layers fake-quantized.

        All of them are in memory at once: give few samples of large pictures.
        """
        return dict(zip((layer.name for layer in self.layers), self._run("tap", x, batch), strict=True))

    def float_model(self) -> Any:
        """Return the folded float model with the weights as they are now, of Keras' own layers only."""
        result = fold(self._folded)
        for layer in result.layers:
            if layer.name in self._by_name and layer.weights:
                layer.set_weights(self._by_name[layer.name].get_weights())
        return result

    @contextmanager
    def only(self, *names: str) -> Iterator[None]:
        """Enable exactly these layers for a while."""
        before = self.enabled
        self.enable(names)
        try:
            yield
        finally:
            self.enable(before)

    def _number(self, name: str) -> int:
        if name not in self._index:
            raise unknown("quantized layer", name, self._index)
        return self._index[name]

    def _network(self, purpose: Purpose) -> Any:
        if purpose not in self._networks:
            self._networks[purpose] = Network(self._state, purpose)
        return self._networks[purpose]

    def _run(self, purpose: Purpose, x: Array, batch: int) -> list[Array]:
        """Return a network's outputs over samples, always fed batches of one size: it is compiled once."""
        if len(x) == 0:
            raise InputError("there are no samples to run", "give at least one")
        batch = min(batch, len(x))
        network = self._network(purpose)
        parts: list[list[Array]] = []
        for start in range(0, len(x), batch):
            part = x[start : start + batch]
            # The last one is filled up with its own last sample, which changes no extreme.
            full = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            with quiet() if start == 0 else nullcontext():  # the backend tells of every function that it compiles
                found = network.predict_on_batch(full.astype(np.float32, copy=False))
            values = [found[key] for key in sorted(found, key=int)] if isinstance(found, dict) else [found]
            parts.append([np.asarray(value)[: len(part)] for value in values])
        return [np.concatenate(column) for column in zip(*parts, strict=True)]
