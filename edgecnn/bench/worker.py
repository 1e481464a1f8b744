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

from edgecnn.bench.memory import Memory, check_leak, peak_resident_bytes, private_bytes, resident_bytes
from edgecnn.bench.results import Round, Throughput
from edgecnn.bench.timing import Samples, Warmup, measure, sample, warm_up
from edgecnn.errors import EdgecnnError, InputError
from edgecnn.spec import ModelSpec

_PR_SET_PDEATHSIG = 1
#: The stages around ``invoke`` are sampled shortly: most of them are the same for every engine.
_STAGE_RUNS, _STAGE_SECONDS = 200, 0.3
#: The warm-up before ``invoke``: at least, and at most (or as long as a round's sampling).
_WARMUP_SECONDS, _MOST_WARMUP = 0.2, 2.0
_GREY = 128


def main() -> None:
    """Answer one request. An unexpected exception ends the process with its traceback on stderr."""
    request = json.load(sys.stdin)
    _die_with(int(request["parent"]))
    response: dict[str, Any] = {}
    try:
        pipeline, response = timed_file(request)
        # What follows may take minutes on a slow board: whatever happens to it, this is kept.
        _answer(request, response)
        response = {**response, **_extras(pipeline, request)}
        if request["data"] is not None and request["evaluate"]:
            _answer(request, response)
            response = {**response, **_evaluate(pipeline, request)}
        response["evaluated"] = True
        if request["profile"] or request["placement"]:
            _answer(request, response)
            response = {**response, **_operators(pipeline, request)}
    except EdgecnnError as error:
        response["error"] = f"{error.message} ({error.remedy})" if error.remedy else error.message
    _answer(request, response)


