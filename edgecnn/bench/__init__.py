"""Measurements of model files: time, memory and accuracy, each in a process of its own.

Needs only the base install; engines are imported in the workers, by :mod:`edgecnn.runtimes`.
"""

from edgecnn.bench.host import Host, read_host
from edgecnn.bench.memory import Leak, Memory
from edgecnn.bench.protocol import Protocol
from edgecnn.bench.reference import Reference, read_reference
from edgecnn.bench.report import Report, merged, read_report
from edgecnn.bench.results import BenchmarkResult, Round
from edgecnn.bench.state import HostState
from edgecnn.bench.timing import Samples, measure
from edgecnn.bench.verdict import Verdict, compare

__all__ = [
    "BenchmarkResult",
    "Host",
    "HostState",
    "Leak",
    "Memory",
    "Protocol",
    "Reference",
    "Report",
    "Round",
    "Samples",
    "Verdict",
    "compare",
    "measure",
    "merged",
    "read_host",
    "read_reference",
    "read_report",
]
