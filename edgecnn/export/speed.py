"""How fast files are on this machine, compared with each other in turns; by the one timing loop.

Enough to tell which of two files is faster. The figures to quote are those of ``edgecnn bench``,
which measures each file in a process of its own. This module must not know engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecnn.artifact import Artifact
from edgecnn.bench.timing import Samples, measure
from edgecnn.data.dataset import Picture
from edgecnn.pipeline import Pipeline
from edgecnn.runtimes import open_runtime

#: Each file has so many turns: what the machine does beside falls on all of them.
_TURNS = 3
#: Share by which a file must be slower to be called so: turns in one process cancel what the machine does,
#: but not how its memory happens to lie.
CLEARLY_SLOWER = 0.25
_RUNS_PER_TURN = 30
_SECONDS_PER_TURN = 0.025
_WARMUP_SECONDS = 0.005


def _in_turns(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Return the median of each call in milliseconds."""
    taken: list[list[int]] = [[] for _ in calls]
    for _ in range(_TURNS):
        for samples, call in zip(taken, calls, strict=True):
            measured = measure(
                call, warmup=1, runs=_RUNS_PER_TURN, max_seconds=_SECONDS_PER_TURN, warmup_seconds=_WARMUP_SECONDS
            )
            samples.extend(measured.nanoseconds)
    return [Samples(tuple(samples)).median_ms for samples in taken]


def inference_p50_ms(artifacts: Sequence[Artifact], picture: Picture) -> list[float]:
    """Return the median time of one inference of each file, one thread, timed in turns.

    Raises:
        EngineError: an engine refuses a file.
    """

    def inference(artifact: Artifact) -> Callable[[], object]:
        runtime = open_runtime(artifact)
        tensor = Pipeline(runtime, artifact.require_spec()).tensor(picture)
        return lambda: runtime.invoke([tensor])

    return _in_turns([inference(artifact) for artifact in artifacts])


def prediction_p50_ms(artifacts: Sequence[Artifact], picture: Picture) -> list[float]:
    """Return the median time from picture to classes of each file, one thread, timed in turns.

    Raises:
        EngineError: an engine refuses a file.
    """

    def prediction(artifact: Artifact) -> Callable[[], object]:
        pipeline = Pipeline(open_runtime(artifact), artifact.require_spec())
        return lambda: pipeline.predict(picture)

    return _in_turns([prediction(artifact) for artifact in artifacts])
