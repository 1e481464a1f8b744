"""``edgecnn demo``: the whole tour, and the words that the README promises of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecnn.recipe import RECIPES, UNSUPPORTED
from tests.conftest import Finished


def test_the_whole_tour(edgecnn: Callable[..., Finished], tmp_path: Path) -> None:
    done = edgecnn("demo", "--epochs", 4, "--json", timeout=600)
    assert done.code == 0, done.err
    document = done.document
    assert [command.split()[1] for command in document["commands"]] == ["train", "export", "bench", "predict"]
    assert all(row["status"] == "ok" for row in document["bench"]["results"])
    assert len(document["bench"]["results"]) == 2 * len(RECIPES) - len(UNSUPPORTED)
    assert document["bench"]["command"][:2] == ["edgecnn", "bench"]
    report = (tmp_path / document["report"]).read_text()
    assert all(command in report for command in document["commands"])
    assert all((tmp_path / "demo" / name).stat().st_size > 10_000 for name in ("bench/tradeoff.png", "curves.png"))
    smallest = tmp_path / document["smallest"]
    assert smallest.stat().st_size == min(path.stat().st_size for path in smallest.parent.glob("lenet5_*"))
    # Each command by itself gives what it gave inside the tour.
    again = edgecnn(*document["commands"][-1].split()[1:], "--json")
    right = [Path(row["image"]).stem[-1] == row["labels"][0]["label"] for row in again.document["predictions"]]
    assert len(right) == 5
    assert sum(right) >= 4
