"""SIGTERM: commands in flight finish, waiting ones are answered, and none begins."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, Robot, knowing, obey, settle
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway

pytestmark = pytest.mark.usefixtures("new_interpreters")

IMEI, OTHER = "860000000000000", "860000000000001"


DRAIN = {"command": {"drain": 60}}


@pytest.fixture(scope="module")
def module_gateway() -> Iterator[Gateway]:
    with knowing(DRAIN) as running:
        yield running


@pytest.fixture
def served(module_gateway: Gateway) -> Gateway:
    """Running, however the test before has ended it."""
    assert module_gateway.process is not None
    if module_gateway.process.poll() is not None:
        module_gateway.configure(DRAIN)
        module_gateway.start()
    return module_gateway


def draining(served: Gateway, number: signal.Signals = signal.SIGTERM) -> None:
    served.signal(number)
    served.until(None, "draining", True)


def test_a_stopping_gateway_finishes_what_it_began(served: Gateway) -> None:
    with (
        served.register(IMEI) as device,
        served.register(OTHER) as bystander,
        Caller(served) as caller,
        Caller(served) as watcher,
    ):
        watcher.follow(type="watch", imei=IMEI, events=["command.ended"])
        caller.send(id="flies", imei=IMEI, type="start", long=5, timeout=60)
        device.expect(frame("000", IMEI, "QD", "5"))
        caller.send(id="waits", imei=IMEI, type="start", long=6)
        caller.send(id="kept", imei=IMEI, type="start", long=7, expires=60)
        served.until(None, "waiting", 2)
        draining(served)
        told = {(reply := caller.line())["id"]: reply for _ in range(2)}
        assert told["waits"]["status"] == "503"
        assert "nothing was sent" in told["waits"]["message"]
        assert told["kept"]["status"] == "000", "it stays kept"
        refused = served.ask({"imei": OTHER, "type": "start", "long": 5})
        assert refused["status"] == "503"
        done = served.cli("start", OTHER, "5", "--json")
        assert (done.returncode, json.loads(done.stdout)["status"]) == (12, "503")
        bystander.expect_nothing(OTHER)  # it is answered on, and got no start
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(served.device)
        settle(device, IMEI, "QD5")
        assert caller.line()["status"] == "200"
        assert [watcher.line()["status"] for _ in range(2)] == ["503", "200"]
        with pytest.raises(ConnectionError):
            watcher.line()
        device.expect_end()
        assert served.wait() == 0
    assert not served.socket.exists()
    served.start()
    records = served.ask({"type": "history", "imei": IMEI, "limit": 3})["items"]
    statuses = {record["long"]: record["status"] for record in records}
    assert statuses == {5: "200", 6: "503", 7: "000"}
    with served.register(IMEI) as device:
        obey(device, IMEI, "QD7")


def test_the_patience_with_what_is_in_flight_has_an_end(served: Gateway) -> None:
    served.configure({"command": {"drain": 0.2}})
    served.signal(signal.SIGHUP)
    served.logged("settings reloaded", "command.drain")
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(imei=IMEI, type="start", long=5, timeout=60)
        device.expect(frame("000", IMEI, "QD", "5"))
        draining(served, signal.SIGINT)  # Ctrl-C stops it as SIGTERM does
        assert caller.line()["status"] == "408"
        assert served.wait() == 0


def test_a_second_signal_ends_it_at_once(served: Gateway) -> None:
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(imei=IMEI, type="start", long=5, timeout=60, key="order")
        device.expect(frame("000", IMEI, "QD", "5"))
        draining(served)
        before = time.monotonic()
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        assert time.monotonic() - before < WAIT_SECONDS / 2, "not after the minute of `drain`"
    served.start()
    with Robot(served, IMEI) as robot:
        reply = served.ask({"imei": IMEI, "type": "start", "long": 5, "key": "order"})
        assert reply["status"] == "408", "on disk, whatever ended it"
    assert robot.seen == []
