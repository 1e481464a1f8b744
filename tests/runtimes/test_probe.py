"""A file that would end the process is found out by a child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.artifact import open_artifact
from edgecnn.errors import EngineError
from edgecnn.runtimes import ENGINES, Engine
from edgecnn.runtimes.probe import require_survivable
from tests.conftest import GOLDEN


@pytest.fixture(autouse=True)
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does what the name of its file says."""
    monkeypatch.setitem(ENGINES, "litert", Engine("tests.bench.misbehaving", ("tflite",)))


def named(folder: Path, behaviour: str) -> Path:
    path = folder / f"{behaviour}.tflite"
    path.write_bytes((GOLDEN / "tiny_int8.tflite").read_bytes())
    return path


@pytest.mark.parametrize(("behaviour", "told"), [("crash", "SIGSEGV"), ("killed", "SIGKILL")])
def test_a_crash_is_an_error(tmp_path: Path, behaviour: str, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        require_survivable(open_artifact(named(tmp_path, behaviour)))


@pytest.mark.parametrize("behaviour", ["good", "raises", "refuses"])
def test_what_is_no_crash_is_left_to_the_opening(
    tmp_path: Path, behaviour: str, capfd: pytest.CaptureFixture[str]
) -> None:
    require_survivable(open_artifact(named(tmp_path, behaviour)))
    assert capfd.readouterr() == ("", "")


def test_keras_files_are_not_forked() -> None:
    require_survivable(open_artifact(GOLDEN / "tiny.keras"))


def test_predict_tells_it_in_one_document(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom edgecnn import runtimes\n"
        "runtimes.ENGINES['litert'] = runtimes.Engine('tests.bench.misbehaving', ('tflite',))\n"
        "from edgecnn.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["predict", str(named(tmp_path, "crash")), "any.png", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=GOLDEN.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert done.stdout.count('"error"') == 1
    assert "SIGSEGV" in done.stdout
