"""Which int8 arithmetic suits which class of processors, where the file is not made on the one it runs on.

It concerns ONNX Runtime, whose kernels differ by the sign of the activations. TFLite's int8 is
signed by its specification, on every processor.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.errors import unknown


@dataclass(frozen=True)
class Target:
    """A class of processors.

    Args:
        name: on the command line.
        onnx_activations: dtype of the activations of int8 ``.onnx`` files.
        rule: why.
        source: where that is written.
    """

    name: str
    onnx_activations: str
    rule: str
    source: str


_ARM_SOURCE = "onnxruntime pull request 9902, table of the dispatchers of quantized GEMM"

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "x86-64-vnni",
            "uint8",
            "VNNI multiplies unsigned activations with signed weights; int8 activations run a plain C++ kernel "
            "before AVX-VNNI-INT8",
            "onnxruntime pull request 21984",
        ),
        Target(
            "arm64-dotprod",
            "int8",
            "the dot product instruction SDOT takes int8 by int8 as it is (Cortex-A76: Raspberry Pi 5); uint8 "
            "activations have the weights' sign bits flipped first",
            _ARM_SOURCE,
        ),
        Target(
            "arm64",
            "int8",
            "NEON's kernel takes int8 by int8 as it is (Cortex-A72: Raspberry Pi 4); uint8 activations have "
            "their sign bits flipped first",
            _ARM_SOURCE,
        ),
    )
}


def target_named(name: str) -> Target:
    """Return a class of processors.

    Raises:
        InputError: no such class; the closest is named.
    """
    if name not in TARGETS:
        raise unknown("target", name, TARGETS)
    return TARGETS[name]
