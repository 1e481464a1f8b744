"""The page in a real browser: its numbers are the report's, its pictures are drawn, its text is never markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from edgecnn.bench import Report
from edgecnn.bench.headline import headline
from edgecnn.bench.html import page, sections, write_page
from edgecnn.bench.pictures import PICTURES, drawings
from edgecnn.bench.pictures.drawing import Text
from edgecnn.bench.pictures.palette import PALETTE
from edgecnn.bench.pictures.png import png_bytes, write_pngs
from edgecnn.bench.tables import significant
from edgecnn.errors import InputError
from tests.bench.browser import rendered, screenshot
from tests.bench.reports import BOARD, DESK, crowd, failed, report, row, several

Cells = dict[str, dict[str, str]]


class TableReader(HTMLParser):
    """Reads the rows of the table as a program would: path -> key -> figure in full."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: Cells = {}
        self.elements: list[str] = []
        self.seen: dict[str, str] = {}  # path -> the median, as people read it
        self._row: dict[str, str] = {}
        self._path = self._key = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        if tag == "tr" and "data-path" in told:
            self._path = told["data-path"]
            self._row = self.rows.setdefault(self._path, {"status": told["data-status"]})
        if tag in ("td", "th") and "data-key" in told and "data-value" in told:
            self._row[told["data-key"]] = told["data-value"]
        self._key = told.get("data-key", "") if tag == "td" else self._key

    def handle_data(self, data: str) -> None:
        if self._key == "p50_ms":
            self.seen.setdefault(self._path, data)


def differences(text: str, shown: Report) -> list[str]:
    """Return where a page's numbers are not the report's."""
    reader, found = TableReader(text), []
    read = reader.rows
    for one in shown.rows:
        figures = {
            "p50_ms": one.p50_ms,
            "p90_ms": one.invoke.percentile_ms(90) if one.invoke else None,
            "accuracy": one.accuracy,
            "agreement": one.agreement,
            "size_bytes": one.size_bytes if one.rounds else None,
            "peak_rss_bytes": one.memory.peak_rss_bytes if one.memory else None,
        }
        if one.rounds and reader.seen.get(one.path) != significant(one.p50_ms):
            found.append(f"{one.path}: {reader.seen.get(one.path)} is shown for {one.p50_ms}")
        if read.get(one.path, {}).get("status") != one.status:
            found.append(f"{one.path}: status")
        for key, value in figures.items():
            told = read.get(one.path, {}).get(key)
            if (told is None) != (value is None) or (told is not None and value is not None and float(told) != value):
                found.append(f"{one.path}: {key} {told} for {value}")
    return found


def test_the_numbers_read_off_the_page_in_a_browser_are_the_reports(tmp_path: Path) -> None:
    shown = several()
    text = rendered(write_page(sections([shown]), tmp_path / "report.html"))
    assert differences(text, shown) == []
    assert len(TableReader(text).rows) == 10
    altered = text.replace(f'data-value="{shown.results[3].p50_ms}"', 'data-value="0.1"')
    assert altered != text
    assert len(differences(altered, shown)) == 1  # negative control: one figure altered
    altered = text.replace(f">{significant(shown.results[3].p50_ms)}<", ">0.1<", 1)
    assert altered != text
    assert len(differences(altered, shown)) == 1  # and one that only people see
    assert "<button>median</button>" in text  # the page's own script, and it alone, has run
    assert "<button>" not in page(sections([shown]))


def test_the_page_is_drawn(tmp_path: Path) -> None:
    path = write_page(sections([several()]), tmp_path / "a report.html")
    picture = cv2.imread(str(screenshot(path, tmp_path / "shot.png")))
    assert picture is not None
    assert picture.shape[1] == 1280
    for role in ("tflite", "onnx", "keras"):
        red, green, blue = (int(PALETTE[role][0][start : start + 2], 16) for start in (1, 3, 5))
        near = (abs(picture.astype(int) - (blue, green, red)).max(axis=2) <= 2).sum()
        assert near > 200, f"next to nothing in the colour of {role}"
    narrow = cv2.imread(str(screenshot(path, tmp_path / "narrow.png", 420)))
    assert narrow is not None
    assert narrow.shape[1] >= 420


def test_nothing_is_fetched(tmp_path: Path) -> None:
    text = page(sections([several()]))
    assert "Content-Security-Policy" in text
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    for word in ("http://", "https://", "src=", "@import", "url("):
        assert word not in text.replace("http://www.w3.org/2000/svg", ""), word


HOSTILE = '<script>document.title="owned"</script>"\'><img src=x onerror=document.title="owned">\x1b[31m\u202e.tflite'


