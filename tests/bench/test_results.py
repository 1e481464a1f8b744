"""Results keep their samples, say "faster" only with cause, and read the same in every form."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn.bench import (
    BenchmarkResult,
    HostState,
    Leak,
    Memory,
    Protocol,
    Report,
    Round,
    Samples,
    compare,
    merged,
    read_host,
    read_report,
    tables,
)
from edgecnn.bench.reasons import with_reasons
from edgecnn.bench.results import Throughput
from edgecnn.bench.timing import Warmup
from edgecnn.errors import InputError
from edgecnn.files import write_json


def taken(number: int, ms: float, *, spread: float = 0.01, count: int = 200, taints: tuple[str, ...] = ()) -> Round:
    """Return what one process measured: samples spread evenly around a median."""
    steps = tuple(round(ms * 1e6 * (1 + spread * ((index + 0.5) / count - 0.5))) for index in range(count))
    return Round(
        number=number,
        latency={"invoke": Samples(steps), "preprocess": Samples(steps[:20])},
        warmup=Warmup(12, 1000, True),
        import_ms=20.0,
        load_ms=1.5,
        first_ms=2.5,
        memory=Memory(70_000_000 + number, 4_000_000, 68_000_000, 30_000_000),
        taints=taints,
    )


def result(
    name: str, ms: float, *, spread: float = 0.01, recipe: str = "float32", count: int = 200, rounds: int = 5
) -> BenchmarkResult:
    """Return a row whose rounds differ by a percent, the same way in all rows: the machine drifts."""
    drift = [1.0, 1.01, 0.99, 1.005, 0.995] * rounds
    return BenchmarkResult(
        path=f"out/{name}",
        runtime="litert",
        threads=1,
        status="ok",
        format="tflite",
        recipe=recipe,
        runtime_version="ai-edge-litert 2.3.0",
        device="CPU",
        rounds=tuple(taken(number, ms * drift[number], spread=spread, count=count) for number in range(rounds)),
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
    assert {"schema_version", "host", "reference", "results", "verdicts"} <= document.keys()
    assert document["schema_version"] == 2
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
        assert list(row["latency"]["invoke"]) == ["p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "samples", "ci95_ms"]
        assert list(row["memory"])[:4] == ["peak_rss_bytes", "model_rss_bytes", "steady_rss_bytes", "private_bytes"]
    assert document["reference"]["device"] == "CPU"
    json.dumps(document, allow_nan=False)


def test_a_report_survives_its_json() -> None:
    state = HostState(load_average=0.5, governor="ondemand", temperature_c=None, throttled=0)
    first = replace(
        taken(0, 1.0, taints=("busy",)),
        state_before=state,
        state_after=replace(state, load_average=3.5),
        throughput=Throughput(32, Samples((9, 8, 7))),
    )
    measured = replace(result("a.tflite", 1), rounds=(first, taken(1, 1.1)), leak=Leak(3.0, 1.0, 5.0, 20))
    full = report(measured, FAILED, reference=result("r.keras", 2))
    rounds = full.to_dict(raw=True)["results"][0]["rounds"]
    assert rounds[0]["state_after"]["load_average"] == 3.5
    assert Report.from_dict(json.loads(json.dumps(full.to_dict(raw=True)))) == full


def test_a_report_of_another_schema_or_without_samples_is_refused() -> None:
    document = report(result("a.tflite", 1)).to_dict(raw=True)
    with pytest.raises(InputError, match="schema version 1"):
        Report.from_dict({**document, "schema_version": 1})
    with pytest.raises(InputError, match="no raw samples"):
        Report.from_dict(report(result("a.tflite", 1)).to_dict())
    del document["results"][0]["rounds"][2]["memory"]
    with pytest.raises(InputError, match="damaged"):
        Report.from_dict(document)
    del document["host"]
    with pytest.raises(InputError, match="incomplete"):
        Report.from_dict(document)


def test_reports_are_read_from_their_folder(tmp_path: Path) -> None:
    full = report(result("a.tflite", 1))
    write_json(tmp_path / "results.json", full.to_dict(raw=True))
    assert read_report(tmp_path) == full
    for name, text in (("words.json", "no json"), ("list.json", "[1]"), ("deep.json", "[" * 100_000)):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=name):
            read_report(tmp_path / name)
    with pytest.raises(InputError, match="cannot read"):
        read_report(tmp_path / "absent.json")


def test_reports_of_different_hosts_or_data_are_not_merged_unless_told() -> None:
    first, second = report(result("a.tflite", 1), reference=result("r.keras", 9)), report(result("b.tflite", 2))
    assert [row.name for row in merged([first, second]).rows] == ["r.keras", "a.tflite", "b.tflite"]
    one, two = merged([first, second]).results
    assert compare(one, two) is None  # they did not take turns
    assert compare(first.results[0], second.results[0]) is not None  # as within one run
    twins = report(result("a.tflite", 1), replace(result("a.tflite", 2), path="elsewhere/a.tflite"))
    assert len(merged([twins]).results) == 2
    newer = report(result("a.tflite", 3))
    assert [row.p50_ms for row in merged([first, newer]).results] == [newer.results[0].p50_ms]
    elsewhere = replace(second, host=replace(second.host, processor="Cortex-A76"))
    with pytest.raises(InputError, match="Cortex-A76"):
        merged([first, elsewhere])
    assert len(merged([first, elsewhere], across_hosts=True).results) == 2
    with pytest.raises(InputError, match="different data"):
        merged([replace(first, data_sha256="a"), replace(second, data_sha256="b")])
    measured_elsewhere = replace(first, reference_host=elsewhere.host)
    assert merged([second, measured_elsewhere]).reference_host == elsewhere.host  # it goes with its reference


def test_rounds_that_the_machine_tainted_are_left_out_while_others_are_there() -> None:
    clean, busy = [taken(number, 1.0) for number in range(3)], taken(3, 9.0, taints=("busy",))
    row = replace(result("a", 1), rounds=(*clean, busy))
    assert row.p50_ms == pytest.approx(1.0, rel=0.01)
    assert row.to_dict()["tainted_rounds"] == 1
    assert replace(row, rounds=(busy,)).p50_ms == pytest.approx(9.0, rel=0.01)  # better than nothing, and flagged


def test_the_interval_is_that_between_processes() -> None:
    interval = result("a", 1).ci95_ms()
    assert interval is not None
    # Drift of 1, 1.01, 0.99, 1.005 and 0.995: standard deviation 0.0079, t of 4 degrees 2.776.
    assert interval[1] - interval[0] == pytest.approx(2 * 2.776 * 0.0079 / 5**0.5, rel=0.02)
    alone = result("a", 1, rounds=1).ci95_ms()
    assert alone is not None
    assert alone[1] - alone[0] < interval[1] - interval[0]  # one process knows nothing of others


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "fine"},
        {"status": "failed"},
        {"reason": "but why"},
        {"rounds": ()},
        {"accuracy": "high"},
        {"agreement": float("nan")},
        {"size_bytes": -1},
        {"threads": True},
        {"path": 3},
    ],
)
def test_results_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(result("a", 1), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": (0,)},
        {"threads": ()},
        {"rounds": 0},
        {"runs": 0},
        {"warmup": -1},
        {"max_seconds": float("nan")},
        {"precision": 0},
        {"timeout_s": 0},
        {"limit": 0},
    ],
)
def test_impossible_protocols_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Protocol(**wrong)  # type: ignore[arg-type]


def test_a_quantized_file_that_does_not_gain_is_told_so_with_the_reason() -> None:
    rows = [
        result("m_float32.tflite", 1),
        result("m_int8.tflite", 2, recipe="int8"),
        result("m_int8_float_io.tflite", 0.5, recipe="int8_float_io"),
        result("m_dynamic_int8.tflite", 1, recipe="dynamic_int8"),
        result("other_int8.tflite", 9, recipe="int8"),
        replace(result("m_int8_uint8_io.tflite", 9, recipe="int8_uint8_io"), runtime="another"),
    ]
    host = replace(read_host(), architecture="x86_64", features=("avx2",), usable_cores=4, cpu_limit=None)
    told = [row.warnings for row in with_reasons(rows, host)]
    none = "likely because the processor has none of avx512_vnni, avx_vnni, amx_int8"
    assert told[1] == (f"int8 is 2.0 times slower than float32 (m_float32.tflite) on this machine; {none}",)
    assert told[3][0].startswith("dynamic_int8 is not shown to be faster than float32 (m_float32.tflite)")
    assert "activations are quantized anew in every call" in told[3][0]
    assert [told[place] for place in (0, 2, 4, 5)] == [()] * 4
    modern = replace(host, features=("avx512_vnni",))
    assert "likely" not in with_reasons(rows, modern)[1].warnings[0]  # negative control
    crowded = [replace(row, threads=8) for row in rows]
    assert "more threads than cores" in with_reasons(crowded, modern)[1].warnings[0]


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
    assert records[1]["verdict"] == "faster"
    assert records[2]["p50_ms"] == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.33449, "0.334"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_figures_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert tables.significant(value) == text
