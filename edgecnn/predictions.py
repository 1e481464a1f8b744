"""What a model said about a picture. This module must not know models, heads or engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecnn.errors import InputError


@dataclass(frozen=True)
class Classifications:
    """Classes of one picture, most probable first: struct of arrays of equal length K.

    Args:
        class_id: int32 (K,).
        probability: float32 (K,), 0..1, descending.
    """

    class_id: npt.NDArray[np.int32]
    probability: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.class_id.shape != self.probability.shape or self.class_id.ndim != 1:
            raise InputError(
                f"expected two arrays of one length, got {self.class_id.shape} and {self.probability.shape}",
                "a bug: report it",
            )

    def __len__(self) -> int:
        return len(self.class_id)
