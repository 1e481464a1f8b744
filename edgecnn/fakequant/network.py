"""The folded model as it runs with some of its layers fake-quantized: one Keras model per purpose, shared weights.

This module must not know samples or data sets.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from edgecnn.fakequant.graph import Step
from edgecnn.fakequant.plan import KERNELS, Plan
from edgecnn.fakequant.rounding import fake_quantized, fake_quantized_weights, params_of_ranges
from edgecnn.tensors import QuantParams

#: ``predict``: outputs, every layer by its switch; ``train``: outputs, every layer on, ranges moving
#: while training; ``tap``: the value of every quantized layer; ``extremes``: its smallest and largest.
Purpose = Literal["predict", "train", "tap", "extremes"]


class SharedState(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """The layers, switches and ranges that all networks of one model share, and how they compute.

    Args:
        plan: what is quantized.
        input_params: of the input; ``None`` leaves it float.
        decay: of the moving average of ranges.
    """

    def __init__(self, plan: Plan, input_params: QuantParams | None, decay: float) -> None:
        super().__init__(name="fake_quantization")
        self._plan = plan
        self._input_params = input_params
        self._decay = decay
        layers = {id(step.layer): step.layer for step in plan.graph.steps}
        self.parts = [layer for layer in layers.values() if isinstance(layer, keras.layers.Layer)]
        for layer in self.parts:
            # One that could not be folded normalizes as it will in the file.
            layer.trainable = layer.trainable and type(layer).__name__ != "BatchNormalization"
        count = max(1, len(plan.points))
        self.switches = self._variable("switches", (count,))
        self.ranges = self._variable("ranges", (count, 2))
        self.scales = self._variable("scales", (count,), "ones")
        self.zero_points = self._variable("zero_points", (count,))
        self.moving_steps = self._variable("moving_steps", ())
        self.built = True

    def _variable(self, name: str, shape: tuple[int, ...], start: str = "zeros") -> Any:
        return self.add_weight(shape=shape, initializer=start, trainable=False, name=name)

    def compute(self, pixels: Any, purpose: Purpose, training: bool) -> Any:
        """Return what a network of this purpose gives for float32 (N, height, width, channels)."""
        return _Run(self, purpose, training).through(pixels)


class _Run:
    """One pass through the layers, while Keras traces it or runs it."""

    def __init__(self, state: SharedState, purpose: Purpose, training: bool) -> None:
        self._state = state
        self._plan = state._plan
        self._purpose = purpose
        self._moving = purpose == "train" and training
        self._taps: dict[int, Any] = {}
        self._ranges: list[Any] = []
        self._number = {id(step): number for number, step in enumerate(self._plan.graph.steps)}

    def through(self, pixels: Any) -> Any:
        state = self._state
        if state._input_params is not None:
            params = state._input_params
            pixels = self._switched(
                ops.max(state.switches), pixels, lambda real: fake_quantized(real, params.scale, params.zero_point)
            )
        if self._moving:
            self._ranges = list(ops.unstack(ops.convert_to_tensor(state.ranges), num=state.ranges.shape[0]))
        output = self._plan.graph.run(pixels, self._call)
        if self._moving:
            self._remember()
        if self._purpose in ("tap", "extremes"):
            return {str(point): self._taps[point] for point in sorted(self._taps)}
        return output

    def _call(self, step: Step, args: Any, kwargs: Any) -> Any:
        number = self._number[id(step)]
        weights, point = self._plan.weights[number], self._plan.outputs[number]
        output = step.layer(*args, **kwargs) if weights is None else self._weighted(step, weights, args, kwargs)
        return output if point is None else self._quantized(point, output)

    def _weighted(self, step: Step, point: int, args: Any, kwargs: Any) -> Any:
        """Call a layer with fake-quantized kernels in place of its own."""
        layer, switch = step.layer, self._state.switches[point]
        values = {id(variable): (variable, ops.convert_to_tensor(variable)) for variable in layer.variables}
        for attribute, axes in KERNELS[step.op]:
            kernel = getattr(layer, attribute)
            own = values[id(kernel)][1]
            quantized = self._switched(switch, own, lambda real, axes=axes: fake_quantized_weights(real, axes))
            values[id(kernel)] = (kernel, quantized)
        with keras.StatelessScope(list(values.values())):
            return layer(*args, **kwargs)

    def _quantized(self, point: int, real: Any) -> Any:
        state, fixed = self._state, self._plan.points[point].fixed
        if self._purpose == "extremes":
            self._taps[point] = ops.stack([ops.min(real), ops.max(real)])[None]
        if self._moving and fixed is not None:
            # Probabilities of 0 would have no gradient through the loss: the file has them, training has not.
            return real
        if self._moving:
            scale, zero_point = self._moved(point, real)
        else:
            scale, zero_point = state.scales[point], state.zero_points[point]
        quantized = self._switched(state.switches[point], real, lambda value: fake_quantized(value, scale, zero_point))
        if self._purpose == "tap":
            self._taps[point] = quantized
        return quantized

    def _moved(self, point: int, real: Any) -> tuple[Any, Any]:
        """Move a range towards this batch's, while the steps for that last; return its parameters."""
        state = self._state
        values = ops.stop_gradient(real)
        seen = ops.stack([ops.min(values), ops.max(values)])
        share = ops.where(state.moving_steps > 0, 1.0 - state._decay, 0.0)
        self._ranges[point] = self._ranges[point] + share * (seen - self._ranges[point])
        scales, zero_points = params_of_ranges(self._ranges[point][None])
        return scales[0], zero_points[0]

    def _remember(self) -> None:
        state = self._state
        ranges = ops.stack(self._ranges)
        scales, zero_points = params_of_ranges(ranges)
        state.ranges.assign(ranges)
        state.scales.assign(scales)
        state.zero_points.assign(zero_points)
        state.moving_steps.assign(ops.maximum(state.moving_steps - 1.0, 0.0))

    def _switched(self, switch: Any, real: Any, quantize: Any) -> Any:
        """Return ``quantize(real)`` where the switch is on: in the graph, so that switching recompiles nothing."""
        if self._purpose == "train":
            return quantize(real)
        if self._purpose == "extremes":
            return real
        return ops.cond(switch > 0.5, lambda: quantize(real), lambda: ops.convert_to_tensor(real))


class Network(keras.Model):  # type: ignore[misc]  # keras ships no types
    """One purpose of a fake-quantized model as a Keras model: input float32 (N, height, width, channels)."""

    def __init__(self, state: SharedState, purpose: Purpose) -> None:
        super().__init__(name=f"fake_quantized_{purpose}")
        self.state = state
        self._purpose: Purpose = purpose
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.state.compute(inputs, self._purpose, bool(training))
