"""`watch`: one numbered log that anybody follows, without a gap or a repeat."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, Json, environment, request_bytes

STORY = [
    "device.online", "command.accepted", "command.sent", "command.ended", "device.offline",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


def tell_a_story(served: Gateway, imei: str) -> str:
    """A device comes, is started, and goes. Returns the command's id."""
    with Robot(served, imei):
        reply = served.ask({"imei": imei, "type": "start", "long": 5, "key": f"key {imei}"})
    assert reply["status"] == "200"
    return str(reply["command"])


def follow(served: Gateway, last: str, **fields: object) -> list[Json]:
    """The events that a watcher gets, up to the first device.offline of the device `last`."""
    with Caller(served) as caller:
        caller.follow(type="watch", **fields)
        return caller.until(lambda e: (e["type"], e["imei"]) == ("device.offline", last))


def test_a_watcher_sees_what_happens_in_its_order(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        reply = caller.follow(id="w", type="watch")
        assert reply["id"] == "w"
        id = tell_a_story(served, imei)
        told = caller.until(lambda event: event["type"] == "device.offline")
    assert [event["type"] for event in told] == STORY
    numbers = [event["event"] for event in told]
    assert numbers == list(range(reply["after"] + 1, reply["after"] + 6))
    assert {event["id"] for event in told} == {"w"}
    for event in told:
        assert list(event)[:4] == ["event", "at", "type", "imei"]
        assert event["imei"] == imei
        assert event["at"].endswith("Z")
    accepted, sent, ended = told[1:4]
    assert {accepted["command"], sent["command"], ended["command"]} == {id}
    assert (accepted["kind"], accepted["long"], accepted["key"]) == ("start", 5, f"key {imei}")
    assert (ended["status"], ended["message"]) == ("200", "started")
    assert told[-1]["reason"] == "closed by the device"


def test_after_gives_what_has_happened_without_gap_or_repeat(served: Gateway, imei: str) -> None:
    before = served.ask({"type": "status"})["last_event"]
    tell_a_story(served, imei)
    everything = follow(served, imei, after=0)
    assert [event["event"] for event in everything] == list(range(1, before + 6))
    assert follow(served, imei, after=before) == everything[before:]
    assert follow(served, imei, after=before + 2) == everything[before + 2 :]


def test_after_a_number_that_is_not_yet_it_is_from_now_on(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        last = served.ask({"type": "status"})["last_event"]
        reply = caller.follow(type="watch", after=1 << 40)
        assert reply["after"] == last
        assert reply["message"] == (
            f"no event has the number {1 << 40} yet, the newest is {last}; watching from now on"
        )
        assert caller.follow(type="watch", after=last)["message"] == "watching"
        tell_a_story(served, imei)
        assert caller.line()["event"] == last + 1


def test_a_watcher_asks_for_some_events_of_one_device(
    served: Gateway, imei: str, other: str
) -> None:
    tell_a_story(served, other)
    tell_a_story(served, imei)
    of_one = follow(served, imei, imei=imei, after=0)
    assert [event["type"] for event in of_one] == STORY
    some = follow(served, imei, after=0, events=["command.ended", "device.offline"])
    assert {event["type"] for event in some} == {"command.ended", "device.offline"}
    assert {imei, other} <= {event["imei"] for event in some}
    group = follow(served, imei, imei=imei, after=0, events="device")
    assert [event["type"] for event in group] == [STORY[0], STORY[4]]


@pytest.mark.parametrize(
    ("fields", "name"),
    [({"after": -1}, "after"), ({"after": "5"}, "after"), ({"events": ["command.gone"]}, "events"),
     ({"events": 5}, "events"), ({"imei": "5"}, "imei")],
)  # fmt: skip
def test_a_bad_field_is_named(served: Gateway, fields: Json, name: str) -> None:
    reply = served.ask({"type": "watch", **fields})
    assert reply["status"] == "400"
    assert reply["message"].startswith(f"{name}: ")


def test_changes_of_devices_are_events(served: Gateway) -> None:
    imei = "860000000008888"
    for arguments in (["add"], ["disable"], ["remove", "--yes"]):
        done = served.cli("devices", arguments[0], imei, *arguments[1:])
        assert done.returncode == 0, done.stderr
    with Caller(served) as caller:
        caller.follow(type="watch", imei=imei, after=0)
        told = caller.until(lambda event: event["type"] == "device.removed")
    assert [event["type"] for event in told] == [
        "device.added", "device.changed", "device.removed",
    ]  # fmt: skip


def test_a_devices_number_is_given_beside_the_name_of_the_request(served: Gateway) -> None:
    """`id` names the request; over the socket a device's own is `number`."""
    imei, other = "860000000008871", "860000000008872"
    assert "as number 8871" in served.cli("devices", "add", imei, "--id", "8871").stdout
    assert served.status(imei)["id"] == 8871
    assert served.cli("devices", "edit", imei, "--id", "8872").returncode == 0
    assert served.status(imei)["id"] == 8872
    added = served.ask({"type": "add", "imei": other, "number": 8873, "id": "mine"})
    assert (added["status"], added["id"]) == ("200", "mine")
    assert served.status(other)["id"] == 8873
    taken = served.ask({"type": "edit", "imei": other, "number": 8872})
    assert (taken["status"], taken["message"].startswith("id: ")) == ("409", True)
    assert served.cli("devices", "remove", imei, other, "--yes").returncode == 0


def test_a_watcher_that_does_not_read_holds_nothing_up(
    served: Gateway, unused: Iterator[str]
) -> None:
    """It gets all of it when it reads again: what has left the memory is in the database."""
    imeis = [next(unused) for _ in range(8)]  # several: who reads nothing for 30 s is left
    with (
        contextlib.closing(socket.socket(socket.AF_UNIX)) as slow,
        contextlib.ExitStack() as files,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(WAIT_SECONDS)
        slow.connect(str(served.socket))
        slow.sendall(request_bytes({"type": "watch"}))
        lines = files.enter_context(slow.makefile("rb"))
        assert json.loads(lines.readline())["status"] == "200"
        with Caller(served) as caller, contextlib.ExitStack() as devices:
            for imei in imeis:
                devices.enter_context(Robot(served, imei))
            for number in range(50):
                for imei in imeis:
                    caller.send(imei=imei, type="stop")
                assert [caller.line()["status"] for _ in imeis] == ["200"] * 8, number
        told = [json.loads(lines.readline()) for _ in range(8 * (2 + 3 * 50))]
    for imei in imeis:
        types = [event["type"] for event in told if event["imei"] == imei]
        assert types == ["device.online", *STORY[1:4] * 50, STORY[4]]
    numbers = [event["event"] for event in told]
    assert numbers == sorted(set(numbers))


def test_the_cli_goes_on_where_it_ended(served: Gateway, imei: str, other: str) -> None:
    """The last test of the module: it restarts the gateway."""
    before = served.ask({"type": "status"})["last_event"]
    tell_a_story(served, imei)
    with watching(served, "--after", str(before)) as lines:
        first = [json.loads(next(lines)) for _ in range(5)]
        served.kill()
        assert list(lines) == [], "it ends with the gateway"
    served.start()
    tell_a_story(served, other)
    with watching(served, "--after", str(first[-1]["event"])) as lines:
        second = [json.loads(next(lines)) for _ in range(5)]
    told = first + second
    assert [event["event"] for event in told] == list(range(before + 1, before + 11))
    assert [event["type"] for event in told] == STORY * 2
    with watching(served, imei, "--after", "0", "--events", "command.sent", text=True) as lines:
        line = next(lines)
    assert "command.sent" in line
    assert imei in line
    assert "\x1b" not in line, "colours are for terminals"


@contextlib.contextmanager
def watching(served: Gateway, *arguments: str, text: bool = False) -> Iterator[Iterator[str]]:
    """The lines of `devgate watch`, until it is interrupted."""
    how = [] if text else ["--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "devgate", "watch", *arguments, *how],
        cwd=served.folder, env=environment(served.folder), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process.stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_SECONDS) in (13, 130)
