"""What events tell a shop and an operator: whose order, which device, who changed what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, Robot, knowing
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway, Json


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


def last(served: Gateway) -> int:
    served.ask({"type": "refresh"})  # answered once all events are on disk
    number: int = served.ask({"type": "status"})["last_event"]
    return number


def events_after(served: Gateway, after: int, until: str, **more: object) -> list[Json]:
    with Caller(served) as caller:
        caller.follow(type="watch", after=after, **more)
        return caller.until(lambda line: line["type"] == until)


def edit(served: Gateway, imei: str, **fields: object) -> None:
    reply = served.ask({"type": "edit", "imei": imei, **fields})
    assert reply["status"] == "200", reply


def test_events_of_a_command_name_the_order_and_the_device(served: Gateway, imei: str) -> None:
    """D4: the shop got the id of a command that was never stored."""
    number = served.status(imei)["id"]
    edit(served, imei, name="按摩椅 4", site="north")
    after, key = last(served), f"order-{imei}"
    with served.register(imei) as device:
        start = {"type": "start", "imei": imei, "long": 500, "key": key, "timeout": 0.2}
        reply = served.ask(start)
        assert reply["outcome"] == "unknown"
        edit(served, imei, name="renamed")
        device.expect(frame("000", imei, "QD", "500"))
        device.send(frame("200", imei, "QD"))
        lines = events_after(served, after, "command.late", events="command", imei=imei)
    names = ["command.accepted", "command.sent", "command.ended", "command.late"]
    assert [line["type"] for line in lines] == names
    for line in lines:
        assert (line["command"], line["key"], line["source"]) == (reply["command"], key, "socket")
        assert (line["id"], line["site"]) == (number, "north")
    assert [line["outcome"] for line in lines] == ["pending", "pending", "unknown", "done"]
    assert [line["late"] for line in lines] == [False, False, False, True]
    assert [line["name"] for line in lines] == ["按摩椅 4"] * 3 + ["renamed"], "as it was then"


def test_a_refused_one_of_nobody_has_no_names(served: Gateway) -> None:
    """D4."""
    after = last(served)
    served.ask({"type": "start", "imei": "869999999999999", "long": 5, "key": "nobody"})
    [line] = events_after(served, after, "command.ended", events="command")
    assert (line["outcome"], line["key"]) == ("refused", "nobody")
    assert (line["id"], line["name"], line["site"]) == (None, None, None)


def test_a_change_tells_what_and_by_whom(served: Gateway, imei: str) -> None:
    """D17, M7: name and site were changed, and the event said {"enabled": true}."""
    edit(served, imei, name="Bay 1", site="south", phone="400")
    after = last(served)
    edit(served, imei, name="Bay 2", phone=None, qr="x" * 900)
    [line] = events_after(served, after, "device.changed", events="device")
    assert line["changes"] == {
        "name": {"old": "Bay 1", "new": "Bay 2"},
        "phone": {"old": "400", "new": None},
        "qr": {"old": None, "new": "x" * 199 + "…"},
    }
    assert (line["source"], line["name"], line["enabled"]) == ("socket", "Bay 2", True)
    served.logged("device changed", imei, "name", "socket")
    after = last(served)
    edit(served, imei, name="Bay 2")
    assert served.cli("devices", "edit", imei, "--site", "east").returncode == 0
    [line] = events_after(served, after, "device.changed", events="device")
    assert line["changes"] == {"site": {"old": "south", "new": "east"}}
    assert line["source"] == "socket"
    after = last(served)
    database = sqlite3.connect(served.folder / "devgate.db")
    database.execute("UPDATE device SET site = 'west' WHERE imei = ?", (imei,))
    database.commit()
    database.close()
    served.ask({"type": "refresh"})
    [line] = events_after(served, after, "device.changed", events="device")
    assert line["changes"] == {"site": {"old": "east", "new": "west"}}
    assert line["source"] == "database", "another program wrote there"


def test_a_removed_device_is_named(served: Gateway) -> None:
    """M7: `device.removed {}` had no name and no source."""
    after, imei = last(served), "861111111111111"
    given = {"imei": imei, "name": "Bay 9", "site": "west"}
    assert served.ask({"type": "add", **given})["status"] == "200"
    assert served.ask({"type": "remove", "imei": imei})["status"] == "200"
    lines = events_after(served, after, "device.removed", events="device")
    assert [line["type"] for line in lines] == ["device.added", "device.removed"]
    for line in lines:
        assert {name: line[name] for name in given} == given
        assert (line["source"], line["id"]) == ("socket", lines[0]["id"])


def test_a_start_is_told_in_few_bytes(served: Gateway, imei: str) -> None:
    """D4: three rows are written for a start, each with all that a shop needs."""
    after = last(served)
    with Robot(served, imei):
        served.ask({"type": "start", "imei": imei, "long": 500, "key": "order-4711"})
    lines = events_after(served, after, "command.ended", events="command", imei=imei)
    assert len(lines) == 3
