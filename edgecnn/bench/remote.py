"""A benchmark on a board of the user's own: files go there by ssh, a report comes back, nothing stays.

This module must not know ``ssh`` (the connection does), nor what a figure means. What the board says
is data of others: it is checked before anything of it is shown, and it runs nothing here.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgecnn.bench import tables
from edgecnn.bench.board import GRACE_S
from edgecnn.bench.parcel import BASE_PACKAGES, ENGINE_PACKAGES, KERAS_SUFFIXES, Parcel
from edgecnn.bench.report import Report
from edgecnn.bench.ssh import CONNECT_TIMEOUT_S, Board, Connection, HostError, MissingOnBoard, require_python
from edgecnn.errors import EdgecnnError
from edgecnn.reporter import PROGRESS_VARIABLE, SILENT, Reporter

_BLOCK_BYTES = 1 << 20
#: For a login, an agent that asks for a touch, and the first import of everything from a slow card.
_GREETING_S = 120
#: For the board to end the benchmark, send what there is and remove its folder.
_LEAVING_S = GRACE_S + 10
#: Exit codes of an edgecnn that was ended before its end: its report, if any, is not whole.
_INTERRUPTED = (130, 143)
_DAMAGE = (EdgecnnError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def benchmark_on(
    board: Board,
    parcel: Parcel,
    words: Sequence[str],
    *,
    runtimes: Sequence[str] = (),
    reporter: Reporter = SILENT,
    on_interrupt: Callable[[Report], object] | None = None,
) -> Report:
    """Run ``edgecnn bench`` on a board and return its report, files named as they are named here.

    Args:
        board: where.
        parcel: what is sent.
        words: of the command, after ``bench``, with the parcel's names; ``--json --out`` are added.
        runtimes: the engines that they name.
        reporter: shows how far sending and measuring are, and what could not be removed.
        on_interrupt: is given what is finished if Ctrl-C or SIGTERM ends the run, or something ends it there.

    Raises:
        HostError: no connection, or one that was lost; the host's key is unknown or another one; no key of
            ours is accepted; the disk is full; what comes back is damaged.
        MissingOnBoard: Python, a package or every engine that is needed.
        EdgecnnError: what the command itself said there, with its exit code.
    """
    visit = _Visit(board, parcel, reporter)
    try:
        visit.check(runtimes)
        visit.deliver([*words, "--json", "--out", "out"])
        ended = visit.result()
        visit.await_removal()
    except BaseException as error:  # whatever it is, it goes on
        visit.leave()
        if not isinstance(error, Exception):  # an interruption is none
            visit.keep(on_interrupt)
        raise
    finally:
        visit.clear()
    if visit.interrupted:  # by something on the board
        visit.keep(on_interrupt)
        raise HostError(f"the benchmark was ended on {board.host} (exit code {ended['ended']})", "run it again")
    return visit.report(ended)


class _Visit:
    """One connection and what has come of it so far."""

    def __init__(self, board: Board, parcel: Parcel, reporter: Reporter) -> None:
        self._board = board
        self._parcel = parcel
        self._reporter = reporter
        self._bar: Iterator[int] = iter(())
        self._label = ""
        self._pid = 0
        self._folder: str | None = None
        self._removed = False
        self._left: str | None = None
        self._ended: dict[str, Any] | None = None
        self._connection = Connection(board, on_progress=self._step)

    @property
    def interrupted(self) -> bool:
        code = None if self._ended is None else self._ended["ended"]
        return code is not None and (code in _INTERRUPTED or code < 0)

    def check(self, runtimes: Sequence[str]) -> None:
        """Greet the board and refuse what lacks something, before anything is sent."""
        wanted = self._parcel.engines(runtimes)
        imports = sorted({name for names, _ in ENGINE_PACKAGES.values() for name in names})
        self._connection.ask({"modules": list(BASE_PACKAGES), "engines": imports})
        try:
            hello = self._next("hello", timeout_s=_GREETING_S)
        except queue.Empty as error:
            raise HostError(
                f"{self._board.host} did not start {self._board.python!r} within {_GREETING_S} s",
                f"see to it that ssh {self._board.host} asks nothing",
            ) from error
        require_python(self._board, hello["hello"])
        self._pid = hello["pid"] if isinstance(hello.get("pid"), int) else 0
        failures, there = hello.get("failures"), hello.get("engines")
        if not isinstance(failures, dict) or not isinstance(there, list):
            raise HostError(f"{self._board.host} does not tell what is installed", "run it again")
        if failures:
            broken = [f"{name} ({text})" for name, text in failures.items()]
            lacking = [distribution for name, distribution in BASE_PACKAGES.items() if name in failures]
            raise self._missing("cannot import " + ", ".join(broken), lacking)
        absent = [name for name in wanted if not set(ENGINE_PACKAGES[name][0]) & set(there)]
        if wanted and absent == wanted:
            raise self._missing(f"has no engine for these files: {', '.join(absent)}", _distributions(absent))
        reference = self._parcel.reference
        if reference is not None and reference.suffix in KERAS_SUFFIXES and "keras" not in there:
            raise MissingOnBoard(
                f"the reference {str(reference)!r} is a Keras file, and {self._board.python} on {self._board.host} "
                "has no Keras",
                "make reference.json here with `edgecnn reference` and give that",
            )

    def _missing(self, what: str, packages: Sequence[str]) -> MissingOnBoard:
        python = self._board.python
        return MissingOnBoard(
            f"{python} on {self._board.host} {what}",
            f"there: {self._board.python_word} -m pip install {' '.join(packages)} (in a virtual environment, whose "
            "Python --host-python names)",
        )

    def deliver(self, words: Sequence[str]) -> None:
        """Send everything; the board starts the benchmark when it has it."""
        items = self._parcel.items
        files = [(item.name, item.size_bytes) for item in items]
        self._connection.ask({"files": files, "words": list(words), "variables": {PROGRESS_VARIABLE: "1"}})
        self._next("send")
        for item in self._reporter.progress(items, "send", len(items)):
            if item.source is None:
                continue
            with item.source.open("rb") as stream:
                left = item.size_bytes
                while left:
                    block = stream.read(min(left, _BLOCK_BYTES))
                    if not block:
                        raise HostError(f"{str(item.source)!r} became shorter while it was sent", "run it again")
                    left -= len(block)
                    if not self._connection.send(block):
                        self._next()  # it says why, or is gone
                        raise HostError(f"{self._board.host} stopped listening", "run it again")

    def result(self) -> dict[str, Any]:
        """Wait for the end of the benchmark and return how it ended, its report as ``payload``."""
        ended = self._next("ended")
        self._bar = iter(())
        if not isinstance(ended["ended"], int):
            raise HostError(f"{self._board.host} does not tell how the benchmark ended", "run it again")
        return ended

    def await_removal(self) -> None:
        """Wait until the board has removed its folder, or says that it cannot."""
        try:
            while not self._removed and self._left is None:
                self._next()
        except EdgecnnError:
            return  # the report is here: clear() tries another way, and tells what it cannot remove

    def leave(self) -> None:
        """End it from here: the board ends the benchmark, may still send its report, and removes its folder."""
        self._bar = iter(())
        self._connection.leave()
        deadline = time.monotonic() + _LEAVING_S
        try:
            while not self._removed and self._left is None:
                frame = self._connection.frame(max(0.1, deadline - time.monotonic()))
                if frame is None:
                    return
                self._note(frame)
        except (HostError, queue.Empty):
            return  # clear() tries another way, and tells what it cannot remove

    def clear(self) -> None:
        """Close the connection; remove what is left on the board by another one, or name it."""
        self._connection.close()
        if self._folder is None or self._removed:
            return
        try:
            if self._left is None:
                self._remove_by_another()
        except (EdgecnnError, queue.Empty) as error:
            self._left = str(getattr(error, "message", "")) or "it does not answer"
        except BaseException:
            self._left = "interrupted"
            raise
        finally:
            if not self._removed:
                self._reporter.warn(f"could not remove {self._folder} on {self._board.host} ({self._left})")

    def _remove_by_another(self) -> None:
        connection = Connection(self._board, token=self._connection.token)
        try:
            connection.ask({"forgotten": self._folder, "pid": self._pid})
            frame = connection.frame(CONNECT_TIMEOUT_S + _LEAVING_S)
            if frame is None:
                raise connection.failure()
            self._note(frame)
            if not self._removed and self._left is None:
                self._left = "it does not answer"
        finally:
            connection.close()

    def keep(self, on_interrupt: Callable[[Report], object] | None) -> None:
        """Give away what an interrupted benchmark finished, if it sent that."""
        if on_interrupt is None or self._ended is None or not self._ended["payload"]:
            return
        try:
            report = self.report(self._ended)
        except EdgecnnError as error:
            self._reporter.warn(error.message)
        else:
            on_interrupt(report)

    def report(self, ended: dict[str, Any]) -> Report:
        """Return the report that came back, checked, or raise what was said instead of one."""
        folder = str(self._folder)
        if not ended["payload"]:
            raise self._failed(ended, folder)
        try:
            document = json.loads(ended["payload"])
            strangers = [row["path"] for row in document["results"] if not self._parcel.is_model(row["path"])]
            if strangers:
                raise ValueError(f"it tells of {strangers[0]!r}, which was not sent")
            report = Report.from_dict(self._parcel.with_local_names(document, folder))
            report = replace(report, data=self._parcel.data)
            # What cannot be shown is damaged: found out here, where there is a sentence for it.
            for show in (tables.context_lines, tables.text_table, tables.markdown, tables.csv_text):
                show(report)
            json.dumps(report.to_dict(raw=True), allow_nan=False)
        except _DAMAGE as error:
            what = error.message if isinstance(error, EdgecnnError) else f"{type(error).__name__}: {error}"
            raise HostError(f"the report from {self._board.host} is damaged: {what}", "run it again") from error
        return report

    def _failed(self, ended: dict[str, Any], folder: str) -> EdgecnnError:
        """Return the error that the command itself told there; without one, the last line that it said."""
        said = ended.get("said")
        try:
            told = json.loads(said if isinstance(said, str) else "")["error"]
            message, remedy, code = str(told["message"]), str(told["remedy"]), int(told["exit_code"])
        except (ValueError, LookupError, TypeError, RecursionError):
            lines = [line for line in self._connection.said if line]
            message, remedy, code = lines[-1] if lines else "it said nothing", "", 4
            message = f"edgecnn ended with exit code {ended['ended']} and no report: {message}"
        message, remedy = self._parcel.with_local_names([message, remedy], folder)
        error = HostError(f"on {self._board.host}: {message}", remedy)
        error.exit_code = code if 0 < code < 256 else 4
        return error

    def _next(self, key: str | None = None, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the next mapping, or the next one that has ``key``; raise what the board could not do."""
        while True:
            frame = self._connection.frame(timeout_s)
            if frame is None:
                raise self._connection.failure()
            self._note(frame)
            if "failed" in frame:
                full = ": too little space" if frame.get("full") is True else ""
                raise HostError(
                    f"{self._board.host} could not take the files{full}: {frame['failed']}",
                    "free some space there, or name a larger folder in its TMPDIR" if full else "see to it there",
                )
            if key is None or key in frame:
                return frame

    def _note(self, frame: dict[str, Any]) -> None:
        if isinstance(frame.get("folder"), str):
            self._folder = frame["folder"]
        if isinstance(frame.get("ended"), int):
            self._ended = frame
        if frame.get("removed") is True:
            self._removed = True
        if "left" in frame:
            self._left = str(frame["left"])

    def _step(self, label: str, done: int, total: int) -> None:
        """Show a step of the board as one of this machine; called by the connection's thread."""
        if done == 1 or label != self._label:
            self._label, self._bar = label, self._reporter.progress(range(total), label, total)
        next(self._bar, None)


def _distributions(engines: Sequence[str]) -> list[str]:
    """Return what brings engines, for pip."""
    return list(dict.fromkeys(ENGINE_PACKAGES[name][1] for name in engines))
