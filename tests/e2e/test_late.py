"""protocol.md section 4: results that come late, and results that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.caller import Caller, knowing, settle
from tests.e2e.device import WAIT_SECONDS, Device, frame
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults

# Devices do not answer in time, and then within the window however busy the machine is.
COMMAND = {"ack_timeout": 0.15, "late_window": WAIT_SECONDS}


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": COMMAND}) as running:
        yield running


@pytest.fixture
def device(served: Gateway, imei: str) -> Iterator[Device]:
    with served.register(imei) as registered:
        yield registered


@pytest.fixture
def caller(served: Gateway) -> Iterator[Caller]:
    with Caller(served) as connected:
        yield connected


def unknown(caller: Caller, device: Device, imei: str, long: int | None = 5) -> str:
    """A command that the device sees and does not answer. Returns its id."""
    if long is None:
        caller.send(imei=imei, type="stop")
        device.expect(frame("000", imei, "ST"))
    else:
        caller.send(imei=imei, type="start", long=long)
        device.expect(frame("000", imei, "QD", str(long)))
    reply = caller.line()
    assert reply["status"] == "408"
    return str(reply["command"])


def record(served: Gateway, id: str) -> Json:
    return served.ask({"type": "command", "command": id})


def told(caller: Caller, imei: str, last: str) -> list[Json]:
    """The events of a device's results, up to the first of that type."""
    caller.follow(
        type="watch", imei=imei, after=0,
        events=["command.ended", "command.late", "result.unsolicited"],
    )  # fmt: skip
    return caller.until(lambda event: event["type"] == last)


@pytest.mark.parametrize("status", ["200", "201", "202"])
def test_a_late_result_changes_the_record(
    served: Gateway, caller: Caller, device: Device, imei: str, status: str
) -> None:
    id = unknown(caller, device, imei)
    before = record(served, id)
    assert (before["status"], before["late"], before["state"]) == ("408", False, "ended")
    settle(device, imei, "QD5", status)
    after = record(served, id)
    assert (after["status"], after["late"], after["state"]) == (status, True, "ended")
    assert "late" in after["message"]
    assert after["late_at"] >= after["ended_at"] == before["ended_at"]
    events = told(caller, imei, "command.late")
    assert [(e["type"], e["command"], e["status"]) for e in events] == [
        ("command.ended", id, "408"), ("command.late", id, status),
    ]  # fmt: skip


def test_results_are_held_while_more_than_one_command_may_be_meant(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    old = unknown(caller, device, imei, 5)
    caller.send(imei=imei, type="start", long=6, timeout=WAIT_SECONDS)
    device.expect(frame("000", imei, "QD", "6"))
    settle(device, imei, "QD", "201")  # of the older one, or the newer one's
    assert (record(served, old)["status"], record(served, old)["ambiguous"]) == ("408", False)
    settle(device, imei, "QD", "200")
    assert (record(served, old)["status"], record(served, old)["late"]) == ("201", True)
    reply = caller.line()
    assert (reply["status"], reply["late"]) == ("200", False)
    settle(device, imei, "QD", "200")  # and of nobody
    assert record(served, old)["status"] == "201"


def test_a_stop_and_a_start_are_settled_each_by_its_own_kind(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    start = unknown(caller, device, imei, 5)
    stop = unknown(caller, device, imei, None)
    settle(device, imei, "ST")
    assert [record(served, id)["status"] for id in (start, stop)] == ["408", "200"]
    settle(device, imei, "QD")
    assert record(served, start)["status"] == "200"


def test_the_oldest_is_settled_first(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    ids = [unknown(caller, device, imei, long) for long in (1, 2, 3)]
    for status in ("200", "201", "200"):
        settle(device, imei, "QD", status)
    assert [record(served, id)["status"] for id in ids] == ["200", "201", "200"]


def test_past_the_window_nothing_claims_it(faults: Faults, imei: str) -> None:
    settings = {"command": COMMAND, "device": {"idle_timeout": 2 * WAIT_SECONDS}}
    with (
        knowing(settings, environment=faults.environment()) as served,
        served.register(imei) as device,
        Caller(served) as caller,
    ):
        id = unknown(caller, device, imei)
        faults.elapse(WAIT_SECONDS)
        settle(device, imei, "QD")
        events = told(caller, imei, "result.unsolicited")
        assert (events[-1]["status"], events[-1]["said"]) == ("200", imei)
        assert record(served, id)["status"] == "408"


def test_a_result_that_nobody_asked_for_is_acknowledged_and_told(
    caller: Caller, device: Device, imei: str
) -> None:
    settle(device, imei, "ST", "201")
    (event,) = told(caller, imei, "result.unsolicited")
    assert (event["status"], event["imei"]) == ("201", imei)


def test_a_result_belongs_to_the_device_not_to_the_connection(
    served: Gateway, caller: Caller, imei: str
) -> None:
    with served.register(imei) as before:
        id = unknown(caller, before, imei)
    with served.register(imei) as after:
        settle(after, imei, "QD")
    assert record(served, id)["status"] == "200"


def test_who_asks_again_by_key_gets_the_truth(
    served: Gateway, caller: Caller, device: Device, imei: str
) -> None:
    start: Json = {"imei": imei, "type": "start", "long": 5, "key": f"order {imei}"}
    caller.send(**start)
    device.expect(frame("000", imei, "QD", "5"))
    assert caller.line()["status"] == "408"
    settle(device, imei, "QD")
    again = served.ask(start)
    assert (again["status"], again["late"]) == ("200", True)
    device.expect_nothing(imei)


@pytest.mark.parametrize("end", [Gateway.terminate, Gateway.kill], ids=["SIGTERM", "SIGKILL"])
def test_a_late_result_finds_its_command_after_a_restart(
    served: Gateway, imei: str, end: Callable[[Gateway], None]
) -> None:
    """The last tests of the module: they restart the gateway, with the usual window."""
    served.configure({"command": {"ack_timeout": COMMAND["ack_timeout"]}})
    with served.register(imei) as device, Caller(served) as caller:
        older = unknown(caller, device, imei, 1)
        caller.send(imei=imei, type="start", long=2, timeout=60)
        device.expect(frame("000", imei, "QD", "2"))
        if end is Gateway.terminate:
            settle(device, imei, "QD", "201")  # of the older one, once there are two
            settle(device, imei, "QD", "200")
            assert caller.line()["status"] == "200"
            assert record(served, older)["status"] == "201"
            older = unknown(caller, device, imei, 3)
        end(served)
    served.start()
    with served.register(imei) as device, Caller(served) as caller:
        newest = served.ask({"type": "history", "imei": imei, "limit": 1})["items"][0]
        settle(device, imei, "QD", "201")
        assert (record(served, older)["status"], record(served, older)["late"]) == ("201", True)
        if end is Gateway.kill:
            assert newest["status"] == "408"
            settle(device, imei, "QD", "200")
            assert record(served, newest["command"])["status"] == "200"
        settle(device, imei, "QD", "200")
        told(caller, imei, "result.unsolicited")
