from __future__ import annotations

import json
from typing import Any

from devgate.http.api.samples.reports import REPORTS
from devgate.http.api.samples.sample import COMMAND, KEY
from tests.cli.answering import ID, IMEI, OTHER, Answering, Reply
from tests.cli.conftest import Run

ENDED: Reply = {
    "status": "200", "late": True, "message": "started", "imei": IMEI, "type": "start",
    "long": 500, "command": ID, "key": "order-1", "source": "socket", "state": "ended",
    "accepted_at": "2025-01-31T12:00:00.000Z", "sent_at": "2025-01-31T12:00:00.004Z",
    "ended_at": "2025-01-31T12:00:10.004Z", "late_at": "2025-01-31T12:00:31.500Z",
}  # fmt: skip
WAITING: Reply = {
    **ENDED, "status": "000", "late": False, "message": "waits for the device", "imei": OTHER,
    "type": "stop", "long": None, "key": None, "state": "waiting", "sent_at": None,
    "ended_at": None, "late_at": None,
}  # fmt: skip


def test_history_is_a_table(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "items": [WAITING, ENDED], "next": ID}]
    got = run("history", "--limit", "2")
    assert got.exit_code == 0
    assert got.stdout.splitlines() == [
        "ACCEPTED              IMEI             ORDER      STATUS         KEY      COMMAND",
        f"2025-01-31 12:00:00Z  {OTHER}  stop       waiting                 {ID}",
        f"2025-01-31 12:00:00Z  {IMEI}  start 500  200      late  order-1  {ID}",
    ]
    assert got.stderr == f"devgate: there are more: add --after {ID}\n"
    assert got.output == got.stdout + got.stderr, "the hint stands below the table"
    assert gateway.requests == [{"type": "history", "limit": 2}]


def test_history_as_json_is_the_reply(run: Run, gateway: Answering) -> None:
    reply: Reply = {"status": "200", "items": [ENDED], "next": "1"}
    gateway.answer = lambda request: [reply]
    got = run("history", IMEI, "--after", ID, "--json")
    assert (json.loads(got.stdout), got.stderr) == (reply, "")
    assert gateway.requests == [{"type": "history", "imei": IMEI, "after": ID}]


def test_no_history(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "items": [], "next": None}]
    assert run("history").stdout == "no commands\n"


def test_waiting_commands_are_listed_and_cancelled(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "200", "items": [WAITING], "next": None}]
    assert run("commands", "list", "--waiting", IMEI).exit_code == 0
    assert run("commands", "list", "--limit", "1").exit_code == 0
    gateway.answer = lambda request: [{"status": "200", "message": "cancelled", "command": ID}]
    assert run("commands", "cancel", ID).stdout == f"cancelled (command {ID})\n"
    assert gateway.requests == [
        {"type": "history", "imei": IMEI, "state": "waiting"},
        {"type": "history", "limit": 1},
        {"type": "cancel", "command": ID},
    ]


def test_a_command_is_shown_with_the_exit_code_of_its_outcome(
    run: Run, gateway: Answering
) -> None:
    gateway.answer = lambda request: [ENDED]
    got = run("commands", "show", ID)
    assert got.exit_code == 0
    assert got.stdout.splitlines() == [
        f"{ID}  start 500",
        f"  device            {IMEI}",
        "  outcome           200, late: started",
        "  state             ended",
        "  key               order-1",
        "  source            socket",
        "  accepted          2025-01-31 12:00:00.000Z",
        "  sent              2025-01-31 12:00:00.004Z",
        "  ended             2025-01-31 12:00:10.004Z",
        "  late result       2025-01-31 12:00:31.500Z",
    ]
    gateway.answer = lambda request: [{**ENDED, "status": "408", "late": False}]
    got = run("commands", "show", ID)
    assert (got.exit_code, got.stderr) == (7, "")
    assert "408: started" in got.stdout
    assert gateway.requests == [{"type": "command", "command": ID}] * 2


