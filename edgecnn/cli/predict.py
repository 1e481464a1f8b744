"""``edgecnn predict FILE IMAGE...``: what one model file says about pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgecnn.cli.console import Console
from edgecnn.cli.contract import add_contract_options, told_contract
from edgecnn.errors import InputError

EPILOG = """examples:
  edgecnn predict lenet5_int8.tflite seven.png
  edgecnn predict theirs.tflite photos/ --scale 1 --color rgb --head probabilities --labels labels.txt"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``predict``."""
    parser.add_argument("file", metavar="FILE", help="a model file")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="pictures, or folders of pictures")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="classes to show (default: 3)")
    parser.add_argument("--runtime", metavar="NAME", help="litert, onnxruntime, opencv_dnn, keras (default: by format)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the engine (default: 1)")
    parser.add_argument(
        "--trust", action="store_true", help="open a Keras file that carries code of its own (Lambda layers)"
    )
    add_contract_options(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Classify every picture; one that cannot be read costs its own row and makes the exit code 2."""
    from edgecnn.artifact import open_artifact
    from edgecnn.data.pictures import read_picture
    from edgecnn.pipeline import Pipeline
    from edgecnn.runtimes import facts_of, open_runtime
    from edgecnn.runtimes.probe import require_survivable
    from edgecnn.specfile import settle_spec
    from edgecnn.vision.preprocess import range_mismatch

    if arguments.top < 1:
        raise InputError(f"--top must be 1 or more, not {arguments.top}", "leave it out for 3")
    paths = _pictures(arguments.images)
    artifact = open_artifact(arguments.file)
    told = told_contract(arguments)
    if artifact.spec is None and not told:
        artifact.require_spec()
    require_survivable(artifact, arguments.runtime)
    runtime = open_runtime(artifact, arguments.runtime, threads=arguments.threads, trust=arguments.trust)
    spec = settle_spec(artifact.spec, told, lambda: facts_of(runtime, artifact), name=artifact.path.stem)
    pipeline = Pipeline(runtime, spec)
    mismatch = range_mismatch(spec.input, runtime.inputs[0])
    if mismatch:
        console.warn(mismatch)

    rows: list[dict[str, Any]] = []
    for path in console.progress(paths, "predict"):
        try:
            timed = pipeline.predict(read_picture(path), count=arguments.top)
        except InputError as error:
            rows.append({"image": str(path), "error": error.message})
            console.warn(str(error))
            continue
        found = zip(timed.predictions.class_id.tolist(), timed.predictions.probability.tolist(), strict=True)
        labels = [{"label": spec.labels[i], "class_id": i, "probability": round(p, 6)} for i, p in found]
        ms = {stage: nanoseconds / 1e6 for stage, nanoseconds in timed.stages_ns.items()}
        rows.append({"image": str(path), "labels": labels, "ms": ms})
        told_labels = ", ".join(f"{row['label']} {row['probability']:.1%}" for row in labels)
        console.say(f"{path}: {told_labels}  ({sum(ms.values()):.2f} ms)")
    console.document({"predictions": rows})
    return 2 if any("error" in row for row in rows) else 0


def _pictures(words: list[str]) -> list[Path]:
    """Return the picture files that the words name; folders stand for the pictures in them."""
    from edgecnn.data.pictures import picture_files

    paths: list[Path] = []
    for word in words:
        path = Path(word)
        if not path.is_dir():
            paths.append(path)
            continue
        inside = picture_files(path)
        if not inside:
            raise InputError(f"folder {word!r} holds no pictures", "name a picture, or a folder with pictures in it")
        paths += inside
    return paths
