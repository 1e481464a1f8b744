"""Runtime + contract: a picture in, class probabilities out, with the time of each stage.

The one way from pictures to answers: ``predict``, ``export``'s verification, ``bench`` and the
camera loop all go through here. This module must not know which engine it holds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecnn.data.dataset import Picture, Pictures
from edgecnn.errors import InputError
from edgecnn.predictions import Classifications
from edgecnn.reporter import SILENT, Reporter
from edgecnn.runtimes import Runtime
from edgecnn.spec import ModelSpec
from edgecnn.vision.classify import class_probabilities, classify
from edgecnn.vision.preprocess import Preprocessor

STAGES = ("preprocess", "invoke", "postprocess")
#: Samples per call of a runtime that takes any batch.
_BATCH = 128


@dataclass(frozen=True)
class Timed:
    """Predictions of one picture and the nanoseconds that each stage took."""

    predictions: Classifications
    stages_ns: dict[str, int]


class Pipeline:
    """One opened model that is fed as its contract says.

    Raises:
        InputError: the contract does not fit the model's tensors.
    """

    def __init__(self, runtime: Runtime, spec: ModelSpec) -> None:
        if len(runtime.inputs) != 1 or len(runtime.outputs) != 1:
            raise InputError(
                f"the model has {len(runtime.inputs)} inputs and {len(runtime.outputs)} outputs",
                "a classifier has one of each",
            )
        self.runtime = runtime
        self.spec = spec
        self.output = runtime.outputs[0]
        wanted = 1 if spec.head.kind == "binary" else spec.classes
        if not self.output.shape or self.output.shape[-1] not in (-1, wanted):
            raise InputError(
                f"the contract has {spec.classes} labels, the model's output has the shape {self.output.shape}",
                "correct the labels",
            )
        self.preprocessor = Preprocessor(spec.input, runtime.inputs[0])

    def predict(self, picture: Picture, *, count: int | None = None, color: str | None = None) -> Timed:
        """Return the ``count`` most probable classes of one picture (all when ``None``)."""
        start = time.perf_counter_ns()
        tensor = self.preprocessor(picture, color)
        fed = time.perf_counter_ns()
        raw = self.runtime.invoke([tensor])[0]
        invoked = time.perf_counter_ns()
        predictions = classify(class_probabilities(raw, self.spec.head, self.output)[0], count)
        end = time.perf_counter_ns()
        return Timed(predictions, dict(zip(STAGES, (fed - start, invoked - fed, end - invoked), strict=True)))

    def probabilities(
        self, pictures: Pictures, reporter: Reporter = SILENT, label: str = ""
    ) -> npt.NDArray[np.float32]:
        """Return float32 (N, C) for N pictures, as fast as the runtime's batch allows."""
        size = self.runtime.batch or _BATCH
        rows = []
        for start in reporter.progress(range(0, len(pictures), size), label or self.spec.name):
            tensors = [self.tensor(pictures[i]) for i in range(start, min(start + size, len(pictures)))]
            raw = self.runtime.invoke([tensors[0] if size == 1 else np.concatenate(tensors)])[0]
            rows.append(class_probabilities(raw, self.spec.head, self.output))
        return np.concatenate(rows)

    def tensor(self, picture: Picture) -> npt.NDArray[Any]:
        """Return a copy of the input tensor of one picture."""
        return np.array(self.preprocessor(picture))
