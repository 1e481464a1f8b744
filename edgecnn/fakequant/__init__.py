"""What an integer engine will make of a float Keras model, computed in float on any Keras backend.

Importing this package imports Keras: do it late. Nothing here may know converters, engines, data
sets or files.
"""

from edgecnn.fakequant.folding import fold
from edgecnn.fakequant.harm import harm, predicted_classes
from edgecnn.fakequant.model import FakeQuantizedModel
from edgecnn.fakequant.plan import QuantizedLayer

__all__ = ["FakeQuantizedModel", "QuantizedLayer", "fold", "harm", "predicted_classes"]
