"""Measurements of model files: time, memory and accuracy, each in a process of its own.

Needs only the base install; engines are imported in the workers, by :mod:`edgecnn.runtimes`.
"""

from edgecnn.bench.host import Host, HostState, read_host
from edgecnn.bench.memory import Memory
from edgecnn.bench.results import BenchmarkResult, Protocol, Report
from edgecnn.bench.timing import Samples, measure

__all__ = [
    "BenchmarkResult",
    "Host",
    "HostState",
    "Memory",
    "Protocol",
    "Report",
    "Samples",
    "measure",
    "read_host",
]