def _answer(request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
    """Write the response in one step, over an earlier one: the process may be killed at any time."""
    destination = Path(request["response_path"])
    partial = destination.with_suffix(".part")
    partial.write_text(json.dumps(response, allow_nan=False))
    partial.replace(destination)


def timed_file(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the opened pipeline of one model file and its figures, not yet ``evaluated``, as plain data.

    The order is the protocol: engine imported, memory noted, file opened, first call, warm-up and
    timed calls, memory noted again, then the stages around the engine; what else was asked for (leak
    check, profile, evaluation) comes after all timed calls.

    Args:
        request: ``path``, ``runtime``, ``threads``, ``round`` (its number), ``runs``, ``warmup``,
            ``max_seconds``, ``precision``, ``batch``, ``trust``, ``told`` (a partial contract, as of
            ``ModelSpec.to_dict``), ``leak_invokes``, ``evaluate``, ``profile`` (what each operator takes),
            ``placement`` (who computes it); and, or ``None``:
            ``class_names`` and ``class_count`` (of the data), ``reference_classes`` (how many the
            reference has), ``picture_path`` (an .npy of one uint8 picture), ``data``, ``limit``,
            ``reference_path`` (an .npy of float32 (N, C) to compare with), ``probabilities_path``
            (where to leave such an array).

    Raises:
        EdgecnnError: the file, the engine or the data refuses.
    """
    from edgecnn.artifact import open_artifact
    from edgecnn.pipeline import Pipeline
    from edgecnn.runtimes import import_engine, open_runtime

    artifact, check_classes = open_artifact(request["path"]), _class_check(request)
    start = time.perf_counter_ns()
    import_engine(request["runtime"])  # apart, so that its memory is not taken for the model's
    imported = time.perf_counter_ns()
    gc.collect()
    bare_bytes = resident_bytes()

    opening = time.perf_counter_ns()
    runtime = open_runtime(artifact, request["runtime"], threads=request["threads"], trust=request["trust"])
    opened = time.perf_counter_ns()
    pipeline = Pipeline(runtime, _settled_spec(artifact, runtime, request))
    check_classes(pipeline.spec)  # fails before minutes are spent on timing
    picture = _one_picture(pipeline.spec, request["picture_path"])
    tensor = pipeline.tensor(picture)
    feeding = time.perf_counter_ns()
    runtime.invoke([tensor])
    answered = time.perf_counter_ns()
    warmup, invoke = _timed(lambda: runtime.invoke([tensor]), request)
    memory = _memory(runtime, bare_bytes)
    taken = Round(
        number=request["round"],
        latency={"invoke": invoke, **_other_stages(pipeline, picture, tensor, request)},
        warmup=warmup,
        import_ms=(imported - start) / 1e6,
        load_ms=(opened - opening) / 1e6,
        first_ms=(answered - feeding) / 1e6,
        memory=memory,
        throughput=_throughput(runtime, tensor, request),
    )
    return pipeline, {
        "labels": list(pipeline.spec.labels),
        "runtime_version": runtime.version,
        "device": runtime.device,
        "round": taken.to_dict(),
        **dict.fromkeys(("accuracy", "agreement", "max_drift", "leak", "profile", "placement")),
        "evaluated": False,
    }


def _timed(call: Callable[[], object], request: Mapping[str, Any]) -> tuple[Warmup, Samples]:
    seconds = request["max_seconds"]
    warmup = warm_up(
        call, calls=request["warmup"], seconds=min(_WARMUP_SECONDS, seconds), max_seconds=max(_MOST_WARMUP, seconds)
    )
    return warmup, sample(call, runs=request["runs"], max_seconds=seconds, precision=request["precision"])


def _memory(runtime: Any, bare_bytes: int) -> Memory:
    def told(name: str) -> int | None:
        tell = getattr(runtime, name, None)  # not every engine can
        return None if tell is None else tell()

    steady = resident_bytes()
    return Memory(
        peak_resident_bytes(),
        max(0, steady - bare_bytes),
        steady,
        private_bytes(),
        told("tensor_bytes"),
        told("device_peak_bytes"),
    )


def _throughput(runtime: Any, tensor: Any, request: Mapping[str, Any]) -> Throughput | None:
    """Return what many pictures in one call cost, where the engine takes any number."""
    import numpy as np

    batch = request["batch"]
    if runtime.batch is not None or batch == 1:
        return None
    pictures = np.repeat(tensor, batch, axis=0)
    samples = measure(
        lambda: runtime.invoke([pictures]),
        warmup=2,
        runs=_STAGE_RUNS,
        max_seconds=min(_STAGE_SECONDS, request["max_seconds"]),
        warmup_seconds=0,
    )
    return Throughput(batch, samples)


def _extras(pipeline: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what comes after all timed calls: the leak check."""
    if not request["leak_invokes"]:
        return {}
    tensor = pipeline.tensor(_one_picture(pipeline.spec, request["picture_path"]))
    return {"leak": check_leak(lambda: pipeline.runtime.invoke([tensor]), request["leak_invokes"]).to_dict()}


def _operators(pipeline: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each operator takes, and what about the graph makes it slow; nothing of engines that do not tell."""
    from edgecnn.artifact import open_artifact
    from edgecnn.bench.profile import reasons
    from edgecnn.bench.profiling import PROFILED, placement, profile

    runtime, threads = request["runtime"], request["threads"]
    if runtime not in PROFILED:
        return {}
    artifact = open_artifact(request["path"])
    if not request["profile"]:
        return {"placement": reasons(placement(artifact, runtime=runtime, threads=threads))}
    tensor = pipeline.tensor(_one_picture(pipeline.spec, request["picture_path"]))
    found = profile(artifact, runtime=runtime, threads=threads, tensor=tensor)
    return {"profile": found.to_dict(), "placement": reasons(found)}


def _settled_spec(artifact: Any, runtime: Any, request: Mapping[str, Any]) -> ModelSpec:
    from edgecnn.runtimes import facts_of
    from edgecnn.specfile import settle_spec

    return settle_spec(
        artifact.spec,
        request["told"],
        lambda: facts_of(runtime, artifact),
        name=artifact.path.stem,
        labels=request["class_names"],
    )


def _class_check(request: Mapping[str, Any]) -> Callable[[ModelSpec], None]:
    """Return what refuses a contract whose classes are not the data's or not as many as the reference's."""
    import numpy as np

    from edgecnn.data import Dataset
    from edgecnn.verify import align_classes

    def check(spec: ModelSpec) -> None:
        count, names, wanted = request["class_count"], request["class_names"], request["reference_classes"]
        if count is not None:
            # Empty pictures: those of the data would be taken for the model's memory.
            empty = np.zeros((count, 1, 1), np.uint8)
            align_classes(Dataset(request["data"], empty, np.arange(count), tuple(names) if names else None), spec)
        if wanted not in (None, spec.classes):
            raise InputError(f"it has {spec.classes} classes, the reference has {wanted}", "compare files of one model")

    return check


def _one_picture(spec: ModelSpec, path: str | None) -> Any:
    """Return the picture at ``path``, or a grey one of the model's size: uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    if path is None:
        return np.full((spec.input.height, spec.input.width, 3), _GREY, np.uint8)
    return np.load(path, allow_pickle=False)


def _other_stages(pipeline: Any, picture: Any, tensor: Any, request: Mapping[str, Any]) -> dict[str, Samples]:
    """Return samples of what surrounds ``invoke``, each stage by itself, and of all of it in one."""
    from edgecnn.vision.classify import classify, dequantized, probabilities_of

    raw, head, output = pipeline.runtime.invoke([tensor])[0].copy(), pipeline.spec.head, pipeline.output
    preprocessor = pipeline.preprocessor
    fitted, scores = preprocessor.fitted(picture), dequantized(raw, output)
    stages: dict[str, Callable[[], object]] = {
        "preprocess": lambda: preprocessor.fitted(picture),
        "quantize": lambda: preprocessor.written(fitted),
        "dequantize": lambda: dequantized(raw, output),
        "postprocess": lambda: classify(probabilities_of(scores, head)[0]),
        "end_to_end": lambda: pipeline.predict(picture),
    }
    runs, seconds = min(_STAGE_RUNS, request["runs"]), min(_STAGE_SECONDS, request["max_seconds"])
    return {
        name: measure(call, warmup=10, runs=runs, max_seconds=seconds, warmup_seconds=0)
        for name, call in stages.items()
    }


def _evaluate(pipeline: Any, request: Mapping[str, Any]) -> dict[str, float | None]:
    """Return those of accuracy, agreement and drift that there is something to tell by."""
    import numpy as np

    from edgecnn.data import load_data
    from edgecnn.files import atomic_path
    from edgecnn.metrics import fidelity, top1_accuracy
    from edgecnn.verify import align_classes

    found: dict[str, float | None] = {}
    dataset = align_classes(load_data(request["data"], "test", limit=request["limit"]), pipeline.spec)
    probabilities = pipeline.probabilities(dataset.pictures)
    if dataset.classes is not None:
        found["accuracy"] = top1_accuracy(probabilities, dataset.classes)
    if request["probabilities_path"]:
        with atomic_path(Path(request["probabilities_path"])) as temporary:
            np.save(temporary, probabilities, allow_pickle=False)
    if request["reference_path"]:
        drift = fidelity(probabilities, np.load(request["reference_path"], allow_pickle=False))
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