def test_text_of_others_is_never_markup(tmp_path: Path) -> None:
    shown = report(
        row(HOSTILE, 1.0),
        replace(failed(HOSTILE + "2"), reason=HOSTILE),
        reference=row("r.keras", 9, recipe=None, runtime="keras", threads=None),
        data=HOSTILE,
    )
    hostile_host = replace(BOARD, processor=HOSTILE, board=HOSTILE)
    shown = replace(shown, host=hostile_host, command=("edgecnn", HOSTILE), edgecnn_version=HOSTILE, created=HOSTILE)
    text = page(sections([shown]))
    honest = page(sections([several()]))
    assert TableReader(text).elements.count("script") == TableReader(honest).elements.count("script") == 1
    assert "img" not in TableReader(text).elements
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<title>owned" not in rendered(write_page(sections([shown]), tmp_path / "x.html"))


@pytest.mark.parametrize(
    "shown",
    [
        report(row("one.tflite")),
        report(row("one.tflite", rounds=1, count=5, accuracy=None, stages=False), data=None),
        report(failed("a.tflite"), failed("b.onnx", "no answer", "timeout")),
        report(row("a.tflite", tainted=3), row("b.tflite", accuracy=None, size_bytes=None)),
        report(row("a.tflite"), reference=row("r.keras", 9, runtime="keras"), reference_host=DESK),
        report(row("same.tflite"), replace(row("same.tflite", 2), path="elsewhere/same.tflite")),
        report(row("a.tflite", threads=1), row("a.tflite", 0.6, threads=2)),
        crowd(60),
        report(),
    ],
    ids=["one", "bare", "all failed", "tainted", "reference elsewhere", "same name", "threads", "crowd", "empty"],
)
def test_reports_of_any_shape(shown: Report) -> None:
    text = page(sections([shown]))
    assert {one.path for one in shown.rows} == set(TableReader(text).rows)
    assert text.count("<svg") == len(drawings(shown))
    assert not re.search(r"\b(nan|inf|None)\b", text.split("</style>")[1].split("<script>")[0])
    assert headline([shown]).sentence() in text.replace("<b>", "").replace("</b>", "") or headline([shown]).facts


def test_machines_have_sections_of_their_own() -> None:
    board, desk = report(row("a.tflite", 4)), report(row("a.tflite", 1), host=DESK)
    with pytest.raises(InputError, match="different hosts"):
        sections([board, desk])
    found = sections([board, desk], across_hosts=True)
    assert [section.report.host for section in found] == [BOARD, DESK]
    text = page(found)
    assert text.count('class="host"') == 2
    assert all(f">{name}</h2>" in text for name in (BOARD.board, DESK.processor))


def test_the_sentence_at_the_top() -> None:
    said = headline([several()])
    assert said.row is not None
    assert said.name == "net_int8.tflite"  # the faster ones lose 2 and 46 points
    assert "loses no more than 1 point of accuracy" in said.after
    assert headline([report(failed("a.tflite"))]).row is None
    lost = headline([report(row("a.tflite", accuracy=60.0), reference=row("r.keras", 9, accuracy=87.0))])
    assert (lost.name, lost.after) == ("a.tflite", ": loses 27 points, 1 allowed")
    assert 'class="verdict none"' in page(sections([report(row("a.tflite", accuracy=60.0), reference=row("r.keras"))]))


def test_a_file_that_lost_too_much_stands_below_the_axis_unless_all_did() -> None:
    """Ten files within a point of each other must be told apart, whatever became of the eleventh."""

    def below(*accuracies: float) -> bool:
        rows = [row(f"{place}.tflite", accuracy=accuracy) for place, accuracy in enumerate(accuracies)]
        drawing = drawings(report(*rows, reference=row("r.keras", accuracy=87.0)))["tradeoff"]
        return any(isinstance(mark, Text) and mark.words == "lower" for mark in drawing.marks)

    assert below(86.5, 86.0, 41.0)
    assert not below(86.5, 86.0)
    assert not below(41.0, 42.0)


def test_pictures_are_the_same_as_png(tmp_path: Path) -> None:
    found = drawings(several())
    assert list(found) == list(PICTURES)
    for path in write_pngs(found, tmp_path, "Raspberry Pi 5"):
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape[1] == 2 * found[path.stem].width
        assert picture.std() > 5
    changed = several()
    changed = replace(changed, results=(*changed.results[:-2], *changed.results[-1:]))
    assert png_bytes(drawings(changed)["latency"]) != png_bytes(found["latency"])
