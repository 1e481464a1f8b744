"""Which layers a model is most sensitive to, found on the Keras model itself: once, for every format.

This module must not know formats or engines.
"""

from __future__ import annotations

from functools import cached_property

from edgecnn.data import Dataset
from edgecnn.errors import InputError
from edgecnn.export.routes import Source
from edgecnn.reporter import SILENT, Reporter
from edgecnn.vision.preprocess import float_tensors

#: Pictures on which each layer's harm is measured: one step is a fifth of a point.
_SAMPLES = 500


class Ranking:
    """The layers of one model by the points of accuracy that each loses when it alone is quantized.

    Args:
        source: with calibration pictures, for the ranges.
        data: pictures to lose accuracy on.
    """

    def __init__(self, source: Source, data: Dataset, reporter: Reporter = SILENT) -> None:
        self._source, self._data, self._reporter = source, data, reporter

    @cached_property
    def harm_points(self) -> dict[str, float]:
        """Layer -> points, in execution order.

        Raises:
            InputError: the model has layers that cannot be quantized one by one.
        """
        from edgecnn.fakequant.harm import harm
        from edgecnn.fakequant.model import FakeQuantizedModel
        from edgecnn.models.loading import load_keras_model

        source, image = self._source, self._source.spec.input
        chosen = self._data.balanced(_SAMPLES, seed=0)
        x = float_tensors(chosen, image)
        model = FakeQuantizedModel(load_keras_model(source.artifact, trust=source.trust), image.value_range)
        ranges = model.calibrate(x if source.calibration is None else source.calibration)
        return harm(model, x, chosen.classes, ranges, self._reporter)

    def names(self) -> list[str]:
        """Return the layers' names, the most harmful first; none, and a word why, where they cannot be ranked."""
        try:
            found = self.harm_points
        except InputError as error:
            self._reporter.warn(f"no layer can be given back to float32: {error.message}")
            return []
        return sorted(found, key=lambda name: -found[name])
