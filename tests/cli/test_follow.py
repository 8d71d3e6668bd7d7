from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devgate.cli.follow import shown_bytes
from tests.cli.answering import IMEI, Answering, Reply
from tests.cli.conftest import Run, Spawn

OPENED: Reply = {"status": "200", "message": "watching"}
ONLINE: Reply = {
    "event": 4711, "at": "2025-01-31T12:00:00.123Z", "type": "device.online", "imei": IMEI,
    "address": "1.2.3.4:5678", "reason": None,
}  # fmt: skip
ENDED: Reply = {
    "event": 4713, "at": "2025-01-31T12:00:10.004Z", "type": "command.ended", "imei": IMEI,
    "command": "01M8ACJXG58JF64186BWEAMZCP", "id": 7, "name": "按摩椅 7", "site": "North",
    "kind": "start", "long": 500, "key": "o-1", "source": "socket", "outcome": "done",
    "late": False, "status": "200", "message": "started", "why": None, "new_address": False,
}  # fmt: skip
RECORD: Reply = {
    "command": "01M8ACJXG58JF64186BWEAMZCP", "imei": IMEI, "type": "start", "long": 500,
    "state": "done", "status": "200", "late": False, "key": "o-1",
    "accepted_at": "2025-01-31T12:00:00.000Z",
}  # fmt: skip
IN: Reply = {
    "at": "2025-01-31T12:00:01.000Z", "imei": None, "address": "1.2.3.4:5678", "direction": "in",
    "bytes": f"023000{IMEI}TN", "decoded": f"TN 000 {IMEI}", "why": None,
}  # fmt: skip
OUT: Reply = {
    "at": "2025-01-31T12:00:01.001Z", "imei": None, "address": "1.2.3.4:5678", "direction": "out",
    "bytes": "006404", "decoded": "404", "why": "the connection has not registered",
}  # fmt: skip


