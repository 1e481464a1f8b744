"""Changes to training pictures that leave their class alone, drawn anew for every batch.

Works on the bytes 0..255 before any value is made of them, so that a model sees nothing that no
picture could give. This module must not know models or Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgecnn.errors import unknown

Pixels = npt.NDArray[np.uint8]
#: Largest shift, as a share of the side: the 4 of 32 pixels that He et al. (2015, section 4.2) use on CIFAR-10.
_LARGEST_SHIFT_SHARE = 1 / 8


def _mirror(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    mirrored = generator.random(len(pixels)) < 0.5
    return np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)


def _shift(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    height, width = pixels.shape[1:3]
    tall, wide = (max(1, round(side * _LARGEST_SHIFT_SHARE)) for side in (height, width))
    padded = np.pad(pixels, ((0, 0), (tall, tall), (wide, wide), (0, 0)))
    tops = generator.integers(0, 2 * tall + 1, len(pixels))
    lefts = generator.integers(0, 2 * wide + 1, len(pixels))
    rows = (tops[:, None] + np.arange(height))[:, :, None]
    columns = (lefts[:, None] + np.arange(width))[:, None, :]
    shifted: Pixels = padded[np.arange(len(pixels))[:, None, None], rows, columns]
    return shifted


AUGMENTATIONS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {"mirror": _mirror, "shift": _shift}


def check_augmentations(names: Sequence[str]) -> tuple[str, ...]:
    """Return ``names`` without repeats.

    Raises:
        InputError: one is unknown; the closest is named.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    return tuple(dict.fromkeys(names))


def augment(pixels: Pixels, names: Sequence[str], generator: np.random.Generator) -> Pixels:
    """Return changed pictures.

    Args:
        pixels: uint8 (N, height, width, channels).
        names: of :data:`AUGMENTATIONS`, applied in this order: ``mirror`` flips half of the pictures
            left to right, ``shift`` moves each by up to an eighth of its sides and fills with black.
        generator: of the draws.
    """
    for name in names:
        pixels = AUGMENTATIONS[name](pixels, generator)
    return pixels
