"""The process that measures one model file in one engine and ends.

Reads a JSON request from standard input and writes its JSON response to the file that the request
names, so that nothing an engine prints can be taken for a result. This module must not know other
files, rows or tables: a fresh process knows one model.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgecnn.bench.memory import Memory, peak_resident_bytes, resident_bytes
from edgecnn.bench.timing import measure
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.spec import ModelSpec

_PR_SET_PDEATHSIG = 1
#: The stages around ``invoke`` are sampled shortly: they are the same for every engine.
_STAGE_RUNS, _STAGE_SECONDS = 200, 1.0
_GREY = 128


def main() -> None:
    """Answer one request. An unexpected exception ends the process with its traceback on stderr."""
    request = json.load(sys.stdin)
    _die_with(int(request["parent"]))
    try:
        response = measure_file(request)
    except EdgecnnError as error:
        response = {"error": f"{error.message} ({error.remedy})" if error.remedy else error.message}
    destination = Path(request["response_path"])
    partial = destination.with_suffix(".part")
    partial.write_text(json.dumps(response, allow_nan=False))
    partial.replace(destination)


def measure_file(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one model file as plain data.

    The order is the protocol: engine imported, memory noted, file opened, first call, warm-up and
    timed calls, memory noted again, and only then is the evaluation data read.

    Args:
        request: ``path``, ``runtime``, ``threads``, ``runs``, ``warmup``, ``max_seconds``,
            ``told`` (a partial contract, as of ``ModelSpec.to_dict``); and, or ``None``:
            ``class_names`` (of the data), ``picture_path`` (an .npy of one uint8 picture),
            ``data``, ``limit``, ``reference_path`` (an .npy of float32 (N, C) to compare with),
            ``probabilities_path`` (where to leave such an array).

    Raises:
        EdgecnnError: the file, the engine or the data refuses.
    """
    from edgecnn.artifact import open_artifact
    from edgecnn.pipeline import Pipeline
    from edgecnn.runtimes import import_engine, open_runtime

    artifact = open_artifact(request["path"])
    start = time.perf_counter_ns()
    import_engine(request["runtime"])  # apart, so that its memory is not taken for the model's
    imported = time.perf_counter_ns()
    gc.collect()
    bare_bytes = resident_bytes()

    opening = time.perf_counter_ns()
    runtime = open_runtime(artifact, request["runtime"], threads=request["threads"])
    opened = time.perf_counter_ns()
    pipeline = Pipeline(runtime, _settled_spec(artifact, runtime, request))
    picture = _one_picture(pipeline.spec, request["picture_path"])
    tensor = pipeline.tensor(picture)
    feeding = time.perf_counter_ns()
    runtime.invoke([tensor])
    answered = time.perf_counter_ns()
    invoke = measure(
        lambda: runtime.invoke([tensor]),
        warmup=request["warmup"],
        runs=request["runs"],
        max_seconds=request["max_seconds"],
    )
    memory = Memory(peak_resident_bytes(), max(0, resident_bytes() - bare_bytes))
    latency = {"invoke": invoke.nanoseconds, **_other_stages(pipeline, picture, tensor, request)}
    return {
        "labels": list(pipeline.spec.labels),
        "runtime_version": runtime.version,
        "device": runtime.device,
        "import_ms": (imported - start) / 1e6,
        "load_ms": (opened - opening) / 1e6,
        "first_ms": (answered - feeding) / 1e6,
        "samples_ns": latency,
        "memory": memory.to_dict(),
        **_evaluate(pipeline, request),
    }


def _settled_spec(artifact: Any, runtime: Any, request: Mapping[str, Any]) -> ModelSpec:
    from edgecnn.specfile import settle_spec

    return settle_spec(
        artifact.spec,
        request["told"],
        lambda: getattr(runtime, "facts", None) or artifact.facts(),
        name=artifact.path.stem,
        labels=request["class_names"],
    )


def _one_picture(spec: ModelSpec, path: str | None) -> Any:
    """Return the picture at ``path``, or a grey one of the model's size: uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    if path is None:
        return np.full((spec.input.height, spec.input.width, 3), _GREY, np.uint8)
    return np.load(path, allow_pickle=False)


def _other_stages(pipeline: Any, picture: Any, tensor: Any, request: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return samples of what surrounds ``invoke``; ``preprocess`` includes a copy of the tensor."""
    from edgecnn.vision.classify import class_probabilities, classify

    raw, head, output = pipeline.runtime.invoke([tensor])[0], pipeline.spec.head, pipeline.runtime.outputs[0]
    stages: dict[str, Callable[[], object]] = {
        "preprocess": lambda: pipeline.tensor(picture),
        "postprocess": lambda: classify(class_probabilities(raw, head, output)[0]),
    }
    runs, seconds = min(_STAGE_RUNS, request["runs"]), min(_STAGE_SECONDS, request["max_seconds"])
    return {
        name: measure(call, warmup=10, runs=runs, max_seconds=seconds, warmup_seconds=0).nanoseconds
        for name, call in stages.items()
    }


def _evaluate(pipeline: Any, request: Mapping[str, Any]) -> dict[str, float | None]:
    """Return accuracy, agreement and drift, each ``None`` where there is nothing to tell it by."""
    found: dict[str, float | None] = {"accuracy": None, "agreement": None, "max_drift": None}
    if request["data"] is None:
        return found
    import numpy as np

    from edgecnn.data import load_data
    from edgecnn.metrics import fidelity, top1_accuracy
    from edgecnn.verify import align_classes

    dataset = align_classes(load_data(request["data"], "test", limit=request["limit"]), pipeline.spec)
    probabilities = pipeline.probabilities(dataset.pictures)
    if dataset.classes is not None:
        found["accuracy"] = top1_accuracy(probabilities, dataset.classes)
    if request["probabilities_path"]:
        np.save(request["probabilities_path"], probabilities, allow_pickle=False)
    if request["reference_path"]:
        reference = np.load(request["reference_path"], allow_pickle=False)
        if reference.shape != probabilities.shape:
            raise InputError(
                f"its answers have the shape {probabilities.shape}, the reference's {reference.shape}",
                "compare files of one model",
            )
        drift = fidelity(probabilities, reference)
        found.update(agreement=drift.agreement, max_drift=drift.max_drift)
    return found


def _die_with(parent: int) -> None:
    """End this process when its parent does, however that ends; leave no core file behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that asked has ended")


if __name__ == "__main__":
    main()