def test_a_command_that_nobody_knows(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [{"status": "404", "message": "no such command"}]
    got = run("commands", "show", ID)
    assert (got.exit_code, got.stdout, got.stderr) == (6, "", "devgate: no such command\n")
    got = run("commands", "show", "order-4711")
    assert got.exit_code == 6
    assert got.stderr.endswith("of an order: devgate commands story KEY\n"), "D15"


def test_json_may_stand_anywhere(run: Run, gateway: Answering) -> None:
    gateway.answer = lambda request: [ENDED]
    for args in (
        ["--json", "commands", "show", ID],
        ["commands", "--json", "show", ID],
        ["commands", "show", ID, "--json"],
    ):
        assert json.loads(run(*args).stdout) == ENDED


def test_history_is_narrowed(run: Run, gateway: Answering) -> None:
    """Each filter of the command line is a field of the request."""
    gateway.answer = lambda request: [{"status": "200", "items": [], "next": None}]
    since = "2026-11-01T00:00:00Z"
    args = (
        "--outcome",
        "failed,unknown",
        "--kind",
        "start",
        "--site",
        "北楼",
        "--source",
        "web:a",
    )
    assert run("history", *args, "--since", since, "--key", "order-1").exit_code == 0
    assert gateway.requests == [{
        "type": "history", "outcome": "failed,unknown", "kind": "start", "site": "北楼",
        "source": "web:a", "since": 1793491200, "key": "order-1",
    }]  # fmt: skip
    assert run("history", "--since", "soon").exit_code == 2


def test_history_as_csv_is_all_pages(run: Run, gateway: Answering) -> None:
    named = {**ENDED, "name": "Bay 4, left", "site": "north", "outcome": "done"}
    gateway.answer = lambda request: [
        {"status": "200", "items": [named], "next": None if "after" in request else ID}
    ]
    got = run("history", IMEI, "--csv")
    line = (
        f'2025-01-31T12:00:00.000Z,{IMEI},"Bay 4, left",north,start,500,done,200,true,started,'
        f"order-1,socket,{ID},2025-01-31T12:00:00.004Z,2025-01-31T12:00:10.004Z,"
        "2025-01-31T12:00:31.500Z"
    )
    header, *lines = got.stdout.splitlines()
    assert header.startswith("accepted_at,imei,name,site,type,long,outcome,")
    assert lines == [line, line]
    assert [request.get("after") for request in gateway.requests] == [None, ID]


def test_find_shows_what_the_words_stand_for(run: Run, gateway: Answering) -> None:
    """D15: the command line found no order."""
    device = {"imei": OTHER, "id": 7, "name": "Bay 7", "site": "north", "enabled": True,
              "online": False, "since": None, "running_until": None}  # fmt: skip
    gateway.answer = lambda request: [
        {"status": "200", "q": "7", "exact": 1, "devices": [device], "commands": [ENDED],
         "site": "7"}
    ]  # fmt: skip
    got = run("find", "Bay", "7")
    assert gateway.requests == [{"type": "find", "q": "Bay 7"}]
    assert got.stdout.startswith("site  7\n")
    assert "order-1" in got.stdout
    assert "Bay 7" in got.stdout
    gateway.answer = lambda request: [
        {"status": "200", "q": "x", "exact": 0, "devices": [], "commands": [], "site": None}
    ]
    assert run("find", "x").stdout == "nothing is called that\n"


def test_the_story_of_a_command_and_of_an_order(run: Run, gateway: Answering) -> None:
    """The samples that the API's documents show are what the gateway answers."""
    story: Any = REPORTS["story"].reply
    gateway.answer = lambda request: [
        story if request["type"] == "story" else {"status": "200", "key": KEY, "items": [story]}
    ]
    got = run("commands", "story", COMMAND)
    assert got.exit_code == 0, got.output
    head, _, lines = got.stdout.partition("\n\n")
    assert "outcome           200: started" in head
    rows = lines.splitlines()
    assert rows[0].split() == ["AT", "AFTER", "EVENT", "DETAIL"]
    assert [row.split("  ")[0] for row in rows[1:3]] == [
        "2026-11-24 06:30:11Z", "2026-11-24 12:00:00Z"
    ]  # fmt: skip
    assert [" * " in row for row in rows[1:]] == [False, True, True, True, False]
    assert "status=200  message=started" in lines
    assert run("commands", "story", KEY).stdout == got.stdout
    assert gateway.requests == [
        {"type": "story", "command": COMMAND},
        {"type": "order", "key": KEY},
    ]
    assert json.loads(run("commands", "story", COMMAND, "--json").stdout) == story