def test_watch_asks_for_what_was_asked_for(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [OPENED]
    run("watch")
    run("watch", IMEI, "--after", "0", "--events", "device.online, command.late")
    assert gateway.requests == [
        {"type": "watch"},
        {"type": "watch", "imei": IMEI, "after": 0, "events": ["device.online", "command.late"]},
    ]


def test_a_number_that_no_event_has_yet_is_said(run: Run, gateway: Answering) -> None:
    behind = "no event has the number 9 yet, the newest is 3; watching from now on"
    gateway.answer = lambda request: [{**OPENED, "message": behind, "after": 3}, ONLINE]
    got = run("watch", "--after", "9", "--json")
    assert got.stderr.splitlines()[0] == f"devgate: {behind}"
    assert json.loads(got.stdout) == ONLINE
    gateway.answer = lambda request: [{**OPENED, "after": request["after"]}, ONLINE]
    assert "watching" not in run("watch", "--after", "9").stderr


def test_events_as_text_and_as_json(run: Run, gateway: Answering) -> None:
    missed: Reply = {"missed": 3}
    gateway.answer = lambda request: [OPENED, ONLINE, missed]
    assert run("watch").stdout.splitlines() == [
        f"12:00:00.123Z  device.online       {IMEI}  address=1.2.3.4:5678  event=4711",
        "-- 3 missed: this reader was too slow --",
    ]
    lines = run("watch", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [ONLINE, missed]


CHANGED: Reply = {
    "event": 4714, "at": "2025-01-31T12:00:11.000Z", "type": "device.changed", "imei": IMEI,
    "changes": {
        "name": {"old": None, "new": "Chair\n\x1b[31m"}, "enabled": {"old": True, "new": False},
        "tags": {"old": [], "new": ["leather", "2026"]}, "note": {"old": "", "new": "x" * 500},
    },
    "source": "socket",
}  # fmt: skip
GIVEN: Reply = {
    "event": 4715, "at": "2025-01-31T12:00:12.000Z", "type": "operation.done", "imei": None,
    "operation": "zone", "given": {"site": "North", "zone": None, "all": True},
    "devices": ["a", "b"], "first": True,
}  # fmt: skip


def test_a_change_is_told_as_a_person_reads_it(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one line, bounded, in both languages, and no control character of a name."""
    many = {f"field{n}": {"old": "y" * 99, "new": "z" * 99} for n in range(99)}
    gateway.answer = lambda request: [OPENED, CHANGED, GIVEN, {**CHANGED, "changes": many}]
    changed, given, long = run("watch").stdout.splitlines()
    assert changed == (
        f"12:00:11.000Z  device.changed      {IMEI}  name: - -> Chair\\n\\x1b[31m; "
        f"enabled: yes -> no; tags: - -> leather, 2026; note: - -> {'x' * 57}...  event=4714  "
        "source=socket"
    )
    assert given == (
        "12:00:12.000Z  operation.done      -                operation=zone  given=site: North; "
        "zone: -; all: yes  devices=a, b  first=yes  event=4715"
    )
    assert len(long) < 400
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    changed, given, _ = run("watch").stdout.splitlines()
    assert "; enabled: 是 -> 否; " in changed
    assert given.endswith("; all: 是  devices=a, b  first=是  event=4715")


def test_the_audit_is_told_so_too(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    page: Reply = {"status": "200", "items": [CHANGED, GIVEN], "next": None}
    gateway.answer = lambda request: [page]
    _, changed, given = run("audit").stdout.splitlines()
    assert f"{IMEI}  name: - -> Chair\\n\\x1b[31m; enabled: yes -> no; " in changed
    assert changed.endswith("x...")
    assert given.endswith("zone             site: North; zone: -; all: yes")
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    header, changed, _ = run("audit").stdout.splitlines()
    assert header.split() == ["时间", "类型", "来源", "地址", "对象", "详情"]
    assert "; enabled: 是 -> 否; " in changed
    row = run("audit", "--csv").stdout
    assert f"note: - -> {'x' * 500}" in row, "a file has all of it, in every language alike"
    assert "enabled: yes -> no" in row


CLOSED: Reply = {
    "event": 4716, "at": "2025-01-31T12:00:12.000Z", "type": "operation.done", "imei": None,
    "operation": "maintenance_on", "given": {"site": "North", "until": 1738326600.0},
}  # fmt: skip
INVITED: Reply = {
    "event": 4717, "at": "2025-01-31T12:00:13.000Z", "type": "account.changed", "imei": None,
    "kind": "user", "name": "anna", "source": "web:boss",
    "changes": {"invitation": {"old": None, "new": "2025-02-07T12:00:13.000Z"}},
}  # fmt: skip
BEGAN: Reply = {
    "event": 4718, "at": "2025-01-31T12:00:12.000Z", "type": "maintenance.began", "imei": None,
    "site": "North", "until": "2025-01-31T12:30:00.000Z",
}  # fmt: skip


def test_a_time_among_changes_is_one_as_everywhere_else(run: Run, gateway: Answering) -> None:
    """`until` is not shown as seconds since 1970."""
    page: Reply = {"status": "200", "items": [CLOSED, INVITED], "next": None}
    gateway.answer = lambda request: [page]
    _, closed, invited = run("audit").stdout.splitlines()
    assert closed.endswith("maintenance_on  site: North; until: 2025-01-31 12:30:00Z")
    assert invited.endswith("invitation: - -> 2025-02-07 12:00:13Z")
    shown = on_a_terminal(gateway, "audit", TZ="Asia/Shanghai")
    assert b"until: 2025-01-31 20:30:00+08" in shown
    assert b"invitation: - -> 2025-02-07 20:00:13+08" in shown
    assert json.loads(run("audit", "--json").stdout) == page
    closed = run("audit", "--csv").stdout.splitlines()[1]
    assert closed.endswith("site: North; until: 2025-01-31T12:30:00.000Z")
    gateway.answer = lambda request: [OPENED, CLOSED, BEGAN]
    closed, began = run("watch").stdout.splitlines()
    assert "given=site: North; until: 2025-01-31 12:30:00Z" in closed
    assert "  until=2025-01-31 12:30:00Z  " in began


def test_refusals_that_were_not_told_are_no_errors(
    run: Run, gateway: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: Reply = {"event": 9, "at": BEGAN["at"], "type": "session.refused", "skipped": 3}
    gateway.answer = lambda request: [{"status": "200", "items": [refused], "next": None}]
    assert run("audit").stdout.endswith("3 more like this\n")
    monkeypatch.setenv("DEVGATE_LANG", "zh")
    assert run("audit").stdout.endswith("另有 3 条类似记录\n")


def test_what_came_of_a_command_stands_before_its_ids(run: Run, gateway: Answering) -> None:
    """D28: the id came first, and no name."""
    gateway.answer = lambda request: [OPENED, ENDED]
    (line,) = run("watch").stdout.splitlines()
    assert line == (
        "12:00:10.004Z  command.ended       按摩椅 7         done 200  start 500  key=o-1"
        f"  message=started  imei={IMEI}  event=4713  source=socket  site=North"
        "  command=01M8ACJXG58JF64186BWEAMZCP"
    )
    assert line.index("start 500") + len("start 500") <= 80


def test_a_terminal_has_times_of_its_zone(gateway: Answering) -> None:
    """D27: TZ was ignored."""
    gateway.answer = lambda request: [OPENED, ENDED]
    shown = on_a_terminal(gateway, "watch", TZ="Asia/Kolkata")
    assert b"17:30:10.004+05:30  " in shown
    gateway.answer = lambda request: [{"status": "200", "items": [RECORD], "next": None}]
    assert b"2025-01-31 13:00:00+01  " in on_a_terminal(gateway, "history", TZ="Europe/Berlin")
    assert b"2025-01-31 12:00:00Z  " in on_a_terminal(gateway, "history", TZ="UTC")
    gateway.answer = lambda request: [{"status": "200", "heard": RECORD["accepted_at"]}]
    shown = on_a_terminal(gateway, "devices", "show", IMEI, TZ="Asia/Shanghai")
    assert b"heard          2025-01-31 20:00:00.000+08" in shown


def on_a_terminal(gateway: Answering, *args: str, **given: str) -> bytes:
    """The output of a command on a terminal."""
    environ = {**os.environ, "TERM": "xterm"} | given
    if "NO_COLOR" not in given:
        environ.pop("NO_COLOR", None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "devgate", "--socket", gateway.path, *args],
        stdout=theirs, stderr=subprocess.DEVNULL, env=environ,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 1000):
                shown += data
        except OSError:
            pass  # how a terminal ends, when the last program has left it
        os.close(ours)
    assert process.returncode in (0, 13)  # 13: the stream was ended
    return shown


def test_a_stream_that_the_gateway_ends_says_how_to_go_on(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [OPENED, ONLINE]
    got = run("watch")
    assert got.exit_code == 13
    assert got.stderr == "devgate: the gateway ended the stream; go on with --after 4711\n"


@pytest.mark.parametrize("command", [["watch", IMEI], ["tap", IMEI]])
def test_a_stream_that_is_refused_has_the_exit_code_of_its_status(
    run: Run, gateway: Answering, command: list[str]
) -> None:
    gateway.answer = lambda request: [{"status": "300", "message": "no such IMEI"}]
    got = run(*command)
    assert (got.exit_code, got.stdout, got.stderr) == (5, "", "devgate: no such IMEI\n")


def test_frames_as_text_say_why(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [OPENED, IN, OUT]
    assert run("tap", "--unregistered").stdout.splitlines() == [
        f"12:00:01.000Z  1.2.3.4:5678           -                in   023000{IMEI}TN"
        f"  TN 000 {IMEI}",
        "12:00:01.001Z  1.2.3.4:5678           -                out  006404  404"
        "  (the connection has not registered)",
    ]
    assert gateway.requests == [{"type": "tap", "unregistered": True}]


@pytest.mark.parametrize("args", [["tap"], ["tap", IMEI, "--unregistered"]])
def test_a_tap_is_of_one_device_or_of_unregistered_connections(
    run: Run, gateway: Answering, args: list[str]
) -> None:
    assert (run(*args).exit_code, gateway.requests) == (2, [])


def test_a_tap_is_saved_as_it_came(run: Run, gateway: Answering, tmp_path: Path) -> None:
    gateway.answer = lambda request: [OPENED, IN, OUT]
    file = tmp_path / "odd.jsonl"
    assert "ended the stream" in run("tap", IMEI, "--save", str(file)).stderr
    assert [json.loads(line) for line in file.read_text().splitlines()] == [IN, OUT]
    again = run("tap", IMEI, "--save", str(file))
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == f"devgate: {file} exists already; save to a new file\n"
    assert [json.loads(line) for line in file.read_text().splitlines()] == [IN, OUT]


def test_a_tap_that_cannot_be_saved(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [OPENED, IN]
    got = run("tap", IMEI, "--save", "/nowhere/odd.jsonl")
    assert got.exit_code == 2
    assert (
        got.stderr == "devgate: /nowhere/odd.jsonl cannot be written: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"023000123456787654321HT", "023000123456787654321HT"),
        ("二维码".encode(), "二维码"),
        (b"\x00\x1b[31m\r\n", r"\x00\x1b[31m\r\n"),
        (b"\xff\xfe", r"\xff\xfe"),
    ],
)
def test_bytes_are_shown_on_one_line_and_move_no_cursor(data: bytes, text: str) -> None:
    assert shown_bytes(data) == text


def _held_open(gateway: Answering, *lines: Reply) -> None:
    """A stream of these lines, which goes on until the caller leaves."""
    gateway.answer = lambda request: [OPENED, *lines]
    gateway.hold = True


def test_ctrl_c_leaves_a_stream_quietly(spawn: Spawn, gateway: Answering) -> None:
    _held_open(gateway, ONLINE)
    process = spawn("watch", "--json")
    assert process.stdout
    assert json.loads(process.stdout.readline()) == ONLINE, "at once, not when a buffer is full"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert gateway.gone.wait(60)


def test_a_reader_that_goes_away_ends_it_quietly(spawn: Spawn, gateway: Answering) -> None:
    """`devgate watch | head -1`."""
    _held_open(gateway, *[ONLINE] * 10_000)
    process = spawn("watch", "--json")
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr
    assert process.stderr.read() == ""


@pytest.mark.parametrize("no_color", [False, True])
def test_only_a_terminal_gets_colours(gateway: Answering, no_color: bool) -> None:
    gateway.answer = lambda request: [OPENED, IN, OUT]
    colours = {"NO_COLOR": "1"} if no_color else {}
    shown = on_a_terminal(gateway, "tap", IMEI, COLUMNS="40", **colours)
    assert shown.count(b"\r\n") == 2, "a frame is one line, however narrow the terminal"
    assert (b"\x1b[31m" in shown or b"\x1b[1;31m" in shown) is not no_color
