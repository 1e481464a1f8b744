"""The best file for a budget: by what is shown, not by the lowest raw median; and what the others lost by."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgecnn.bench.budget import Budget, find_baseline
from edgecnn.bench.choose import Choice, choose
from edgecnn.bench.report import Report
from edgecnn.errors import InputError
from tests.bench.made import BOARD, failed, report, row

REFERENCE = row("m.keras", 20, runtime="keras", threads=None, accuracy=92.0, size_bytes=900_000)


def chosen(*reports: Report, **limits: float) -> Choice:
    return choose(reports, Budget(**limits))


def lost(choice: Choice) -> dict[str, str]:
    return {choice.label(loser.row): loser.reason for loser in choice.losers}


def name(choice: Choice) -> str | None:
    return choice.best.name if choice.best else None


def test_the_fastest_wins_where_it_is_shown_to_be() -> None:
    found = chosen(report(row("slow", 2, accuracy=99.0), row("quick", 1)))
    assert name(found) == "quick"
    assert found.why == "every other file inside the budget is slower than it"
    (reason,) = lost(found).values()
    assert reason.startswith("slower than quick (2.0")
    assert reason.endswith("times as slow)")


def test_a_lower_median_that_is_not_shown_to_be_faster_ties() -> None:
    """The same two files: 1 % faster is nothing, 10 % faster wins."""
    small = row("small", 1.0, size_bytes=100_000)
    near = chosen(report(small, row("quick", 0.99)))
    assert name(near) == "small"
    assert "it is not shown to be slower than quick, which has the lowest median" in near.why
    assert "it is the smallest" in near.why
    assert "not shown to be faster than small (0.9" in lost(near)["quick"]
    assert lost(near)["quick"].endswith("and 200.0 kB larger")
    assert name(chosen(report(small, row("quick", 0.9)))) == "quick"


def test_drift_that_all_rows_share_does_not_hide_who_is_faster() -> None:
    """Within a run rounds are paired; between runs they are not, and the same figures show nothing."""
    drift = (1.0, 1.4, 0.8, 1.2, 0.9)
    small, quick = row("small", 1.0, drift=drift, size_bytes=1000), row("quick", 0.9, drift=drift)
    assert name(chosen(report(small, quick))) == "quick"
    assert name(chosen(report(small), report(quick))) == "small"


def test_a_noisy_lowest_median_does_not_let_slow_files_tie() -> None:
    noisy = row("noisy", 0.97, noise=0.3)
    found = chosen(report(noisy, row("quick", 1.0), row("slow", 1.2, accuracy=99.9)))
    assert "slow" in lost(found)
    assert lost(found)["slow"].startswith("slower than quick")


def test_among_ties_the_more_accurate_wins_if_the_pictures_can_show_it() -> None:
    better = row("better", accuracy=91.0, agreement=99.5, size_bytes=300_000)
    worse = row("worse", accuracy=90.0, agreement=99.5, size_bytes=100_000)
    shown = chosen(report(better, worse, reference=REFERENCE))
    assert name(shown) == "better"
    assert "of these 2 it has the best accuracy" in shown.why
    assert lost(shown)["worse"].endswith("and 1 point lower in accuracy")
    few = chosen(report(better, worse, reference=REFERENCE, pictures=100))
    assert name(few) == "worse"
    assert "whose accuracy the 100 pictures do not tell apart, it is the smallest" in few.why


def test_then_the_smaller_then_the_one_with_less_memory() -> None:
    rows = [row("fat", peak=90_000_000), row("lean", peak=60_000_000)]
    found = chosen(report(*rows))
    assert name(found) == "lean"
    assert "as small as any and takes the least memory" in found.why
    assert lost(found)["fat"].endswith("and takes 30.0 MB more memory")
    assert name(chosen(report(*rows, row("small", size_bytes=299_999, peak=90_000_000)))) == "small"
    equal = chosen(report(row("b", 1.001), row("a", 1.0)))
    assert "none is smaller" in equal.why
    assert equal.losers[0].reason.endswith("no smaller, with a median no lower")


def test_an_unmeasured_accuracy_does_not_tie_with_a_measured_one() -> None:
    found = chosen(report(row("told"), row("untold", accuracy=None, size_bytes=1)))
    assert name(found) == "told"
    assert lost(found)["untold"].endswith("and its accuracy was not measured")


def test_each_limit_excludes_and_says_by_how_much() -> None:
    rows = [
        row("quick", 1, accuracy=89.69, size_bytes=100),
        row("slow", 12.4, accuracy=92.0),
        row("large", 1.2, accuracy=92.0, size_bytes=60_200_000),
        row("hungry", 1.3, accuracy=92.0, peak=120_000_000),
        row("good", 2, accuracy=91.0),
        failed("broken"),
        row("few", 1, count=3, rounds=4, accuracy=92.0),
    ]
    found = chosen(report(*rows, reference=REFERENCE), max_drop=1, max_ms=10, max_mb=50, max_memory_mb=100)
    assert name(found) == "good"
    assert found.why == "it is the only file inside the budget"
    assert lost(found) == {
        "quick": "loses 2.31 points, 1 allowed",
        "slow": "12.4 ms, 10 allowed",
        "large": "60.2 MB, 50 MB allowed",
        "hungry": "120.0 MB of memory, 100 MB allowed",
        "broken": "crashed: it died of SIGSEGV",
        "few": "its latency is not told: 12 samples, 20 needed (bench with more --runs)",
    }
    assert found.baseline == "m.keras, 92.00 % (the reference)"
    assert name(chosen(report(*rows, reference=REFERENCE))) == "quick"  # the limits did it


def test_a_latency_keeps_its_limit_only_with_its_whole_interval() -> None:
    noisy, steady = row("noisy", 9.5, noise=0.2), row("steady", 9.5)
    found = chosen(report(noisy, steady), max_ms=11)
    assert name(found) == "steady"
    assert "ms, but its 95 % interval ends at" in lost(found)["noisy"]
    assert lost(found)["noisy"].endswith("11 allowed")


def test_a_drop_of_exactly_the_limit_is_inside() -> None:
    right = 8004  # of 10,000 pictures: in floating point 100 fewer are more than a point
    base = row("m.keras", accuracy=right / 10_000 * 100)
    for fewer, limit, inside in ((100, 1, "a"), (101, 1, None), (0, 0, "a"), (1, 0, None)):
        found = chosen(report(row("a", accuracy=(right - fewer) / 10_000 * 100), reference=base), max_drop=limit)
        assert name(found) == inside


def test_without_a_reference_the_best_float32_file_is_the_measure() -> None:
    rows = [row("f.onnx", 9, accuracy=91.0), row("f.tflite", 8, accuracy=92.0), row("q", accuracy=90.5, recipe="int8")]
    found = chosen(report(*rows), max_drop=1)
    assert lost(found)["q"] == "loses 1.5 points, 1 allowed"
    assert found.baseline == "f.tflite, 92.00 % (the best float32 file: there is no reference)"
    assert find_baseline([], rows[2:]) is None
    with pytest.raises(InputError, match="nothing to count a loss"):
        chosen(report(rows[2]), max_drop=1)


def test_without_classes_agreement_is_the_measure() -> None:
    plain = {"accuracy": None}
    rows = [row("a", agreement=98.5, **plain), row("b", 2, agreement=99.5, **plain)]
    base = replace(REFERENCE, accuracy=None)
    found = chosen(report(*rows, reference=base), max_drop=1)
    assert name(found) == "b"
    assert lost(found)["a"] == "loses 1.5 points, 1 allowed"
    assert "by agreement" in str(found.baseline)


def test_nothing_inside_names_what_comes_nearest() -> None:
    rows = [row("a", 30, accuracy=92.0), row("b", 11, accuracy=92.0), row("c", 10.5, accuracy=60.0), failed("d")]
    found = chosen(report(*rows, reference=REFERENCE), max_ms=10, max_drop=1)
    assert found.best is None
    assert found.nearest is not None
    assert found.nearest.row.name == "b"  # c is quicker, but breaks two limits
    assert chosen(report(failed("d"))).nearest is None


def test_with_few_rounds_only_large_differences_count() -> None:
    small, quick = row("small", 1.2, rounds=2, size_bytes=1), row("quick", 1.0, rounds=2)
    near = chosen(report(small, quick))
    assert name(near) == "small"
    assert any("fewer than 3 rounds" in text for text in near.notes)
    assert "too few rounds for an interval" in lost(near)["quick"]
    assert name(chosen(report(replace(small, rounds=row("x", 1.3, rounds=2).rounds), quick))) == "quick"
    assert not chosen(report(row("a"), row("b"))).notes


def test_several_runs_are_one_field_and_a_later_row_counts() -> None:
    first, second = report(row("a", 1), row("b", 3)), report(row("b", 0.5))
    found = chosen(first, second)
    assert name(found) == "b"
    assert list(lost(found)) == ["a"]
    assert any("drifted between the runs" in text for text in found.notes)
    assert any("1 row(s) that a later report has too" in text for text in found.notes)
    assert name(chosen(second, first)) == "a"


def test_reports_that_do_not_compare_are_refused() -> None:
    other = report(row("b", 0.5), host=replace(BOARD, processor="Cortex-A72"))
    with pytest.raises(InputError, match="different hosts"):
        chosen(report(row("a")), other)
    assert name(choose([report(row("a")), other], across_hosts=True)) == "b"
    with pytest.raises(InputError, match="different data"):
        chosen(report(row("a")), report(row("b"), data_sha256="b" * 64))
    with pytest.raises(InputError, match="no rows"):
        chosen(report())


@pytest.mark.parametrize(
    "limits",
    [{"max_ms": 0}, {"max_mb": -1}, {"max_drop": -0.1}, {"max_memory_mb": float("nan")}, {"max_ms": float("inf")}],
)
def test_impossible_budgets_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be a positive number"):
        Budget(**limits)


def test_the_document_holds_best_losers_and_front() -> None:
    found = chosen(report(row("a"), row("b", 3, accuracy=95.0), failed("c"), reference=REFERENCE), max_ms=2)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["budget"] == {"max_drop": None, "max_ms": 2, "max_mb": None, "max_memory_mb": None}
    assert document["best"]["path"] == "files/a"
    assert [one["path"] for one in document["pareto"]] == ["files/a", "files/b"]
    assert [(one["path"], one["inside_budget"], one["status"]) for one in document["losers"]] == [
        ("files/b", False, "ok"),
        ("files/c", False, "crashed"),
    ]
    assert document["losers"][0]["over"] == [document["losers"][0]["reason"]] == ["3.00 ms, 2 allowed"]
    assert document["nearest"] is None
