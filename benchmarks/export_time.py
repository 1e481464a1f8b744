"""What does an export of every recipe cost, beside the float conversions that nobody can spare?

Question: does ``edgecnn export`` of all recipes in both formats take at most 1.5 times the two plain
float conversions plus the calibration passes, for MobileNetV2 at 224x224 (random weights)?

Method: three processes, one after the other, on the same Keras file. The first opens it and converts it by
TFLiteConverter and by tf2onnx, as a script would. The second runs the calibration pictures through
the two float files with their engines, one thread. The third is ``edgecnn export --recipe all``, its verification on
``--limit`` pictures included. Rounds are repeated and medians compared.

    python benchmarks/export_time.py [--rounds 3] [--out FILE]
    python benchmarks/export_time.py --smoke
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.files import write_json

CALIBRATION_SAMPLES, VERIFIED = 100, 10
ALLOWED = 1.5

MODEL = """
import keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(weights=None, input_shape=({side}, {side}, 3), alpha={alpha}).save("model.keras")
"""
CONVERT = """
import keras, tensorflow, tf2onnx
model = keras.saving.load_model("model.keras", compile=False)
open("plain.tflite", "wb").write(tensorflow.lite.TFLiteConverter.from_keras_model(model).convert())
signature = [tensorflow.TensorSpec((1, *model.input_shape[1:]), tensorflow.float32, name="input")]
function = tensorflow.function(lambda x: model(x, training=False), input_signature=signature)
tf2onnx.convert.from_function(function, input_signature=signature, opset=17, output_path="plain.onnx")
"""
CALIBRATE = """
import numpy, onnxruntime
from ai_edge_litert.interpreter import Interpreter
pictures = numpy.load("pictures.npz")["x_train"].astype("float32") / 127.5 - 1
interpreter = Interpreter("plain.tflite", num_threads=1)
interpreter.allocate_tensors()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("plain.onnx", options)
for picture in pictures[:{samples}]:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    session.run(None, {{session.get_inputs()[0].name: picture[None]}})
"""


def seconds(command: list[str], folder: Path) -> float:
    """Return how long a process takes, from its start to its end."""
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode not in (0, 1):  # random weights may fail verification: the files were made
        sys.exit(f"{command[:4]}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def one_round(folder: Path, samples: int) -> dict[str, float]:
    """Return the seconds of each of the three processes."""
    python = [sys.executable, "-c"]
    export = [
        *(sys.executable, "-m", "edgecnn", "export", "model.keras", "--data", "pictures.npz"),
        *("--scale", "1/127.5", "--mean", "1", "--color", "rgb", "--head", "probabilities", "--floor", "0"),
        *("--calibration-samples", str(samples), "--max-drop", "100", "--trials", "0", "--out", "exported"),
    ]
    return {
        "float conversions": seconds([*python, CONVERT], folder),
        "calibration passes": seconds([*python, CALIBRATE.format(samples=samples)], folder),
        "export of every recipe": seconds(export, folder),
    }


def main() -> int:
    """Measure, print, write; return 1 if the export is slower than allowed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="one round of a tiny model; not judged")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    side, alpha, samples = (32, 0.35, 5) if arguments.smoke else (224, 1.0, CALIBRATION_SAMPLES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (samples + VERIFIED, 8, 8, 3)).astype(np.uint8)
        pictures = coarse.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
        np.savez(folder / "pictures.npz", x_train=pictures[VERIFIED:], x_test=pictures[:VERIFIED])
        seconds([sys.executable, "-c", MODEL.format(side=side, alpha=alpha)], folder)
        rounds = [one_round(folder, samples) for _ in range(1 if arguments.smoke else arguments.rounds)]
        made = sorted(path.name for path in folder.glob("exported/**/*") if path.suffix in (".tflite", ".onnx"))
    medians = {what: statistics.median(measured[what] for measured in rounds) for what in rounds[0]}
    floor = medians["float conversions"] + medians["calibration passes"]
    ratio = medians["export of every recipe"] / floor
    for what, taken in medians.items():
        print(f"{what}: {taken:.1f} s")
    print(f"{len(made)} files; export over conversions and calibration: {ratio:.2f}, {ALLOWED} allowed")
    if arguments.out:
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        document: dict[str, Any] = {
            "created": created,
            "rounds": rounds,
            "medians": medians,
            "ratio": ratio,
            "files": made,
        }
        write_json(arguments.out, document)
    return 0 if arguments.smoke or ratio <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
