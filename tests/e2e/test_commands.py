"""protocol.md section 4: one command at a time, in order; and the pages that tell of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, Robot, eventually, knowing, obey, settle
from tests.e2e.device import Device, frame
from tests.e2e.harness import Gateway, Json

RECORD = [
    "status", "late", "message", "imei", "type", "long", "command", "key", "source",
    "state", "accepted_at", "sent_at", "ended_at", "late_at",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"max_waiting": 4}}) as running:
        yield running


@pytest.fixture
def device(served: Gateway, imei: str) -> Iterator[Device]:
    with served.register(imei) as registered:
        yield registered


@pytest.fixture
def caller(served: Gateway) -> Iterator[Caller]:
    with Caller(served) as connected:
        yield connected


def statuses(caller: Caller, *ids: str) -> list[str]:
    """The statuses of the replies to these requests, which may come in any order."""
    replies = {reply["id"]: reply for reply in (caller.line() for _ in ids)}
    return [replies[id]["status"] for id in ids]


def ask_in_order(served: Gateway, caller: Caller, imei: str, *asked: str) -> None:
    """Ask for these: "QD5" for a start, "ST" for a stop, "ST!" for one that cancels."""
    for number, command in enumerate(asked):
        if command.startswith("ST"):
            caller.send(id=command, imei=imei, type="stop", cancel=command == "ST!", expires=9)
        else:
            caller.send(id=command, imei=imei, type="start", long=command[2:], expires=9)
        if number == 0:
            served.until(None, "in_flight", 1)


def test_starts_go_out_one_at_a_time_and_in_order(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    ask_in_order(served, caller, imei, "QD1", "QD2", "QD3")
    for command in ("QD1", "QD2", "QD3"):
        device.expect(frame("000", imei, "QD", command[2:]))
        device.expect_nothing(imei)  # until there is a result
        settle(device, imei, command)
    assert statuses(caller, "QD1", "QD2", "QD3") == ["200"] * 3


def test_a_stop_goes_ahead_of_waiting_starts(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    ask_in_order(served, caller, imei, "QD1", "QD2", "QD3", "ST")
    served.until(None, "waiting", 3)
    for command in ("QD1", "ST", "QD2", "QD3"):
        obey(device, imei, command)
    assert statuses(caller, "QD1", "QD2", "QD3", "ST") == ["200"] * 4


def test_a_stop_cancels_waiting_starts_where_it_says_so(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    ask_in_order(served, caller, imei, "QD1", "QD2", "QD3", "ST!")
    obey(device, imei, "QD1", "201")
    obey(device, imei, "ST")
    assert statuses(caller, "QD1", "QD2", "QD3", "ST!") == ["201", "410", "410", "200"]
    device.expect_nothing(imei)
    records = served.ask({"type": "history", "imei": imei, "limit": 3})["items"]
    stop = next(record["command"] for record in records if record["type"] == "stop")
    cancelled = [record for record in records if record["status"] == "410"]
    assert len(cancelled) == 2
    assert all(stop in record["message"] and not record["sent_at"] for record in cancelled)


def test_the_cli_stops_and_cancels(served: Gateway, imei: str) -> None:
    with Robot(served, imei, None) as device, Caller(served) as caller:
        ask_in_order(served, caller, imei, "QD1", "QD2")
        served.until(None, "waiting", 1)
        eventually(lambda: device.seen, lambda seen: seen == ["QD1"])
        device.status = "200"  # from now on: the first start stays without an answer
        device.device.send(frame("201", imei, "QD"))
        assert statuses(caller, "QD1", "QD2") == ["201", "200"]
        assert served.cli("stop", imei, "--cancel-waiting").returncode == 0
        assert device.seen == ["QD1", "QD2", "ST"]


def test_a_command_waits_for_queue_timeout_at_most_behind_others(imei: str) -> None:
    """Only the second is subject to it: a commit that takes longer would end a command, too."""
    with (
        knowing({"command": {"queue_timeout": 0.3}}) as served,
        Caller(served) as caller,
        served.register(imei) as device,
    ):
        caller.send(id="first", imei=imei, type="start", long=1, timeout=60, expires=60)
        device.expect(frame("000", imei, "QD", "1"))
        caller.send(id="second", imei=imei, type="start", long=2)
        caller.send(id="third", imei=imei, type="start", long=3, expires=60)
        overdue = caller.line()
        assert (overdue["id"], overdue["status"]) == ("second", "410")
        settle(device, imei, "QD1")
        obey(device, imei, "QD3")
        assert statuses(caller, "first", "third") == ["200", "200"]
        record = served.ask({"type": "command", "command": overdue["command"]})
        assert (record["status"], record["sent_at"]) == ("410", None)


def test_past_max_waiting_it_is_429_and_nothing_is_lost(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    names = [f"QD{n}" for n in range(1, 7)]
    ask_in_order(served, caller, imei, *names)
    refused = caller.line()
    assert (refused["id"], refused["status"]) == ("QD6", "429")
    for command in names[:5]:
        obey(device, imei, command)
    assert statuses(caller, *names[:5]) == ["200"] * 5
    device.expect_nothing(imei)


def test_another_imei_in_a_202_settles_the_command_and_is_told(
    caller: Caller, device: Device, imei: str, other: str
) -> None:
    caller.send(id="start", imei=imei, type="start", long=5)
    device.expect(frame("000", imei, "QD", "5"))
    device.send(frame("202", other, "QD"))
    device.expect(frame("200", other, "QD"))
    reply = caller.line()
    assert (reply["status"], reply["imei"]) == ("202", imei)
    caller.follow(type="watch", imei=imei, after=0, events=["device.mismatch"])
    told = caller.line()
    assert (told["said"], told["status"]) == (other, "202")


def test_nothing_settles_on_a_connection_that_echoes(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    caller.send(imei=imei, type="start", long=5, timeout=0.2)
    sent = frame("000", imei, "QD", "5")
    device.expect(sent)
    device.send(sent)  # the modem echoes
    device.send(frame("200", imei, "QD"))  # it may be our own acknowledgement coming back
    device.expect(frame("200", imei, "QD"))
    assert caller.line()["status"] == "408"
    caller.follow(type="watch", imei=imei, after=0, events=["device.echoing", "result"])
    told = caller.until(lambda event: event["type"] == "result.unsolicited")
    assert [event["type"] for event in told] == ["device.echoing", "result.unsolicited"]
    record = served.ask({"type": "history", "imei": imei, "limit": 1})["items"][0]
    assert (record["status"], record["late"]) == ("408", False)


def test_pages_of_history_join_without_gap_or_repeat(served: Gateway, imei: str) -> None:
    with Robot(served, imei):
        ids = [
            served.ask({"imei": imei, "type": "start", "long": n, "key": f"{imei}-{n}"})["command"]
            for n in range(1, 8)
        ]
    found: list[Json] = []
    page: Json = {"next": None}
    for size in (3, 3, 1):
        after = {"after": page["next"]} if page["next"] else {}
        page = served.ask({"type": "history", "imei": imei, "limit": 3, **after})
        assert len(page["items"]) == size
        assert list(page) == ["status", "items", "next", "prev"]
        found += page["items"]
    assert page["next"] is None
    assert [record["command"] for record in found] == ids[::-1], "newest first"
    for record in found:
        assert [name for name in record if name in RECORD] == RECORD
        alone = served.ask({"type": "command", "command": record["command"]})
        assert {**alone, "name": "", "site": ""} == record
    newest = found[0]
    assert newest["key"] == f"{imei}-7"
    assert (newest["source"], newest["state"]) == ("socket", "ended")
    assert newest["accepted_at"] <= newest["sent_at"] <= newest["ended_at"]
    assert newest["late_at"] is None
    everything = served.ask({"type": "history", "limit": 1000})["items"]
    assert [r for r in everything if r["imei"] == imei] == found


def test_the_cli_shows_what_became_of_commands(served: Gateway, imei: str) -> None:
    with Robot(served, imei, "201"):
        reply = served.ask({"imei": imei, "type": "start", "long": 77})
    shown = served.cli("commands", "show", reply["command"])
    assert shown.returncode == 3, "the exit code of the command's own outcome"
    as_json = served.cli("commands", "show", reply["command"], "--json")
    record = json.loads(as_json.stdout)
    assert record == served.ask({"type": "command", "command": reply["command"]})
    listed = served.cli("history", imei, "--limit", "1")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert reply["command"] in listed.stdout
    assert "201" in listed.stdout
    page = json.loads(served.cli("history", imei, "--json").stdout)
    assert page["items"] == [{**record, "name": "", "site": ""}]
    nothing = served.cli("commands", "show", "01NOTHING")
    assert (nothing.returncode, nothing.stdout) == (2, "")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"type": "history", "limit": 0}, "limit"),
        ({"type": "history", "limit": "5"}, "limit"),
        ({"type": "history", "imei": "5"}, "imei"),
        ({"type": "history", "after": 5}, "after"),
        ({"type": "command"}, "command"),
        ({"type": "command", "command": "01NOTHING"}, "command"),
        ({"type": "cancel", "command": "01NOTHING"}, "command"),
    ],
)
def test_a_bad_field_is_named(served: Gateway, request_: Json, field: str) -> None:
    reply = served.ask(request_)
    assert reply["status"] == "400"
    assert reply["message"].startswith(f"{field}: ")
