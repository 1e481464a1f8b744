"""How rows and their figures are named in sentences. This module must not know how anything is measured or judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgecnn.bench.results import BenchmarkResult
from edgecnn.bench.tables import significant


def row_labels(rows: Sequence[BenchmarkResult]) -> list[str]:
    """Return the shortest name of each row that is no other row's.

    The file's name; with engine and threads where rows share it; the whole path where they share that too.
    """
    names, full = [row.name for row in rows], [_label(row, row.name) for row in rows]
    shared_names, shared_labels = Counter(names), Counter(full)
    return [
        name if shared_names[name] == 1 else label if shared_labels[label] == 1 else _label(row, row.path)
        for row, name, label in zip(rows, names, full, strict=True)
    ]


def _label(row: BenchmarkResult, name: str) -> str:
    threads = "" if row.threads is None else "1 thread" if row.threads == 1 else f"{row.threads} threads"
    words = [word for word in (row.runtime, threads) if word]
    return f"{name} ({', '.join(words)})" if words else name


def ms_text(ms: float | None) -> str:
    """Return a duration with three digits that count, short ones too: ``12.3``, ``0.00228``."""
    return f"{ms:#.3g}" if ms is not None and ms < 1 else significant(ms)


def bytes_text(size: float) -> str:
    """Return a size in powers of 1000, as the tables have it: ``3.12 MB``, ``640 B``."""
    if size < 1000:
        return f"{size:.0f} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.2f} MB" if size < 1e7 else f"{size / 1e6:.1f} MB"


def points_text(points: float) -> str:
    """Return points of a percentage: ``2.31 points``, ``1 point``."""
    shown = f"{points:.2f}".rstrip("0").rstrip(".")
    return f"{shown} point{'' if shown == '1' else 's'}"
