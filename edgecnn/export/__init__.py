"""Export: plan, convert, embed the contract, verify beside the float model, search, place, manifest.

Converters are known by the names in a table and imported when used. This room must not know
engines, nor the command line.
"""

from edgecnn.export.calibration import FEW_CALIBRATION_SAMPLES, Calibration
from edgecnn.export.exporter import ExportRequest, export
from edgecnn.export.manifest import MANIFEST, Exported, report_document
from edgecnn.export.routes import require_converters

__all__ = [
    "FEW_CALIBRATION_SAMPLES",
    "MANIFEST",
    "Calibration",
    "ExportRequest",
    "Exported",
    "export",
    "report_document",
    "require_converters",
]
