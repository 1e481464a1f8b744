"""The conventions by which real models are fed, as plain data. This module must not know models or pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecnn.spec import number

#: Of ImageNet: what PyTorch's models subtract and divide by (0..1, RGB), and what Caffe's subtract (0..255, BGR).
_TORCH_MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
_TORCH_STD: tuple[float, ...] = (0.229, 0.224, 0.225)
_CAFFE_MEAN: tuple[float, ...] = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Convention:
    """One way of feeding: ``(pixel * scale - mean) / std`` in the channel order ``color``."""

    name: str
    color: str
    scale: float
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def flags(self) -> str:
        """The flags that tell it: ``--scale 1/255 --color rgb``."""
        scale = {1 / 255: "1/255", 1 / 127.5: "1/127.5"}.get(self.scale, f"{self.scale:g}")
        words = [f"--scale {scale}"]
        words += [f"--mean {','.join(f'{value:g}' for value in self.mean)}"] if any(self.mean) else []
        words += [f"--std {','.join(f'{value:g}' for value in self.std)}"] if set(self.std) != {1.0} else []
        return " ".join([*words, *([] if self.color == "gray" else [f"--color {self.color}"])])

    def overlay(self) -> dict[str, Any]:
        """Return it as keys of a contract's ``input``."""
        return {"color": self.color, "scale": self.scale, "mean": self.mean, "std": self.std}


def known_conventions(channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> list[Convention]:
    """Return what is tried, the plainest first: of those with equal answers the first is taken.

    Args:
        channels: 1 or 3.
        mean, std: of the data, per channel (RGB), in units of 0..1.
    """
    found = []
    for color in ("gray",) if channels == 1 else ("rgb", "bgr"):
        order = slice(None, None, -1) if color == "bgr" else slice(None)
        found += [
            Convention("0..255", color, 1.0),
            Convention("0..1", color, 1 / 255),
            Convention("-1..1", color, 1 / 127.5, (1.0,)),
            Convention("data mean/std", color, 1 / 255, mean[order], std[order]),
            Convention("data mean", color, 1 / 255, mean[order]),
        ]
        if channels == 3:
            found.append(Convention("ImageNet mean/std", color, 1 / 255, _TORCH_MEAN[order], _TORCH_STD[order]))
    return found if channels == 1 else [*found, Convention("caffe mean", "bgr", 1.0, _CAFFE_MEAN)]


def agrees(convention: Convention, image: Mapping[str, Any], channels: int) -> bool:
    """Return whether a convention is what was told in a contract's ``input``, as far as it was.

    Raises:
        InputError: what was told is no number.
    """
    if image.get("color", convention.color) != convention.color:
        return False
    for key in ("scale", "mean", "std"):
        if image.get(key) is None:
            continue
        given = image[key] if isinstance(image[key], (list, tuple)) else [image[key]]
        values = [number(value, key) for value in given]
        own = getattr(convention, key)
        own = own if isinstance(own, tuple) else (own,)
        wanted = np.broadcast_to(values, channels) if len(values) in (1, channels) else np.full(channels, np.nan)
        if not np.allclose(np.broadcast_to(own, channels), wanted, rtol=1e-3, atol=1e-6):
            return False
    return True
