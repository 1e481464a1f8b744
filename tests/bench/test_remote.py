"""``bench --host`` against a real OpenSSH server on the loopback: what comes back, and that nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgecnn.bench import Protocol, Report
from edgecnn.bench.runner import benchmark
from tests.bench.openssh import ALIAS, SSHD, Server, make_key, make_python, start_server
from tests.conftest import GOLDEN, Finished, skip
from tests.golden.make import save_data

QUICK = ("--rounds", 1, "--runs", 30, "--max-seconds", 0.3)
Bench = Callable[..., Finished]


@pytest.fixture(scope="module")
def board_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has what the README says that a board needs, and neither Keras nor edgecnn."""
    return make_python(tmp_path_factory.mktemp("environments") / "a board")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    if SSHD is None:
        skip("there is no sshd on this machine: apt-get install openssh-server")
    servers: list[Server] = []

    def start(*lines: str, **more: Any) -> Server:
        servers.append(start_server(tmp_path / f"server {len(servers)}", *lines, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def bench(edgecnn: Callable[..., Finished], server: Server, board_python: Path) -> Bench:
    """Run ``edgecnn bench ... --host board`` with the board's Python."""
    return lambda *words: edgecnn("bench", *words, "--host", ALIAS, "--host-python", board_python, env=server.env)


def test_a_board_says_what_this_machine_says(bench: Bench, server: Server, tmp_path: Path) -> None:
    models = [tmp_path / "one place" / "tiny.tflite", tmp_path / "another" / "tiny.tflite", tmp_path / "tiny.onnx"]
    for model, name in zip(models, ("tiny_float32.tflite", "tiny_int8.tflite", "tiny_dynamic_int8.onnx"), strict=True):
        model.parent.mkdir(exist_ok=True)
        shutil.copy(GOLDEN / name, model)
    reference, data = GOLDEN / "tiny_float32.onnx", save_data(tmp_path / "stripes.npz", 60)
    words = (*models, "--reference", reference, "--data", data, "--limit", 50, *QUICK, "--out", "out", "--json")
    done = bench(*words)
    assert done.code == 0, done.err
    here = benchmark(
        models,
        protocol=Protocol(rounds=1, runs=30, max_seconds=0.3, limit=50),
        reference=reference,
        data=str(data),
    )
    document = done.document
    there = Report.from_dict(json.loads((tmp_path / "out" / "results.json").read_text()))
    assert document["command"][:2] == ["edgecnn", "bench"]
    assert "--host" in document["command"]
    assert (document["data"], document["pictures"]) == (str(data), 50)
    assert there.protocol == here.protocol
    assert [row.path for row in there.rows] == [row.path for row in here.rows] == [str(reference), *map(str, models)]
    for one, other in zip(there.rows, here.rows, strict=True):
        assert one.ok, one.reason
        assert (one.accuracy, one.agreement, one.max_drift) == (other.accuracy, other.agreement, other.max_drift)
        assert (one.runtime, one.recipe, one.size_bytes) == (other.runtime, other.recipe, other.size_bytes)
        assert one.invoke is not None
        assert one.invoke.count == 30
    assert {row.accuracy for row in there.rows} != {None}
    assert "tiny.tflite" in (tmp_path / "out" / "results.md").read_text()
    assert server.commands == 1
    assert server.is_clean()


def test_a_failed_row_is_told_by_the_name_that_it_has_here(bench: Bench, server: Server, tmp_path: Path) -> None:
    (tmp_path / "words.tflite").write_text("no model at all")
    done = bench(GOLDEN / "tiny_int8.tflite", "words.tflite", *QUICK)
    assert done.code == 4
    assert "p50 ±95% CI" in done.out
    assert "FAILED words.tflite: 'words.tflite' is no model file" in done.out
    assert "sent-" not in done.out + done.err
    assert server.is_clean()


def test_what_the_command_says_there_is_passed_on(bench: Bench, server: Server) -> None:
    done = bench(GOLDEN / "tiny_int8.tflite", "--runtime", "litrt", *QUICK, "--json")
    assert done.code == 2
    error = done.document["error"]
    assert error["message"] == f"on {ALIAS}: unknown runtime 'litrt' (did you mean 'litert'?)"
    assert "onnxruntime" in error["remedy"]
    assert error["exit_code"] == 2
    assert server.is_clean()


def test_pictures_of_any_size_are_seen_by_the_board_as_they_are_here(bench: Bench, tmp_path: Path) -> None:
    import cv2

    from tests.golden.make import LABELS, pictures

    folder = tmp_path / "photos"
    for index, (picture, label) in enumerate(zip(*pictures(12, seed=3), strict=True)):
        (folder / LABELS[label]).mkdir(parents=True, exist_ok=True)
        larger = np.repeat(np.repeat(picture, 1 + index % 2, axis=0), 1 + index % 2, axis=1)
        cv2.imwrite(str(folder / LABELS[label] / f"{index}.png"), larger[..., ::-1])
    model = GOLDEN / "tiny_int8.tflite"
    done = bench(model, "--data", folder, "--limit", 9, *QUICK, "--json")
    assert done.code == 0, done.err
    (row,) = done.document["results"]
    here = benchmark([model], protocol=Protocol(runs=30, max_seconds=0.3, limit=9), data=str(folder)).results[0]
    # Class folders come in the order of their names, which is not the model's: it is by names that they are matched.
    assert (row["accuracy"], done.document["pictures"]) == (here.accuracy, 9)
    assert here.accuracy is not None
    assert here.accuracy > 80


def test_a_greeting_of_the_login_shell_changes_nothing(
    edgecnn: Callable[..., Finished], serve: Callable[..., Server], board_python: Path, tmp_path: Path
) -> None:
    greeting = tmp_path / "greet"
    greeting.write_text('#!/bin/sh\necho Welcome to the board\necho Noise >&2\neval "$SSH_ORIGINAL_COMMAND"\n')
    greeting.chmod(0o755)
    server = serve(f'ForceCommand "{greeting}"')
    done = edgecnn(
        "bench", GOLDEN / "tiny_int8.tflite", *QUICK, "--host", ALIAS, "--host-python", board_python, env=server.env
    )
    assert done.code == 0, done.err
    assert "Welcome" not in done.out
    assert server.is_clean()


@pytest.mark.parametrize("known", ["none", "another"])
def test_an_unknown_or_changed_host_key_is_refused_and_nothing_is_run(
    bench: Bench, server: Server, tmp_path: Path, known: str
) -> None:
    hosts = server.folder / "known_hosts"
    before = "" if known == "none" else f"[127.0.0.1]:{server.port} {make_key(tmp_path / 'other')}"
    hosts.write_text(before)
    # What the user's configuration allows is not allowed here.
    server.config.write_text(
        "StrictHostKeyChecking no\nNoHostAuthenticationForLocalhost yes\n" + server.config.read_text()
    )
    done = bench(GOLDEN / "tiny_int8.tflite", *QUICK)
    assert done.code == 4
    assert ("is not known" if known == "none" else "is not the one that is known") in done.err
    assert ("ssh-keyscan" if known == "none" else "ssh-keygen -R") in done.err
    assert "Traceback" not in done.err
    assert "Accepted" not in server.log
    assert server.commands == 0
    assert hosts.read_text() == before


def test_the_same_server_is_used_when_its_key_is_known(bench: Bench, server: Server) -> None:
    """Control of the controls: it is the key alone that made the difference, whatever else the configuration says."""
    server.config.write_text(
        server.config.read_text() + "  ControlMaster auto\n"
        f'  ControlPath "{server.folder}/%C"\n  ControlPersist 60\n  RemoteCommand echo no\n  RequestTTY yes\n'
        "  LocalCommand touch no\n  PermitLocalCommand yes\n  ForwardAgent yes\n  LogLevel QUIET\n"
    )
    done = bench(GOLDEN / "tiny_int8.tflite", *QUICK)
    assert done.code == 0, done.err
    assert server.commands == 1


def test_another_key_lets_nobody_in(bench: Bench, server: Server) -> None:
    (server.folder / "authorized_keys").write_text(make_key(server.folder / "somebody else's"))
    done = bench(GOLDEN / "tiny_int8.tflite", *QUICK)
    assert done.code == 4
    assert f"{ALIAS} did not let us in" in done.err
    assert "ssh-copy-id" in done.err
    assert server.commands == 0


def test_no_password_is_asked_for(
    edgecnn: Callable[..., Finished], serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve("PubkeyAuthentication no", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes")
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\necho secret\n")
    ask.chmod(0o755)
    server.config.write_text("BatchMode no\nPasswordAuthentication yes\n" + server.config.read_text())
    env = {**server.env, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    done = edgecnn("bench", GOLDEN / "tiny_int8.tflite", *QUICK, "--host", ALIAS, env=env)
    assert done.code == 4
    assert "did not let us in" in done.err
    assert "Permission denied (password" in done.err
    assert "Failed password" not in server.log
    assert not (tmp_path / "asked").exists()
    assert server.commands == 0


def test_what_the_board_lacks_is_told_with_the_line_that_cures_it(
    edgecnn: Callable[..., Finished], server: Server, board_python: Path, tmp_path: Path
) -> None:
    def bench(python: object, *words: object) -> Finished:
        done = edgecnn("bench", *words, *QUICK, "--host", ALIAS, "--host-python", python, env=server.env)
        assert done.code == 3, done.err
        assert "Traceback" not in done.err
        return done

    model = GOLDEN / "tiny_int8.tflite"
    assert "there is no '/no/python 3' to run" in bench("/no/python 3", model).err

    bare = make_python(tmp_path / "bare", ("numpy", "psutil"))
    said = bench(bare, model).err
    assert "cannot import yaml (ModuleNotFoundError: No module named 'yaml'), cv2" in said
    assert f"{bare} -m pip install PyYAML opencv-python-headless" in said

    half = make_python(tmp_path / "half", ("numpy", "psutil", "PyYAML", "opencv-python-headless", "onnxruntime"))
    said = bench(half, model).err
    assert "has no engine for these files: litert" in said
    assert "-m pip install ai-edge-litert" in said

    said = bench(board_python, model, "--reference", GOLDEN / "tiny.keras").err
    assert "has no Keras" in said
    assert "make reference.json here with `edgecnn reference` and give that" in said
    assert server.is_clean()


def test_a_full_disk_is_told_before_anything_is_sent(
    edgecnn: Callable[..., Finished], serve: Callable[..., Server], board_python: Path, small_disk: Path
) -> None:
    server = serve(tmpdir=small_disk)
    done = edgecnn(
        "bench", GOLDEN / "tiny_int8.tflite", *QUICK, "--host", ALIAS, "--host-python", board_python, env=server.env
    )
    assert done.code == 4
    assert "too little space" in done.err
    assert str(small_disk) in done.err
    assert list(small_disk.iterdir()) == []


@pytest.fixture
def running(server: Server, board_python: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a benchmark of many files on the board, and return it when it measures the third."""
    started: list[subprocess.Popen[str]] = []
    models = [shutil.copy(GOLDEN / "tiny_int8.tflite", tmp_path / f"tiny_{index}.tflite") for index in range(40)]

    def start() -> subprocess.Popen[str]:
        words = [
            "bench",
            *models,
            *map(str, QUICK),
            "--host",
            ALIAS,
            "--host-python",
            str(board_python),
            "--out",
            "out",
        ]
        run = subprocess.Popen(
            [sys.executable, "-m", "edgecnn", *words],
            cwd=tmp_path,
            env={**os.environ, **server.env, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(run)
        for _ in range(600):
            if any(server.temporary.glob("edgecnn-bench-*/tmp/edgecnn-bench-*/worker3")):
                return run
            assert run.poll() is None, run.communicate()
            time.sleep(0.1)
        raise AssertionError("it does not get to the third file")

    yield start
    for run in started:
        run.kill()
        run.communicate()


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_ends_everything_there(
    running: Callable[..., subprocess.Popen[str]], server: Server, tmp_path: Path, blow: signal.Signals
) -> None:
    run = running()
    assert len(server.left()) == 1
    assert server.processes()
    run.send_signal(blow)
    _, said = run.communicate(timeout=60)
    assert run.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(blow, -blow)
    assert "Traceback" not in said
    assert "could not remove" not in said
    if blow == signal.SIGKILL:  # nobody is left here to wait for it
        assert server.is_clean()
    else:
        assert server.left() == []  # at once
        rows = Report.from_dict(json.loads((tmp_path / "out" / "results.json").read_text())).results
        assert len(rows) == 40
        assert [row.ok for row in rows[:2]] == [True, True]
        assert rows[-1].reason == "the run was interrupted before its end"
    assert server.is_clean()


def test_a_lost_connection_is_told_and_leaves_nothing(
    running: Callable[..., subprocess.Popen[str]], server: Server
) -> None:
    run = running()
    for session in server.sessions():
        session.kill()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 4
    assert f"the connection to {ALIAS} was lost" in said
    assert "could not remove" not in said
    assert server.is_clean()


def test_a_program_killed_there_is_cleaned_up_by_a_second_connection(
    running: Callable[..., subprocess.Popen[str]], server: Server
) -> None:
    run = running()
    # The program alone: the benchmark that it started has to end with it.
    others = server.processes()
    for program in [each for each in others if "exec(sys.stdin" in " ".join(each.cmdline())]:
        program.kill()
    _, alive = psutil.wait_procs(others, timeout=10)
    assert alive == []
    _, said = run.communicate(timeout=60)
    assert run.returncode == 4
    assert "was lost" in said
    assert "could not remove" not in said
    assert server.commands == 2
    assert server.is_clean()


def test_a_folder_that_cannot_be_removed_is_named(
    running: Callable[..., subprocess.Popen[str]], server: Server
) -> None:
    """Negative control: without anybody to clean up, something does stay."""
    run = running()
    server.stop()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 4
    (folder,) = server.left()
    assert f"could not remove {server.temporary / folder} on {ALIAS}" in said
    assert "Connection refused" in said


LIAR = """#!{python}
import json, sys
def say(document, payload=b""):
    sys.stdout.buffer.write((sys.argv[-1] + " " + json.dumps(document) + "\\n").encode() + payload)
    sys.stdout.buffer.flush()
length = int(sys.argv[-2].split("(")[-1].strip(")"))
sys.stdin.buffer.read(length)
sys.stdin.buffer.readline()
say({{"hello": [3, 11, 0], "pid": 1, "failures": {{}}, "engines": ["ai_edge_litert"]}})
order = json.loads(sys.stdin.buffer.readline())
say({{"folder": "/nowhere"}})
say({{"send": True}})
sys.stdin.buffer.read(sum(size for _, size in order["files"]))
document = json.load(open({results!r}))
document["results"][0]["path"] = order["words"][1]
{lie}
payload = document if isinstance(document, bytes) else json.dumps(document).encode()
say({{"ended": 0, "said": "", "bytes": len(payload)}}, payload)
say({{"removed": True}})
"""
LIES = {
    "": None,
    "document = b'no JSON'": "Expecting value",
    "document = [document]": "TypeError: list indices",
    "document['schema_version'] = 99": "schema version 99",
    "document['results'][0]['path'] = '/etc/passwd'": "'/etc/passwd', which was not sent",
    "document['results'][0]['path'] = ['a']": "which was not sent",
    "del document['host']": "host",
    "document['host']['usable_cores'] = 0": "impossible host",
    "document['results'][0]['rounds'][0]['samples_ns']['invoke'] = ['a', 'b']": "",
    "document['results'][0]['rounds'][0]['memory'] = 'much'": "the result is damaged",
    "document['results'][0]['accuracy'] = {'a': 1}": "accuracy cannot be {'a': 1}",
    "document['results'][0]['rounds'][0]['load_ms'] = float('nan')": "",
    "say({'ended': 'well'})": "does not tell how the benchmark ended",
    "say({'ended': 0, 'bytes': 1 << 40})": "makes no sense",
    "say([1])": "makes no sense",
    "sys.exit(1)": "was lost",
    "payload = json.dumps(document).encode(); say({'ended': 0, 'bytes': len(payload)}, payload); sys.exit(1)": None,
}


@pytest.mark.parametrize("lie", LIES)
def test_what_comes_back_is_checked(edgecnn: Callable[..., Finished], server: Server, tmp_path: Path, lie: str) -> None:
    """The first is no lie, and in the last the report is whole, though the program ends before it tidies up."""
    model, results = GOLDEN / "tiny_int8.tflite", tmp_path / "results.json"
    report = benchmark([model], protocol=Protocol(runs=30, max_seconds=0.3))
    results.write_text(json.dumps(report.to_dict(raw=True)))
    liar = tmp_path / "liar"
    liar.write_text(LIAR.format(python=sys.executable, results=str(results), lie=lie))
    liar.chmod(0o755)
    done = edgecnn("bench", model, "--host", ALIAS, "--host-python", liar, "--out", "out", env=server.env)
    said = LIES[lie]
    assert "Traceback" not in done.err
    if said is None:
        assert done.code == 0, done.err
        assert (f"could not remove /nowhere on {ALIAS}" in done.err) == bool(lie)
        return
    assert done.code == 4, done.err
    assert done.err.count("error: ") == 1
    assert said in done.err
    assert "bug in edgecnn" not in done.err
    assert not (tmp_path / "out" / "results.json").exists()
