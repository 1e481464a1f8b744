"""Who may import whom, read from the code; and what a fresh process really loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "tensorflow",
    "keras",
    "torch",
    "jax",
    "tf2onnx",
    "onnx",
    "ai_edge_quantizer",
    "sklearn",
    "matplotlib",
    "scipy",
    "pandas",
    "h5py",
}
ENGINES = {"ai_edge_litert", "tflite_runtime", "onnxruntime"}
LIGHT = {"numpy", "cv2", "yaml", "psutil", "tqdm"}
CURRENCY = {"spec", "recipe", "predictions", "errors", "tensors"}

#: Room -> third-party packages that it may import when it is imported itself.
TOP_LEVEL_PACKAGES = {
    **{room: {"numpy"} for room in CURRENCY},
    "files": set(), "reporter": set(), "quiet": set(), "specfile": set(), "targets": set(),
    "formats": set(), "artifact": set(),
    "vision": {"numpy", "cv2"}, "metrics": {"numpy"}, "data": {"numpy", "cv2"},
    "runtimes": {"numpy", "cv2"},
    "conventions": {"numpy"}, "feeding": {"numpy"},
    "pipeline": {"numpy"}, "verify": {"numpy"}, "export": {"numpy"},
    "bench": {"numpy", "psutil"}, "debug": {"numpy"},
    "models": set(), "training": {"numpy", "keras"}, "fakequant": {"numpy", "keras"},
    "cli": set(), "__init__": set(), "__main__": set(),
}  # fmt: skip

#: Room -> rooms of edgecnn that it may import, late imports included.
ALLOWED_ROOMS = {
    "errors": set(),
    "files": {"errors"},
    "reporter": set(),
    "quiet": set(),
    "tensors": {"errors"},
    "spec": {"errors"},
    "recipe": {"errors"},
    "predictions": {"errors"},
    "specfile": {"errors", "spec"},
    "formats": CURRENCY | {"files"},
    "artifact": CURRENCY | {"files", "formats"},
    "data": CURRENCY | {"quiet"},
    "metrics": CURRENCY,
    "vision": CURRENCY | {"data"},
    "runtimes": CURRENCY | {"artifact", "formats", "models", "quiet"},
    "pipeline": CURRENCY | {"data", "reporter", "runtimes", "vision"},
    "models": CURRENCY | {"artifact", "formats", "quiet"},
    "verify": CURRENCY | {"artifact", "data", "metrics", "pipeline", "reporter", "runtimes"},
    "export": CURRENCY | {"artifact", "bench", "data", "files", "formats", "pipeline", "reporter", "runtimes"}
    | {"__version__", "fakequant", "models", "targets", "verify", "vision"},
    "targets": {"errors"},
    "conventions": {"spec"},
    "feeding": CURRENCY | {"conventions", "data", "metrics", "reporter", "runtimes", "verify", "vision"},
    "bench": CURRENCY | {"artifact", "data", "files", "metrics", "pipeline", "reporter", "runtimes"}
    | {"__version__", "specfile", "verify", "vision"},
    "debug": CURRENCY | {"artifact", "data", "fakequant", "files", "metrics", "reporter", "runtimes", "vision"},
    "training": CURRENCY | {"artifact", "data", "files", "formats", "metrics", "models", "quiet", "reporter"}
    | {"__version__", "fakequant", "vision"},
    "fakequant": CURRENCY | {"quiet", "reporter"},
}  # fmt: skip


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT / "edgecnn")
    return relative.parts[0].removesuffix(".py")


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        if node.module == "edgecnn":
            return [f"edgecnn.{alias.name}" for alias in node.names]
        return [node.module or ""]
    return []


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_at_start(path: Path) -> set[str]:
    """Modules that importing ``path`` imports: not those inside functions, not those for types alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        found.update(imported(node))
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not is_type_checking(node):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def all_imports(path: Path) -> set[str]:
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)}


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", modules("edgecnn"), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_what_they_may(path: Path) -> None:
    room = room_of(path)
    third_party = packages(imports_at_start(path)) - set(sys.stdlib_module_names) - {"edgecnn", "converters"}
    allowed = TOP_LEVEL_PACKAGES[room]
    if room == "models" and path.name not in ("__init__.py", "registry.py", "loading.py"):
        allowed = {"keras"}  # a family's module is itself imported late
    assert third_party <= allowed, f"{path} imports {third_party - allowed} at its start"
    if room in ALLOWED_ROOMS:
        rooms = {name.split(".")[1] for name in all_imports(path) if name.startswith("edgecnn.")} - {room}
        assert rooms <= ALLOWED_ROOMS[room], f"{path} knows {rooms - ALLOWED_ROOMS[room]}"


