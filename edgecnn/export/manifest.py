"""What an export did: rows, trials and timings as plain data, and the record of them beside the files.

This module must not know how files are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.artifact import Artifact
from edgecnn.files import write_json
from edgecnn.recipe import Recipe
from edgecnn.verify import Reference, Verdict

MANIFEST = "manifest.json"
MANIFEST_SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Trial:
    """One way to carry out a recipe that was tried, and what it gave.

    Args:
        recipe: with its excluded layers and calibration.
        verdict: of the file, perhaps on fewer pictures than the final one.
        samples: pictures that the verdict rests on.
        p50_ms: median time of one inference on this machine, one thread; ``None`` where the file
            failed before it was timed.
        kept: whether this is the file that was placed.
    """

    recipe: Recipe
    verdict: Verdict
    samples: int
    p50_ms: float | None = None
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        record = self.recipe.calibration
        return {
            "excluded_layers": list(self.recipe.excluded_layers),
            "method": record.method if record else None,
            "accuracy": self.verdict.accuracy,
            "accuracy_change_points": self.verdict.accuracy_change_points,
            "agreement": self.verdict.agreement,
            "samples": self.samples,
            "p50_ms": self.p50_ms,
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Candidate:
    """One of several files of equal worth that were timed against each other on this machine.

    Args:
        activations, input, output: dtypes of the file.
        p50_ms: median time from picture to classes, one thread.
        kept: whether it was the fastest.
    """

    activations: str
    input: str
    output: str
    p50_ms: float
    kept: bool

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Exported:
    """One planned file and its verdict; ``artifact`` is ``None`` where no file could be made.

    ``p50_ms`` is the median time of one inference on this machine with one thread;
    ``float32_ratio`` how many times faster than the format's float32 file, timed in turns with it.
    """

    format: str
    recipe: Recipe
    artifact: Artifact | None
    verdict: Verdict
    p50_ms: float | None = None
    float32_ratio: float | None = None
    notes: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        made = self.artifact
        verdict = self.verdict
        return {
            "path": str(made.path) if made else None,
            "format": self.format,
            "recipe": self.recipe.name,
            "excluded_layers": list(self.recipe.excluded_layers),
            "calibration": self.recipe.calibration.to_dict() if self.recipe.calibration else None,
            "size_bytes": made.size_bytes if made else None,
            "sha256": made.sha256 if made else None,
            "verdict": "pass" if verdict.passed else "fail",
            "reason": verdict.reason,
            "notes": list(self.notes),
            "accuracy": verdict.accuracy,
            "accuracy_change_points": verdict.accuracy_change_points,
            "change_ci95_points": list(verdict.change_ci95_points) if verdict.change_ci95_points else None,
            "agreement": verdict.agreement,
            "max_drift": verdict.max_drift,
            "mean_drift": verdict.mean_drift,
            "p50_ms": self.p50_ms,
            "float32_ratio": self.float32_ratio,
            "trials": [trial.to_dict() for trial in self.trials],
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }


def report_document(reference: Reference, exported: Sequence[Exported]) -> dict[str, Any]:
    """Return what ``edgecnn export --json`` prints. Accuracies and agreements are percentages."""
    return {"reference": reference.to_dict(), "artifacts": [item.to_dict() for item in exported]}


class Manifest:
    """The record of an export beside its files: true whenever the run ends, paths relative to it.

    Rows of an earlier run stay while their files do, so a folder may be filled by several commands;
    an export of another model or on other terms starts anew.

    Args:
        folder: of the files.
        terms: what all rows have in common: model, data, budget, contract, reference.
    """

    def __init__(self, folder: Path, terms: Mapping[str, Any]) -> None:
        self._path = folder / MANIFEST
        self._terms = {"schema_version": MANIFEST_SCHEMA_VERSION, **terms}
        self._rows = self._earlier_rows()

    def forget(self, exported: Exported) -> None:
        """Drop the row of a file that is about to be replaced."""
        self._rows.pop(self._key(exported), None)
        self._write()

    def record(self, exported: Exported) -> None:
        """Add the row of a file that is in its place."""
        row = exported.to_dict()
        if exported.artifact is not None:
            row["path"] = str(exported.artifact.path.relative_to(self._path.parent))
        self._rows[self._key(exported)] = row
        self._write()

    def _key(self, exported: Exported) -> tuple[str, str]:
        return exported.format, exported.recipe.name

    def _earlier_rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        try:
            earlier = json.loads(self._path.read_text())
            same_terms = all(earlier.get(key) == value for key, value in self._terms.items())
            rows = {(row["format"], row["recipe"]): row for row in earlier["artifacts"]} if same_terms else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # none, or none of ours: this run writes its own
        return {key: row for key, row in rows.items() if row["path"] and (self._path.parent / row["path"]).is_file()}

    def _write(self) -> None:
        write_json(self._path, {**self._terms, "artifacts": list(self._rows.values())})
