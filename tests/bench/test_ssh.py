"""Names that are no hosts are refused before anything runs, and the program sent to the board stands alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from edgecnn.bench import board as program
from edgecnn.bench.ssh import Board, HostError, MissingOnBoard, refusal, require_python
from edgecnn.errors import InputError
from edgecnn.reporter import progress_line, told_progress


@pytest.mark.parametrize(
    "host",
    [
        "", " ", "-oProxyCommand=sh", "-F/tmp/x", "pi@-oProxyCommand", "ssh://-x", "ssh://pi@-x", "pi@board rm", "a\tb",
        "a\nb", "a\0b", "a\x1b[0m", "$(touch x)", "`x`", "a;b", "a|b", "a&b", "a>b", "'a'", '"a"', "a\\b", "a\u2028b",
    ],
)  # fmt: skip
def test_such_names_are_no_hosts(host: str) -> None:
    with pytest.raises(InputError):
        Board(host)


@pytest.mark.parametrize(
    "host", ["board", "pi@raspberrypi.local", "10.0.0.7", "pi@fe80::1%eth0", "ssh://pi@[::1]:2222", "my_pi-4", "bücher"]
)
def test_such_names_are(host: str) -> None:
    words = Board(host).ssh_words("command")
    assert words[-3:] == ["--", host, "command"]


@pytest.mark.parametrize(
    ("python", "word"),
    [
        ("python3", "python3"),
        ("venv/bin/python", "venv/bin/python"),
        ("~/my venv/bin/python", "~/'my venv/bin/python'"),
        ("/a b/python; rm -rf x", "'/a b/python; rm -rf x'"),
        ("$(x)", "'$(x)'"),
    ],
)
def test_the_interpreter_is_one_word_of_a_shell(python: str, word: str) -> None:
    assert Board("board", python).python_word == word


@pytest.mark.parametrize("python", ["", " ", "-c", "a\nb"])
def test_such_names_are_no_interpreters(python: str) -> None:
    with pytest.raises(InputError):
        Board("board", python)


def test_keys_alone_are_tried_and_host_keys_are_checked() -> None:
    words = Board("board").ssh_words("command")
    for option in (
        "BatchMode=yes",
        "PreferredAuthentications=publickey",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "StrictHostKeyChecking=yes",
        "ControlPath=none",
    ):
        assert words[words.index(option) - 1] == "-o"


def test_a_configuration_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "-F" not in Board("board").ssh_words("command")
    monkeypatch.setenv("EDGECNN_SSH_CONFIG", "my config")
    assert Board("board").ssh_words("command")[:3] == ["ssh", "-F", "my config"]


@pytest.mark.parametrize(
    ("code", "said", "greeted", "kind", "words"),
    [
        (255, "ssh: Could not resolve hostname x: Name or service not known", False, HostError, "no host called"),
        (255, "ssh: connect to host x port 22: No route to host", False, HostError, "cannot connect"),
        (255, "Permission denied (publickey).", False, HostError, "did not let us in"),
        (126, "sh: 1: python3: Permission denied", False, MissingOnBoard, "there is no 'python3'"),
        (127, "fish: Unknown command: python3", False, MissingOnBoard, "there is no 'python3'"),
        (1, "This account is currently not available.", False, HostError, "does not run"),
        (0, "", False, HostError, "it said nothing"),
        (255, "Timeout, server x not responding.", True, HostError, "was lost: Timeout"),
    ],
)
def test_every_end_has_its_words(code: int, said: str, greeted: bool, kind: type, words: str) -> None:
    error = refusal(Board("board"), code, [said], greeted=greeted)
    assert type(error) is kind
    assert words in error.message
    assert error.remedy


def test_an_old_python_is_refused() -> None:
    require_python(Board("board"), [3, 10, 0])
    with pytest.raises(MissingOnBoard, match=r"is Python 3\.9\.2; 3\.10 or later"):
        require_python(Board("board"), [3, 9, 2])
    for odd in (None, "3.11", [3, "x"], {}):
        with pytest.raises(HostError):
            require_python(Board("board"), odd)


def test_the_program_sent_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(program.__file__).read_text())
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_modules_that_cannot_be_imported_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dies.py").write_text("import os; os._exit(3)")
    (tmp_path / "broken.py").write_text("raise OSError('libGL.so.1: no such file')")
    (tmp_path / "noisy.py").write_text("print('[hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert program.import_failures(["json", "absent", "broken", "dies", "json"]) == {
        "absent": "ModuleNotFoundError: No module named 'absent'",
        "broken": "OSError: libGL.so.1: no such file",
        "dies": "importing it ended Python with exit code 3",
    }
    assert program.import_failures(["noisy"]) == {}


def test_progress_is_told_in_lines() -> None:
    assert told_progress(progress_line("bench", 3, 40)) == ("bench", 3, 40)
    for line in (
        "",
        "progress: bench",
        "progress: a\x1bb 1/2",
        "progress: bench 1/2 ",
        "bench 1/2",
        "progress: b -1/2",
    ):
        assert told_progress(line) is None
