"""Results keep their samples, say "faster" only with cause, and read the same in every form."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from edgecnn.bench import BenchmarkResult, HostState, Memory, Protocol, Report, Samples, read_host, tables
from edgecnn.bench.results import compare
from edgecnn.bench.runner import with_lost_quantization
from edgecnn.errors import InputError


def result(
    name: str, ms: float, *, spread: float = 0.01, recipe: str = "float32", count: int = 1000
) -> BenchmarkResult:
    steps = [round(ms * 1e6 * (1 + spread * (index / count - 0.5))) for index in range(count)]
    return BenchmarkResult(
        path=f"out/{name}",
        runtime="litert",
        threads=1,
        status="ok",
        format="tflite",
        recipe=recipe,
        runtime_version="ai-edge-litert 2.3.0",
        device="CPU",
        import_ms=20.0,
        load_ms=1.5,
        first_ms=2.5,
        latency={"invoke": Samples(tuple(steps))},
        memory=Memory(70_000_000, 4_000_000),
        size_bytes=322_088,
        accuracy=86.4,
        agreement=99.5,
        max_drift=0.1,
    )


def report(*rows: BenchmarkResult, reference: BenchmarkResult | None = None) -> Report:
    return Report(read_host(), Protocol(), reference, rows, "cifar10", 100, "0.1.0", "2026-01-01T00:00:00+00:00")


FAILED = BenchmarkResult(path="out/x.tflite", runtime=None, threads=1, status="crashed", reason="it died of SIGSEGV")


def test_keys_of_the_document_are_pinned() -> None:
    document = report(result("a.tflite", 1), FAILED, reference=result("r.keras", 2)).to_dict()
    assert {"schema_version", "host", "reference", "results"} <= document.keys()
    assert document["schema_version"] == 1
    for row in (document["reference"], *document["results"]):
        assert list(row)[:14] == [
            "path",
            "runtime",
            "runtime_version",
            "threads",
            "status",
            "reason",
            "load_ms",
            "first_ms",
            "latency",
            "memory",
            "size_bytes",
            "accuracy",
            "agreement",
            "warnings",
        ]
        assert list(row["latency"]["invoke"]) == ["p50_ms", "p90_ms", "p99_ms", "samples", "ci95_ms"]
        assert list(row["memory"]) == ["peak_rss_bytes", "model_rss_bytes"]
    assert document["reference"]["device"] == "CPU"
    json.dumps(document, allow_nan=False)


def test_a_report_survives_its_json() -> None:
    state = HostState(load_average=0.5, governor="ondemand", temperature_c=None, throttled=0)
    measured = replace(result("a.tflite", 1), state_before=state, state_after=replace(state, load_average=3.5))
    full = report(measured, FAILED, reference=result("r.keras", 2))
    assert full.to_dict()["results"][0]["state_after"]["load_average"] == 3.5
    assert Report.from_dict(json.loads(json.dumps(full.to_dict(raw=True)))) == full


def test_a_report_without_states_is_read() -> None:
    document = report(result("a.tflite", 1)).to_dict(raw=True)
    for name in ("state_before", "state_after"):
        del document["results"][0][name]
    assert Report.from_dict(document).results[0].state_after is None


def test_a_report_of_another_schema_or_without_samples_is_refused() -> None:
    document = report(result("a.tflite", 1)).to_dict(raw=True)
    with pytest.raises(InputError, match="schema version 2"):
        Report.from_dict({**document, "schema_version": 2})
    with pytest.raises(InputError, match="no raw samples"):
        Report.from_dict(report(result("a.tflite", 1)).to_dict())
    del document["host"]
    with pytest.raises(InputError, match="incomplete"):
        Report.from_dict(document)


@pytest.mark.parametrize(
    "wrong", [{"status": "fine"}, {"status": "failed"}, {"reason": "but why"}, {"latency": {}}, {"memory": None}]
)
def test_results_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(result("a", 1), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"threads": 0}, {"runs": 0}, {"warmup": -1}, {"max_seconds": float("nan")}, {"timeout_s": 0}, {"limit": 0}],
)
def test_impossible_protocols_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Protocol(**wrong)  # type: ignore[arg-type]


def test_faster_is_said_only_where_the_intervals_do_not_overlap() -> None:
    quick, slow, same = result("a", 1), result("b", 3), result("c", 1.0001)
    apart, alike = compare(quick, slow), compare(quick, same)
    assert apart is not None
    assert apart.told_apart
    assert apart.ratio == pytest.approx(3, rel=0.01)
    assert alike is not None
    assert not alike.told_apart
    assert compare(quick, result("d", 9, count=10)) is None
    # Tight intervals apart by 20 %: two processes of one file differ by that much on a shared machine.
    near = compare(result("e", 1, spread=0.001), result("f", 1.2, spread=0.001))
    assert near is not None
    assert not near.told_apart
    shown = "\n".join(tables.text_table(report(quick, same, reference=slow)))
    assert "3.0x" in shown
    assert "~" in "\n".join(tables.text_table(report(same, reference=quick)))


def test_a_quantized_file_that_loses_is_told_so() -> None:
    rows = [
        result("m_float32.tflite", 1),
        result("m_int8.tflite", 2, recipe="int8"),
        result("m_int8_float_io.tflite", 0.5, recipe="int8_float_io"),
        result("other_int8.tflite", 9, recipe="int8"),
        replace(result("m_dynamic_int8.tflite", 9, recipe="dynamic_int8"), runtime="another"),
    ]
    told = [row.warnings for row in with_lost_quantization(rows)]
    assert told == [(), ("int8 is 2.0 times slower than float32 (m_float32.tflite) on this machine",), (), (), ()]


def test_the_table_fits_120_columns_and_starts_with_the_reference() -> None:
    long_name = "mobilenet_v2_1.0_224_a_very_long_name_int8_float_io.tflite"
    failed = replace(FAILED, runtime="onnxruntime")
    full = report(result(long_name, 0.123456), failed, reference=result("mobilenet_v2.keras", 123.456))
    lines = tables.text_table(full)
    assert max(map(len, lines)) <= 120
    assert lines[3].startswith("mobilenet_v2.keras (ref)")
    assert "crashed" in lines[-1]
    assert tables.failure_lines(full) == ["CRASHED x.tflite (onnxruntime): it died of SIGSEGV"]


def test_a_warning_is_shown_once() -> None:
    tainted = [replace(result(name, 1), warnings=("the machine was hot",)) for name in "ab"]
    tainted[0] = replace(tainted[0], warnings=("the machine was hot", "p99 not told"))
    assert tables.warning_lines(report(*tainted)) == ["the machine was hot", "a (litert): p99 not told"]


def test_markdown_and_csv_hold_every_row() -> None:
    full = report(result("a|b.tflite", 1), FAILED, reference=result("r.keras", 2))
    page = tables.markdown(full)
    assert "a\\|b.tflite" in page
    assert "r.keras (reference)" in page
    assert "it died of SIGSEGV" in page
    records = list(csv.DictReader(io.StringIO(tables.csv_text(full))))
    assert [record["status"] for record in records] == ["ok", "ok", "crashed"]
    assert float(records[1]["speed_ratio"]) == pytest.approx(2, rel=0.01)
    assert records[2]["p50_ms"] == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.33449, "0.334"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_figures_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert tables.significant(value) == text
