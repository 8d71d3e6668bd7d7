"""A gateway that did not run for a while: what came meanwhile came in time."""

from __future__ import annotations

import contextlib
from collections import Counter

from tests.e2e.caller import Caller, knowing
from tests.e2e.device import frame
from tests.e2e.freezing import frozen
from tests.e2e.harness import gateway
from tests.faults.preload import Faults

IMEI, OTHER, THIRD = (f"86000000000000{n}" for n in range(3))
TIMEOUT = 60.0  # which the test does not wait for: the clocks of the gateway are moved


def test_a_frozen_gateway_does_not_take_devices_for_silent(faults: Faults) -> None:
    settings = {
        "device": {"idle_timeout": TIMEOUT, "register_timeout": TIMEOUT},
        "command": {"ack_timeout": TIMEOUT},
    }
    with (
        knowing(settings, environment=faults.environment()) as served,
        served.register(IMEI) as heard,
        served.register(OTHER) as silent,
        served.unregistered() as peer,
        Caller(served) as caller,
    ):
        served.until(None, "connections", 3)
        caller.send(imei=IMEI, type="start", long=5)
        heard.expect(frame("000", IMEI, "QD", "5"))
        assert served.process is not None
        with frozen(served.process.pid):
            heard.send(frame("200", IMEI, "QD"))
            peer.send(frame("000", THIRD, "HT"))
            faults.elapse(TIMEOUT * 1.5)
        assert caller.line()["status"] == "200", "the result came in time"
        heard.expect(frame("200", IMEI, "QD"))
        peer.expect(frame("200", THIRD, "HT"))
        silent.expect_end()
        heard.expect_nothing(IMEI)
        assert served.status(IMEI)["online"]
        assert served.status(THIRD)["online"]
        assert not served.status(OTHER)["online"]


MANY = 400


def test_all_answers_are_read_before_any_deadline_is_judged(faults: Faults) -> None:
    """F17: many starts are in flight, the gateway is frozen, and all devices answer meanwhile.

    A 408 that is settled while its record is being written is told as a 200, and late: what
    counts is that none ever ended as 408.
    """
    imeis = [f"8610000000{n:05}" for n in range(MANY)]
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(
            gateway(environment=faults.environment(), devices=[{"imei": imei} for imei in imeis])
        )
        devices = [stack.enter_context(served.register(imei)) for imei in imeis]
        caller = stack.enter_context(Caller(served))
        for imei in imeis:
            caller.send(id=imei, imei=imei, type="start", long=5, timeout=2 * TIMEOUT)
        for imei, device in zip(imeis, devices, strict=True):
            device.expect(frame("000", imei, "QD", "5"))
        assert served.process is not None
        with frozen(served.process.pid):
            for imei, device in zip(imeis, devices, strict=True):
                device.send(frame("200", imei, "QD"))
            faults.elapse(2.25 * TIMEOUT)
        replies = [caller.line() for _ in imeis]
        told = Counter((reply["status"], reply["late"]) for reply in replies)
        assert told == {("200", False): MANY}
        with Caller(served) as watcher:
            watcher.follow(type="watch", after=0, events=["command.ended", "command.late"])
            ended = Counter[tuple[str, str]]()
            while ended.total() < MANY:
                event = watcher.line()
                ended[event["type"], event["status"]] += 1
        assert ended == {("command.ended", "200"): MANY}
