"""Two runs of one file are no regression; planted losses are, each told with its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgecnn.bench.limits import parse_limit
from edgecnn.bench.regressions import Comparison, Tolerance, check, compare_runs
from edgecnn.errors import InputError
from tests.bench.made import BOARD, failed, report, row

FILES = ("m_float32.tflite", "m_int8.tflite", "m_int8.onnx")


def run(seed: int, *, slower: float = 1.0, noise: float = 0.01, **more: Any) -> Any:
    """One run of three files; ``slower`` is planted in all rounds of the second."""
    factors = (1.0, slower, 1.0)
    rows = [row(name, 2 * factor, seed=seed, noise=noise, **more) for name, factor in zip(FILES, factors, strict=True)]
    return report(*rows)


def test_two_runs_of_the_same_files_are_no_regression() -> None:
    for seed in range(0, 60, 2):
        found = compare_runs(run(seed), run(seed + 1))
        assert found.failures == [], seed
        assert [change.outcome for change in found.changes].count("slower") <= 1


def test_a_planted_slow_down_of_a_tenth_is_one() -> None:
    """Negative control of the test above: the same runs with one file slowed in all rounds."""
    for seed in range(0, 60, 2):
        (told,) = compare_runs(run(seed, noise=0.005), run(seed + 1, noise=0.005, slower=1.1)).failures
        assert told.startswith("m_int8.tflite: ")
        assert told.endswith("% slower (95 %), 5 allowed")
    change = compare_runs(run(0, noise=0.001), run(1, noise=0.001, slower=1.1)).changes[1]
    assert change.outcome == "slower"
    assert change.slower_percent == pytest.approx((10, 9.8, 10.2), abs=0.4)


def test_only_what_is_shown_to_be_beyond_the_tolerance_counts() -> None:
    old, new = run(0), run(1, slower=1.1)
    assert compare_runs(old, new, Tolerance(max_slower=15)).failures == []
    assert compare_runs(run(0, noise=0.2), run(1, noise=0.2, slower=1.1)).failures == []
    # Shown to be slower, by 7 % in the mean, but not shown to be so by more than 5.
    found = compare_runs(run(4, noise=0.02), run(5, noise=0.02, slower=1.1))
    assert (found.changes[1].outcome, found.failures) == ("slower", [])
    assert compare_runs(old, run(1, slower=0.5)).changes[1].outcome == "faster"
    # 1 % is no difference that a verdict is given on, whatever is tolerated.
    assert compare_runs(run(0, noise=0.0), run(1, noise=0.0, slower=1.01), Tolerance(max_slower=0)).failures == []


def test_too_few_rounds_are_told_and_are_no_verdict() -> None:
    found = compare_runs(run(0, rounds=2), run(1, rounds=2, slower=3))
    assert found.failures == []
    assert {change.outcome for change in found.changes} == {"not told"}
    assert any("fewer than 3 rounds" in text for text in found.notes)


def one(old: Any, new: Any, **more: Any) -> Comparison:
    return compare_runs(report(*old), report(*new), **more)


def test_accuracy_may_fall_by_the_tolerance_and_no_more() -> None:
    old = [row("a", accuracy=90.0)]
    assert one(old, [row("a", accuracy=89.0)]).failures == []
    assert one(old, [row("a", accuracy=88.69)]).failures == ["a: accuracy is 1.31 points lower, 1 allowed"]
    assert one(old, [row("a", accuracy=88.69)], tolerance=Tolerance(max_drop=2)).failures == []
    assert one(old, [row("a", accuracy=95.0)]).failures == []
    points = [row("a", accuracy=right / 10_000 * 100) for right in (8004, 7904)]
    assert one(points[:1], points[1:]).failures == []
    assert one(old, [row("a", accuracy=None)]).failures == ["a: its accuracy was measured before and is not now"]
    agreeing = [row("a", accuracy=None, agreement=value) for value in (99.0, 95.0)]
    assert one(agreeing[:1], agreeing[1:]).failures == ["a: agreement is 4 points lower, 1 allowed"]


def test_rows_that_fail_or_are_missing_are_regressions_and_new_ones_are_not() -> None:
    found = one(
        [row("a"), row("b"), failed("c"), failed("d")], [failed("a"), row("c"), failed("d"), row("e"), failed("f")]
    )
    assert found.failures == ["a: ok before, crashed now: it died of SIGSEGV", "b: missing from the new run"]
    assert {change.label: change.outcome for change in found.changes} == {
        "a": "crashed",
        "b": "missing",
        "c": "crashed before",
        "d": "crashed",
        "e": "new",
        "f": "crashed",
    }


def test_rows_belong_together_by_file_name_engine_and_threads() -> None:
    old = [row("a"), row("a", 4, threads=4), row("a", 9, runtime="opencv_dnn")]
    new = [replace(taken, path=f"elsewhere/{taken.name}") for taken in reversed(old)]
    found = one(old, new)
    assert found.failures == []
    assert [change.outcome for change in found.changes] == ["no difference shown"] * 3
    assert [change.label for change in found.changes] == [
        "a (litert, 1 thread)",
        "a (litert, 4 threads)",
        "a (opencv_dnn, 1 thread)",
    ]


def test_two_files_of_one_name_are_told_apart_by_their_paths() -> None:
    rows = [row("a"), replace(row("a", 5), path="other/a")]
    assert one(rows, rows[::-1]).failures == []
    assert one(rows, rows[:1]).failures == ["other/a (litert, 1 thread): missing from the new run"]


def test_a_file_that_can_no_longer_be_opened_is_one_row_and_not_two() -> None:
    unopened = failed("a", "failed", runtime=None)
    found = one([row("a"), row("a", threads=4)], [unopened])
    assert [text.partition(": ")[2] for text in found.failures] == ["ok before, failed now: it died of SIGSEGV"] * 2
    back = one([unopened], [row("a"), row("a", threads=4)])
    assert [change.outcome for change in back.changes] == ["failed before", "new"]
    assert back.failures == []


def test_size_and_memory_are_told() -> None:
    change = one([row("a")], [row("a", size_bytes=350_000, peak=80_000_000)]).changes[0]
    assert change.difference("size_bytes") == 50_000
    assert change.difference("peak_rss_bytes") == 10_000_000
    assert change.regressions == ()


def test_other_hosts_are_refused_unless_told() -> None:
    other = report(row("a"), host=replace(BOARD, usable_cores=2))
    with pytest.raises(InputError, match="different hosts"):
        compare_runs(report(row("a")), other)
    found = compare_runs(report(row("a")), other, across_hosts=True)
    assert any("the hosts differ (usable cores: 4 and 2)" in text for text in found.notes)


def test_other_data_are_refused_for_accuracy() -> None:
    old = report(row("a"))
    for new in (
        report(row("a", accuracy=10.0), data_sha256="b" * 64),
        report(row("a", accuracy=None), data=None, data_sha256=None, pictures=None),
    ):
        with pytest.raises(InputError, match="accuracies do not compare"):
            compare_runs(old, new)
        found = compare_runs(old, new, Tolerance(max_drop=None))
        assert found.failures == []
        assert found.changes[0].difference("quality") is None
        assert "accuracies were not compared, as was asked" in found.notes
    bare = report(row("a", accuracy=None), data=None, data_sha256=None, pictures=None)
    assert "accuracies were not compared: the old run has none" in compare_runs(bare, old).notes


def test_notes_tell_drift_order_and_versions() -> None:
    base = row("m.keras", 20, runtime="keras", threads=None)
    old = report(row("a"), reference=base, created="2026-02-01T00:00:00+00:00")
    new = report(
        row("a", runtime_version="ai-edge-litert 2.4.0"),
        reference=row("m.keras", 22, runtime="keras", threads=None, seed=1),
        edgecnn_version="0.2.0",
    )
    notes = "\n".join(compare_runs(old, new).notes)
    assert "did not take turns" in notes
    assert "the median of the reference, m.keras, changed by +10" in notes
    assert "is newer than the second" in notes
    assert "ai-edge-litert 2.3.0 before, ai-edge-litert 2.4.0 now" in notes
    assert "edgecnn 0.1.0 before, edgecnn 0.2.0 now" in notes
    elsewhere = "\n".join(compare_runs(old, replace(new, reference_host=BOARD)).notes)
    assert "the median of the reference" not in elsewhere


def test_limits_are_checked_on_the_new_run() -> None:
    limits = [parse_limit("accuracy=89.8", "floor")]
    old, new = report(row("a", accuracy=80.0)), report(row("a", accuracy=90.0))
    assert compare_runs(old, new, limits=limits).failures == []
    assert compare_runs(new, replace(new, results=(row("a", accuracy=89.5),)), limits=limits).failures == [
        "a: accuracy 89.5 is below the floor 89.8"
    ]
    assert check(old, limits).failures == ["a: accuracy 80 is below the floor 89.8"]
    assert check(new, limits).failures == []


@pytest.mark.parametrize("wrong", [{"max_slower": -1}, {"max_drop": float("nan")}, {"max_slower": float("inf")}])
def test_impossible_tolerances_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be 0 or more"):
        Tolerance(**wrong)


def test_the_document_holds_rows_limits_and_failures() -> None:
    limits = [parse_limit("a:p50_ms=0.5", "ceiling")]
    found = one([row("a"), row("b")], [row("a", 1.5), failed("b")], limits=limits)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["passed"] is False
    assert len(document["failures"]) == 3
    assert [one["outcome"] for one in document["rows"]] == ["slower", "crashed"]
    assert document["rows"][0]["slower_percent"] == pytest.approx(50, abs=1)
    assert document["rows"][0]["accuracy_change_points"] == 0
    assert document["rows"][1]["new_p50_ms"] is None
    (limit,) = document["limits"]
    assert (limit["glob"], limit["kept"], limit["rows"]) == ("a", False, 1)
