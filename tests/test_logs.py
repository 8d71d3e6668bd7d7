"""What the log looks like: JSON with fields for programs, colours for people."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate import logs, logwriter
from tests.e2e.caller import eventually

ROOT = Path(__file__).parents[1]

Json = dict[str, Any]
log = logging.getLogger("devgate.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """pytest's own handlers, and the settings of the standard library, come back."""
    root, srcfile, factory = logging.getLogger(), logging._srcfile, logging.getLogRecordFactory()
    handlers, level = root.handlers[:], root.level
    switches = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    yield
    logs.close()
    logging.setLogRecordFactory(factory)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging._srcfile = srcfile
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = switches


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Json]]:
    """The lines that were logged since the last call."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up("info", "auto")

    def lines() -> list[Json]:
        logs.flush()
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    return lines


def test_fields_are_keys(said: Callable[[], list[Json]]) -> None:
    log.info("device online imei=%s address=%s", "860000000000001", "127.0.0.1:5678")
    (line,) = said()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("at"))
    assert line == {
        "level": "info", "logger": "devgate.test", "event": "device online",
        "imei": "860000000000001", "address": "127.0.0.1:5678",
    }  # fmt: skip
    assert list(line) == ["level", "logger", "event", "imei", "address"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7), (True, True), (None, None), (0.25, 0.25), ("a \"b\"\n中", "a \"b\"\n中"),
        (OSError("disk full"), "disk full"), (float("inf"), "inf"), ((1, 2), "(1, 2)"),
    ],
)  # fmt: skip
def test_values_stay_what_they_are(
    said: Callable[[], list[Json]], value: object, shown: object
) -> None:
    log.warning("commit refused error=%s", value)
    log.warning("commit refused error=%r count=%d", value, 3)
    first, second = said()
    assert (first["event"], first["error"]) == ("commit refused", shown)
    assert (second["error"], second["count"]) == (shown, 3)


def test_what_is_not_in_our_manner_is_a_sentence(said: Callable[[], list[Json]]) -> None:
    log.info("in a second terminal: devgate start %s 500", "1")
    log.info("stopped")
    log.info("two alike a=%s a=%s", 1, 2)
    log.info("hides ours level=%s", "high")
    log.info("by name a=%(a)s", {"a": 1})
    log.info(OSError("no text at all"))
    assert [line["event"] for line in said()] == [
        "in a second terminal: devgate start 1 500", "stopped", "two alike a=1 a=2",
        "hides ours level=high", "by name a=1", "no text at all",
    ]  # fmt: skip


def test_a_traceback_stays_within_its_line(said: Callable[[], list[Json]]) -> None:
    try:
        raise ValueError("of ours")
    except ValueError:
        log.exception("connection crashed imei=%s", None)
    (line,) = said()
    assert (line["level"], line["event"], line["imei"]) == ("error", "connection crashed", None)
    assert line["exception"].endswith("ValueError: of ours")


def test_warnings_and_levels(said: Callable[[], list[Json]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # again: the block above has put back the original
        warnings.warn("something is old", stacklevel=1)
    log.debug("not shown")
    logs.set_level("debug")
    log.debug("shown")
    logging.getLogger("alembic").info("not shown")
    first, second = said()
    assert "something is old" in first["event"]
    assert second["event"] == "shown"


@given(st.text(), st.text())
def test_any_text_is_one_line_of_json(message: str, value: str) -> None:
    for record, key, expected in (
        (
            logging.LogRecord("a", logging.INFO, "", 0, "told what=%s", (value,), None),
            "what",
            value,
        ),
        (logging.LogRecord("a", logging.INFO, "", 0, message, (), None), "event", message),
    ):
        line = logs.JsonLines().format(record)
        assert "\n" not in line
        assert json.loads(line)[key] == expected


def test_a_library_that_makes_up_messages_costs_no_memory() -> None:
    for n in range(2 * logs.MAX_SHAPES):
        assert logs.shape_of(f"message {n} a=%s") is not None
    assert len(logs._shapes) <= logs.MAX_SHAPES


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal is shown of two lines."""
    primary, secondary = os.openpty()
    with os.fdopen(secondary, "w") as terminal, os.fdopen(primary, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        logs.set_up("info", "auto")
        log.info("device offline imei=%s reason=%s", "860000000000001", "silent for too long")
        try:
            raise ValueError("of ours")
        except ValueError:
            log.exception("connection crashed imei=%s", None)
        shown = b""
        while b"ValueError: of ours\r\n" not in shown:
            shown += screen.read(65536)
        monkeypatch.undo()
        return shown.decode()


def test_a_terminal_is_shown_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """D27: and times with their offset; they were UTC without a mark."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = on_a_terminal(monkeypatch)
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d \[info +\] device offline +imei=86", plain
    )
    assert "reason='silent for too long'" in plain
    assert "ValueError: of ours" in plain


def test_a_terminal_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_a_terminal(monkeypatch)


def calls() -> Iterator[tuple[str, str | None]]:
    """Every log call of the gateway: where it stands, and its message."""
    for path in sorted((ROOT / "devgate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                first = node.args[0]
                text = first.value if isinstance(first, ast.Constant) else None
                yield f"{path.name}:{node.lineno}", text if isinstance(text, str) else None


def test_every_call_is_a_phrase_and_fields() -> None:
    found = list(calls())
    assert len(found) > 30
    for where, message in found:
        assert message is not None, f"{where}: a constant message expected"
        if "=" in message:
            assert logs.shape_of(message) is not None, f"{where}: {message}"


def test_arguments_are_noted_when_they_are_logged(said: Callable[[], list[Json]]) -> None:
    """A value that changes after the call is logged as it was at the call."""
    parts: list[object] = [1]

    class Fails:
        def __str__(self) -> str:
            raise ValueError("not today")

    log.info("a list parts=%s", parts)
    log.info("in a sentence: %r", parts)
    log.info("cannot be said what=%s", Fails())
    # pytest's own handler would not take a wrong call.
    wrong = logs.Record("ours", logging.INFO, "", 0, "two expected: %s %s", (1,), None)
    logging.getLogger().handlers[0].handle(wrong)
    parts.append(2)
    first, second, third, fourth = said()
    assert first["parts"] == "[1]"
    assert second["event"] == "in a sentence: [1]"
    assert "Fails object" in third["what"]
    assert "two expected" in str(fourth), "a wrong call loses no line"


def test_a_traceback_of_any_length_is_bounded(said: Callable[[], list[Json]]) -> None:
    try:
        raise ValueError("x" * 10 * logs.MAX_TRACEBACK)
    except ValueError:
        log.exception("crashed")
    (line,) = said()
    assert "characters left out" in line["exception"]
    assert len(line["exception"]) < 2 * logs.MAX_TRACEBACK


def test_f8_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """F8: while nobody reads, MAX_WAITING lines wait; then only errors, and a line says so."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        logs.set_up("info", "json")
        count = 2 * logwriter.MAX_WAITING
        for n in range(count):
            log.info("counted n=%s", n)
        log.error("an error, of all things")
        # From here on the reader reads. What was in the pipe is not known, so ask for the rest.
        lines: list[Json] = []

        def read() -> None:
            lines.extend(json.loads(line) for line in reader)

        thread = threading.Thread(target=read)
        thread.start()
        eventually(lambda: len(lines), lambda found: found > logwriter.MAX_WAITING)
        dropped = logs.dropped()
        log.info("the first one after")
        logs.close()
        stream.close()
        thread.join()
    told = [line["n"] for line in lines if line["event"] == "counted"]
    assert told == list(range(len(told))), "the oldest are kept, in their order"
    assert dropped == count - len(told) > 0
    assert sum("an error" in line["event"] for line in lines) == 1
    gaps = [line for line in lines if line["event"] == "log lines dropped"]
    assert sum(gap["count"] for gap in gaps) == dropped
    assert lines.index(gaps[0]) >= len(told)
    assert lines[-1]["event"] == "the first one after"