@pytest.mark.parametrize("path", modules("edgecnn"), ids=lambda path: str(path.relative_to(ROOT)))
def test_engines_are_known_to_one_module_each(path: Path) -> None:
    used = packages(all_imports(path)) & (ENGINES | {"tensorflow", "torch", "jax"})
    homes = {
        "litert.py": {"ai_edge_litert", "tensorflow"},
        "onnxruntime.py": {"onnxruntime"},
        "keras_reference.py": {"tensorflow", "torch", "jax"},
    }
    allowed = homes.get(path.name, set()) if room_of(path) == "runtimes" else set()
    assert used <= allowed, f"{path} imports {used - allowed}"


@pytest.mark.parametrize("path", modules("converters"), ids=lambda path: str(path.relative_to(ROOT)))
def test_converters_know_no_runtime_and_import_late(path: Path) -> None:
    assert packages(imports_at_start(path)) & (HEAVY | ENGINES) == set()
    rooms = {name.split(".")[1] for name in all_imports(path) if name.startswith("edgecnn.")}
    assert rooms <= CURRENCY | {"artifact", "data", "files", "models", "quiet"}


def test_nobody_imports_tests_or_benchmarks() -> None:
    for path in (*modules("edgecnn"), *modules("converters")):
        assert not packages(all_imports(path)) & {"tests", "benchmarks"}


def test_the_reader_sees_a_forbidden_import(tmp_path: Path) -> None:
    """Negative control: the functions above find what they look for, and only where it counts."""
    path = tmp_path / "x.py"
    path.write_text("import tensorflow.lite\ndef f():\n    import keras\nfrom edgecnn import bench\n")
    assert packages(imports_at_start(path)) == {"tensorflow", "edgecnn"}
    assert all_imports(path) == {"tensorflow.lite", "keras", "edgecnn.bench"}


def loaded_after(code: str, *words: str) -> set[str]:
    """Top-level packages in sys.modules of a fresh process after ``code``."""
    script = f"import sys\n{code}\nprint('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True, cwd=ROOT)
    return packages(set(done.stderr.split()))


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import edgecnn", HEAVY | ENGINES | LIGHT),
        ("from edgecnn.cli.main import main; main(['--help'])", HEAVY | ENGINES | LIGHT),
        ("import edgecnn.bench", HEAVY | ENGINES | {"cv2"}),
        (
            "from edgecnn.cli.main import main; main(['info', 'tests/golden/tiny_int8.tflite'])",
            HEAVY | ENGINES | {"cv2"},
        ),
        ("from edgecnn.cli.main import main; main(['info', 'tests/golden/tiny.keras'])", HEAVY | ENGINES | {"cv2"}),
    ],
)
def test_light_commands_stay_light(code: str, forbidden: set[str]) -> None:
    assert loaded_after(code) & forbidden == set()


@pytest.mark.parametrize(
    ("name", "engine"), [("tiny_int8.tflite", "ai_edge_litert"), ("tiny_int8.onnx", "onnxruntime")]
)
def test_predict_loads_one_engine_and_nothing_heavy(tmp_path: Path, name: str, engine: str) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((8, 8, 3), np.uint8))
    code = f"from edgecnn.cli.main import main; main(['predict', 'tests/golden/{name}', {str(tmp_path / 'p.png')!r}])"
    loaded = loaded_after(code)
    assert loaded & HEAVY == set()
    assert loaded & ENGINES == {engine}
