"""How everything in one report was measured. This module must not know what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edgecnn.bench.memory import LEAK_BLOCKS
from edgecnn.errors import InputError

#: Below it there is no interval between processes: see :func:`edgecnn.bench.intervals.mean_interval`.
FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Protocol:
    """How everything in one report was measured.

    Args:
        threads: that an engine may use; each file is a row per count.
        rounds: each file runs once in each, in a fresh process, in turns with all the others.
        runs: timed calls per round, at most.
        warmup: calls before them, at least.
        max_seconds: of sampling per file, all rounds together; ends a round before ``runs``.
        precision: ends a round once half of its median's 95 % interval is this share of it.
        batch: pictures per call for the throughput of engines that take any number.
        timeout_s: for the whole worker process of one file, accuracy included.
        limit: pictures for accuracy and agreement; all when ``None``.
        trust: let Keras files run code of their own (Lambda layers). Never for files of others.
        until_clean: repeat rounds that the state of the machine tainted, up to as many again.
        leak_invokes: calls of the leak check; 0 for none.
        profile: tell the costliest operators of each file.

    Raises:
        InputError: a value is impossible.
    """

    threads: tuple[int, ...] = (1,)
    rounds: int = 5
    runs: int = 1000
    warmup: int = 10
    max_seconds: float = 10.0
    precision: float = 0.005
    batch: int = 32
    timeout_s: float = 300.0
    limit: int | None = None
    trust: bool = False
    until_clean: bool = False
    leak_invokes: int = 0
    profile: bool = False

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1:
            raise InputError(f"threads must be 1 or more, not {self.threads}", "leave --threads out")
        least = {"rounds": 1, "runs": 1, "warmup": 0, "batch": 1, "leak_invokes": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                option = name.replace("_", "-")
                raise InputError(
                    f"{name} must be {smallest} or more, not {getattr(self, name)}", f"leave --{option} out"
                )
        if 0 < self.leak_invokes < LEAK_BLOCKS:
            raise InputError(f"a leak check needs {LEAK_BLOCKS} calls or more, not {self.leak_invokes}", "20000")
        for name in ("max_seconds", "timeout_s", "precision"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be a positive number, not {getattr(self, name)}", "leave it out")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be 1 or more, not {self.limit}", "leave --limit out for all pictures")

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "threads": list(self.threads)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Protocol:
        """Return the protocol of :meth:`to_dict`.

        Raises:
            InputError: a key is missing, or a value impossible.
        """
        try:
            known = {item.name: document[item.name] for item in fields(cls)}
            return cls(**{**known, "threads": tuple(known["threads"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"the protocol is incomplete: {error}", "read a results.json of edgecnn bench") from error
