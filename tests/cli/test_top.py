"""`devgate top`, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterable
from typing import Any

import pytest

from devgate.cli.observer import Cursor, DevicePage, Observer
from devgate.cli.screen import drawn
from tests.cli.answering import IMEI, OTHER, Answering
from tests.cli.conftest import Run, Spawn
from tests.e2e.device import WAIT_SECONDS

EVENT = {
    "event": 7, "at": "2026-11-25T00:00:00.000Z", "type": "device.online", "imei": OTHER,
    "address": "127.0.0.1:5", "name": "Bay 8", "site": "North",
}  # fmt: skip


def item(imei: str, until: str | None) -> dict[str, Any]:
    return {
        "imei": imei, "id": 1, "name": "Chair", "site": "North", "enabled": True, "online": True,
        "since": "2026-11-25T00:00:00.000Z", "address": "127.0.0.1:5", "heard": None,
        "running_until": until, "unit": "seconds",
    }  # fmt: skip


@pytest.fixture(autouse=True)
def fleet(gateway: Answering) -> None:
    """Two devices online, the second of which runs, and one event."""

    def answer(request: dict[str, Any]) -> Iterable[dict[str, Any]]:
        runs = item(IMEI, "2099-01-01T00:00:00.000Z")
        if request["type"] == "devices":
            items = [runs] if request.get("running") else [item(OTHER, None), runs]
            return [{"status": "200", "items": items, "next": None}]
        if request["type"] == "events":
            items = [EVENT] if request["after"] < 7 else []
            return [{"status": "200", "items": items, "next": None, "last": 7}]
        return [{
            "status": "200", "version": "1.2", "uptime": 61, "registered": 2, "devices": 3,
            "connections": 2, "in_flight": 1, "waiting": 4, "store": "ok", "memory": 2**20,
            "last_event": 7, "draining": False,
        }]  # fmt: skip

    gateway.answer = answer


def test_elsewhere_it_is_shown_once(run: Run) -> None:
    done = run("top")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("devgate 1.2, up 1 min")
    rows = [line.split() for line in lines if line.startswith("Chair")]
    assert [row[-1] for row in rows] == [IMEI, OTHER], "who runs comes first, and nobody twice"
    assert [row[1] for row in rows] == ["running", "online"]
    assert lines[-1].startswith("00:00:00Z  device.online       Bay 8 ")


def test_a_json_object_a_look(gateway: Answering, spawn: Spawn) -> None:
    process = spawn("--socket", gateway.path, "top", "--json")
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) == 0
    assert [i["imei"] for i in first["items"]] == [IMEI, OTHER]
    assert first["events"] == second["events"] == [EVENT], "an event is asked for once"


def test_no_gateway_is_13(run: Run, gateway: Answering) -> None:
    gateway.close()
    os.unlink(gateway.path)
    assert run("top").exit_code == 13


def test_a_gateway_that_cannot_say_is_reported(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "503", "message": "the database is away"}]
    done = run("top")
    assert (done.exit_code, done.stderr) == (12, "devgate: the database is away\n")


def test_a_terminal_is_filled_and_left_as_it_was(gateway: Answering) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-m", "devgate", "--socket", gateway.path, "top"],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )  # fmt: skip
    try:
        screen, ends = b"", time.monotonic() + WAIT_SECONDS
        while b"device.online" not in screen:
            assert time.monotonic() < ends, screen
            if select.select([ours], [], [], 0.1)[0]:
                screen += os.read(ours, 65536)
        assert IMEI.encode() in screen
        os.write(ours, b"q")
        assert process.wait(WAIT_SECONDS) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize("columns", [80, 110])
def test_nothing_that_matters_is_cut(columns: int) -> None:
    """D28: at 110 columns the outcome was cut off, for the id came first."""
    from rich.console import Console

    runs = item(IMEI, "2099-01-01T00:00:00.000Z") | {
        "online": False, "name": "Massage chair at gate 12", "site": "Airport Terminal 2, north",
        "heard": "2026-11-25T00:00:00.000Z",
    }  # fmt: skip
    ended = EVENT | {
        "type": "command.ended", "command": "01M8ACJXG58JF64186BWEAMZCP", "kind": "start",
        "long": 500, "outcome": "refused", "status": "423", "key": "order-4711", "id": 1,
    }  # fmt: skip
    gateway = {
        "version": "1.2", "uptime": 61, "registered": 2, "devices": 3, "connections": 2,
        "in_flight": 1, "waiting": 4, "store": "ok", "memory": 2**20,
    }  # fmt: skip
    console = Console(width=columns, height=20, record=True, file=io.StringIO())
    console.print(drawn(gateway, DevicePage([runs]), [ended], 1, (1, 1), columns))
    lines = console.export_text().splitlines()
    (row,) = [line for line in lines if line.startswith("Massage chair")]
    assert row.startswith("Massage chair at gat")
    assert "running, offline" in row
    assert row.endswith(IMEI)
    (event,) = [line for line in lines if "command.ended" in line]
    assert "Bay 8            refused 423  start 500" in event


def test_pages_go_from_those_that_run_to_those_offline(gateway: Answering) -> None:
    kinds = {(True, None): "1", (False, True): "2", (False, False): "3"}

    def answer(request: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Two devices of each kind."""
        kind = kinds[request["running"], request.get("online")]
        behind = [f"{kind}{n}" for n in "12" if f"{kind}{n}" > request.get("after", "")]
        items = [item(imei, None) for imei in behind[: request["limit"]]]
        more = len(behind) > len(items)
        return [{"status": "200", "items": items, "next": items[-1]["imei"] if more else None}]

    gateway.answer = answer
    place: Cursor | None = Cursor()
    pages = []
    with Observer(gateway.path) as observer:
        while place is not None:
            page = observer.page(place, 3)
            pages.append([device["imei"] for device in page.items])
            place = page.next
    assert pages == [["11", "12", "21"], ["22", "31", "32"]]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_a_signal_leaves_a_clean_terminal(
    gateway: Answering, number: signal.Signals, code: int
) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "devgate", "--socket", gateway.path,
         "top"],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    try:
        screen, ends = b"", time.monotonic() + WAIT_SECONDS
        while b"q leaves" not in screen:
            assert time.monotonic() < ends, screen
            screen += os.read(ours, 65536)
        process.send_signal(number)
        while b"\x1b[?1049l" not in screen:
            assert time.monotonic() < ends, screen
            screen += os.read(ours, 65536)
        assert process.wait(WAIT_SECONDS) == code
        assert termios.tcgetattr(theirs) == before
        assert b"Traceback" not in screen
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)
