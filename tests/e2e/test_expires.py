"""control.md, `expires`: starts that are kept for a device that is offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.caller import Caller, Robot, knowing, obey, settle
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


def keep(served: Gateway, imei: str, *longs: int, expires: float = 600) -> list[str]:
    """Starts that are kept for the device; their ids."""
    start = {"imei": imei, "type": "start", "expires": expires, "wait": False}
    replies = [served.ask({**start, "long": long}) for long in longs]
    assert [reply["status"] for reply in replies] == ["000"] * len(longs)
    return [reply["command"] for reply in replies]


def outcomes(served: Gateway, ids: list[str]) -> list[Json]:
    """Their records, once all have ended."""
    with Caller(served) as caller:
        caller.follow(type="watch", after=0, events=["command.ended"])
        left = set(ids)
        while left:
            left.discard(caller.line()["command"])
    return [served.ask({"type": "command", "command": id}) for id in ids]


def test_a_start_is_kept_and_sent_when_its_device_registers(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        caller.send(imei=imei, type="start", long=5, expires=60)
        served.until(None, "waiting", 1)
        with served.register(imei) as device:
            obey(device, imei, "QD5")
            reply = caller.line()
    assert (reply["status"], reply["message"]) == ("200", "started")


def test_a_stop_is_kept_too(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        caller.send(imei=imei, type="stop", expires=60)
        served.until(None, "waiting", 1)
        with served.register(imei) as device:
            obey(device, imei, "ST")
            assert caller.line()["outcome"] == "done"


def test_kept_starts_go_out_in_their_order(served: Gateway, imei: str) -> None:
    ids = keep(served, imei, 3, 1, 2)
    with Robot(served, imei) as device:
        assert [record["status"] for record in outcomes(served, ids)] == ["200"] * 3
    assert device.seen == ["QD3", "QD1", "QD2"]


def test_one_that_waited_too_long_is_410_and_never_sent(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        caller.send(imei=imei, type="start", long=5, expires="0.1")
        reply = caller.line()
    assert (reply["status"], "nothing was sent" in reply["message"]) == ("410", True)
    with served.register(imei) as device:
        device.expect_nothing(imei)


def test_the_cli_lists_and_cancels_what_waits(served: Gateway, imei: str) -> None:
    first, second = keep(served, imei, 5, 6)
    listed = served.cli("commands", "list", imei, "--waiting")
    assert listed.returncode == 0
    assert first in listed.stdout
    assert second in listed.stdout
    with Caller(served) as caller:
        caller.send(imei=imei, type="start", long=7, expires=60, key=imei)
        served.until(None, "waiting", 3)
        page = json.loads(served.cli("commands", "list", imei, "--waiting", "--json").stdout)
        assert [(item["state"], item["status"]) for item in page["items"]] == [
            ("waiting", "000")
        ] * 3
        third = page["items"][0]["command"]
        for id in (first, third):
            done = served.cli("commands", "cancel", id)
            assert (done.returncode, done.stderr) == (0, "")
        told = caller.line()
        assert (told["status"], told["command"]) == ("410", third)
    again = served.cli("commands", "cancel", first)
    assert (again.returncode, again.stdout) == (9, "")
    with Robot(served, imei) as device:
        assert outcomes(served, [first, second, third])[1]["status"] == "200"
        assert (
            served.ask({"imei": imei, "type": "start", "long": 8, "key": imei})["status"] == "200"
        ), "the key of a command that was cancelled is free"
    assert device.seen == ["QD6", "QD8"]
    assert served.cli("commands", "cancel", second).returncode == 9
    records = outcomes(served, [first, third])
    assert {(record["status"], record["sent_at"]) for record in records} == {("410", None)}


def test_a_stop_cancels_what_is_kept(served: Gateway, imei: str) -> None:
    ids = keep(served, imei, 5)
    reply = served.ask({"imei": imei, "type": "stop", "cancel": True})
    assert reply["status"] == "404", "the stop itself does not wait for the device"
    assert outcomes(served, ids)[0]["status"] == "410"


def test_one_that_waits_behind_another_outlives_the_connection(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        with served.register(imei) as device:
            caller.send(imei=imei, type="start", long=1)
            device.expect(frame("000", imei, "QD", "1"))
            (kept,) = keep(served, imei, 2)
        with served.register(imei) as device:
            settle(device, imei, "QD1")  # a result belongs to the device
            obey(device, imei, "QD2")
        assert caller.line()["status"] == "200"
    assert outcomes(served, [kept])[0]["status"] == "200"


@pytest.mark.parametrize("expires", [0, -1, "soon", True, 31 * 86400])
def test_what_is_no_span_is_400(served: Gateway, imei: str, expires: object) -> None:
    reply = served.ask({"imei": imei, "type": "start", "long": 5, "expires": expires})
    assert reply["status"] == "400"
    assert reply["message"].startswith("expires: ")


@pytest.mark.parametrize("end", [Gateway.terminate, Gateway.kill], ids=["SIGTERM", "SIGKILL"])
def test_what_is_kept_survives_the_gateway(
    faults: Faults, imei: str, other: str, end: Callable[[Gateway], None]
) -> None:
    with knowing({}, environment=faults.environment()) as served:
        ids = keep(served, imei, 3, 1, 2)
        late = keep(served, other, 9, expires=300)
        with Caller(served) as caller:
            caller.send(imei=imei, type="start", long=4, expires=600, key=imei)
            served.until(None, "waiting", 5)
            end(served)
            if end is Gateway.terminate:
                told = caller.line()
                assert (told["status"], told["message"]) == ("000", "accepted")
        faults.elapse(300)  # the time of one is up while nobody is there
        served.start()
        assert served.status(imei)["last"]["state"] == "waiting"
        with Robot(served, other) as device:
            assert outcomes(served, late)[0]["status"] == "410"
        assert device.seen == []
        with Robot(served, imei) as device:
            assert [record["status"] for record in outcomes(served, ids)] == ["200"] * 3
            again = served.ask({"imei": imei, "type": "start", "long": 4, "key": imei})
            assert again["status"] == "200"
        assert device.seen == ["QD3", "QD1", "QD2", "QD4"]
