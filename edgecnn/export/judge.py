"""What a file is worth: its verdict beside the reference, quickly where it is hopeless.

This module must not know how files are made.
"""

from __future__ import annotations

from dataclasses import replace

from edgecnn.artifact import Artifact
from edgecnn.data import Dataset
from edgecnn.reporter import SILENT, Reporter
from edgecnn.verify import Reference, Verdict, verify

#: A first look at so many pictures spares a trial the others, where it shows that the budget cannot hold.
_FIRST_LOOK = 1000


class Judge:
    """Judges files on one data set against one budget.

    Args:
        data: the pictures to verify on.
        reference: the float model's answers on them.
        max_drop: accuracy, in points, that a file may lose.
    """

    def __init__(self, data: Dataset, reference: Reference, max_drop: float, reporter: Reporter = SILENT) -> None:
        self._data, self._reference, self._max_drop, self._reporter = data, reference, max_drop, reporter
        self._look: tuple[Dataset, Reference] | None = None
        if data.classes is not None and len(data) >= 2 * _FIRST_LOOK:
            chosen = data.balanced_order(seed=0)[:_FIRST_LOOK]
            self._look = data.subset(chosen), replace(reference, probabilities=reference.probabilities[chosen])

    def verdict(self, artifact: Artifact) -> Verdict:
        """Return the verdict on all pictures."""
        return verify(artifact, self._data, self._reference, max_drop=self._max_drop, reporter=self._reporter)

    def trial_verdict(self, artifact: Artifact) -> tuple[Verdict, int]:
        """Return a verdict and the pictures it rests on: all of them, unless a first look rules the file out.

        Ruled out is a file whose loss is over the budget with 95 % confidence.
        """
        if self._look is not None:
            data, reference = self._look
            seen = verify(artifact, data, reference, max_drop=self._max_drop, reporter=self._reporter)
            interval = seen.change_ci95_points
            if interval is None or interval[1] < -self._max_drop:
                return seen, len(data)
        return self.verdict(artifact), len(self._data)
