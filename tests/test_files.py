"""The one atomic writer."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.errors import OutputError
from edgecnn.files import atomic_path, move, sha256_of, write_bytes, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a b" / "file.txt"
    write_bytes(target, b"old")

    def half_write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_write()
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_suffix_is_kept_and_mode_follows_umask(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "m.keras") as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_bytes(b"x")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "m.keras").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_in_the_way_of_a_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(OutputError):
        move(tmp_path / "missing", tmp_path / "there")


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands for the full disk: the kernel refuses the write in the same place."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from edgecnn.files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_bytes(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "big"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OutputError"
    assert list(tmp_path.iterdir()) == []


def test_what_the_body_cannot_read_is_not_blamed_on_the_destination(tmp_path: Path) -> None:
    def copy_missing() -> None:
        with atomic_path(tmp_path / "there") as temporary:
            temporary.write_bytes((tmp_path / "missing").read_bytes())

    with pytest.raises(FileNotFoundError, match="missing"):
        copy_missing()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_met_by_the_body_is_an_output_error(tmp_path: Path, code: int) -> None:
    def fill() -> None:
        with atomic_path(tmp_path / "there"):
            raise OSError(code, os.strerror(code))

    with pytest.raises(OutputError, match=r"cannot write .*there"):
        fill()


def test_names_too_long_are_an_output_error_and_long_ones_are_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("x" * 250), b"content")
    assert (tmp_path / ("x" * 250)).read_bytes() == b"content"
    for name in ("x" * 256, "x." + "y" * 250):
        with pytest.raises(OutputError, match="name too long"):
            write_bytes(tmp_path / name, b"content")
    assert len(list(tmp_path.iterdir())) == 1


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_numbers_of_a_list_share_a_line_and_everything_is_read_back(tmp_path: Path) -> None:
    document = {
        "numbers": [1, -2.5, 3e-7],
        "words": ["a [\n 1,\n 2\n ] b", "[1, 2]"],
        "nested": [[1, 2], [3]],
        "mixed": [1, "two"],
        "none": [],
    }
    write_json(tmp_path / "x.json", document)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == document
    assert '"numbers": [1, -2.5, 3e-07]' in text
    assert "    [1, 2],\n    [3]\n" in text
