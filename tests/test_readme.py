"""The README's blocks are run, in the order in which a reader meets them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.cli.main import VERBS
from edgecnn.recipe import RECIPES
from edgecnn.spec import ModelSpec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def test_every_block_is_run_or_named_here() -> None:
    """Two blocks make an environment: the clean-clone check and .ci/run run those; the rest run below."""
    assert [language for language, _ in BLOCKS] == ["sh"] * 7 + ["yaml"] + ["sh"] * 6 + ["python"]
    assert all(text.startswith("python3 -m venv") for text in blocks("sh")[:2])


def test_the_test_command_is_the_one_of_ci() -> None:
    assert "grep -m 1 'python -m pytest' README.md" in (ROOT / ".ci" / "run").read_text()
    assert README.count("python -m pytest") == 1


def test_the_contract_is_a_contract() -> None:
    import yaml

    (text,) = blocks("yaml")
    assert ModelSpec.from_dict(yaml.safe_load(text)).name == "resnet8"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


def test_a_reader_can_do_all_of_it(place: Path) -> None:
    """Train with two epochs for time's sake; every other word is the README's."""
    (place / "pictures").mkdir()
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for text in blocks("sh")[2:]:
        for line in text.strip().splitlines():
            command = shlex.split(line)
            if command[1] == "predict":
                make_picture(place)
            if command[1] == "train":
                command += ["--epochs", "2"]
            done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['")


def make_picture(place: Path) -> None:
    import cv2

    from edgecnn.data import load_data

    cv2.imwrite(str(place / "pictures" / "1_a_0.png"), load_data("digits").pictures[0])


def test_pictures_and_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_verb_and_recipe_is_told() -> None:
    for verb in VERBS:
        assert f"edgecnn {verb}" in README or f"`{verb}`" in README, verb
    for name in RECIPES:
        assert f"`{name}`" in README, name
