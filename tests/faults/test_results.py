"""Which start a result belongs to, with real sockets: F7. protocol.md section 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.caller import Caller, eventually, knowing, obey, settle
from tests.e2e.device import Device, frame
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults

ACK_TIMEOUT = 120.0  # which no test waits for: the clocks of the gateway are moved
IMEIS = iter(f"860000000000{n:03}" for n in range(40))
SETTINGS: dict[str, dict[str, object]] = {
    "command": {"ack_timeout": ACK_TIMEOUT, "late_window": 3600},
    "device": {"idle_timeout": 3600},
}


class Asker(Caller):
    """A caller who says when the time of its commands is up."""

    def __init__(self, gateway: Gateway, faults: Faults) -> None:
        super().__init__(gateway)
        self._gateway = gateway
        self._faults = faults

    def lapse(self) -> None:
        """The time is up in which a command that is in flight, or an answer, is waited for."""
        self._faults.elapse(ACK_TIMEOUT + 1)
        self._gateway.ask({"type": "status"})  # it looks at its clock

    def undelivered(self, imei: str, long: int) -> Json:
        """The reply to a start that its device does not take."""
        self.send(imei=imei, type="start", long=long)
        eventually(lambda: self._gateway.status(imei)["last"]["state"], "sent".__eq__)
        self.lapse()
        return self.line()

    def unanswered(self, device: Device, imei: str, long: int) -> Json:
        """The reply to a start that its device takes and does not answer."""
        self.send(imei=imei, type="start", long=long)
        device.expect(frame("000", imei, "QD", str(long)))
        self.lapse()
        reply = self.line()
        assert reply["status"] == "408"
        return reply

    def answered(self, device: Device, imei: str, long: int) -> Json:
        self.send(imei=imei, type="start", long=long)
        obey(device, imei, f"QD{long}")
        return self.line()

    def held(self, device: Device, imei: str, long: int) -> Json:
        """The reply to a start whose answer is held until its time is up."""
        self.send(imei=imei, type="start", long=long)
        obey(device, imei, f"QD{long}")
        self.lapse()
        return self.line()


Connect = Callable[[Gateway], Asker]


@pytest.fixture(scope="module")
def served(module_faults: Faults) -> Iterator[Gateway]:
    with knowing(SETTINGS, environment=module_faults.environment()) as running:
        yield running


@pytest.fixture(scope="module")
def connect(module_faults: Faults) -> Connect:
    return lambda gateway: Asker(gateway, module_faults)


@pytest.fixture
def imei() -> str:
    return next(IMEIS)


def record(served: Gateway, reply: Json) -> Json:
    return served.ask({"type": "command", "command": reply["command"]})


def test_one_unanswered_start_does_not_shift_later_outcomes(
    served: Gateway, connect: Connect, imei: str
) -> None:
    """F7: a device that keeps silent once, and then answers at once."""
    with served.register(imei) as device, connect(served) as caller:
        first = caller.unanswered(device, imei, 1)
        caller.lapse()
        device.expect_nothing(imei)  # it was heard after its answer would have been expected
        for long in (2, 3, 4):
            assert caller.answered(device, imei, long)["status"] == "200"
        after = record(served, first)
        assert (after["status"], after["late"], after["ambiguous"]) == ("408", False, False)


def test_one_answer_for_two_starts_belongs_to_none(
    served: Gateway, connect: Connect, imei: str
) -> None:
    """F7: the customer presses again at once, and the third start is judged by its own answer."""
    with served.register(imei) as device, connect(served) as caller:
        first = caller.unanswered(device, imei, 1)
        second = caller.held(device, imei, 2)
        assert second["status"] == "408"
        for one in (first, second):
            after = record(served, one)
            assert (after["status"], after["ambiguous"], after["late"]) == ("408", True, False)
        assert caller.answered(device, imei, 3)["status"] == "200"
    with Caller(served) as watcher:
        watcher.follow(type="watch", imei=imei, after=0, events=["command.ambiguous"])
        [event] = watcher.until(lambda event: event["type"] == "command.ambiguous")
        named = [(one["command"], one["key"]) for one in event["commands"]]
        assert named == [(one["command"], None) for one in (first, second)]


def test_the_missing_answer_settles_both(served: Gateway, connect: Connect, imei: str) -> None:
    with served.register(imei) as device, connect(served) as caller:
        first = caller.unanswered(device, imei, 1)
        second = caller.held(device, imei, 2)
        assert second["status"] == "408"
        settle(device, imei, "QD", "201")
        found = [record(served, one) for one in (first, second)]
        assert [(one["status"], one["late"], one["ambiguous"]) for one in found] == [
            ("200", True, False), ("201", True, False),
        ]  # fmt: skip


def test_a_stop_goes_out_while_results_are_held(
    served: Gateway, connect: Connect, imei: str
) -> None:
    with served.register(imei) as device, connect(served) as caller, Caller(served) as other:
        caller.unanswered(device, imei, 1)
        caller.send(imei=imei, type="start", long=2)
        obey(device, imei, "QD2")  # held
        other.send(imei=imei, type="stop")
        obey(device, imei, "ST")
        assert other.line()["status"] == "200"
        settle(device, imei, "QD")
        assert caller.line()["status"] == "200"


def blocked(served: Gateway, imei: str, hello: bytes = b"") -> Device:
    """A device that has registered, does not read, and whose TCP takes nothing more."""
    device = served.unregistered(receive_buffer=1024)
    device.send(hello + frame("000", imei, "HT").encode())
    device.expect(frame("200", imei, "HT"))
    for _ in range(30):
        device.send(frame("000", imei, "TN") * 40)
    return device


class TestAcknowledgements:
    """SIOCOUTQ: what a connection that ended had not delivered."""

    def test_a_start_that_was_not_delivered_yields(
        self, served: Gateway, connect: Connect, imei: str
    ) -> None:
        """F7: a start into a dead connection."""
        with blocked(served, imei), connect(served) as caller:
            assert caller.undelivered(imei, 1)["status"] == "408"
            with served.register(imei) as device:
                assert caller.answered(device, imei, 2)["status"] == "200"

    def test_one_that_was_delivered_does_not(
        self, served: Gateway, connect: Connect, imei: str
    ) -> None:
        with connect(served) as caller:
            with served.register(imei) as device:
                caller.unanswered(device, imei, 1)
            with served.register(imei) as device:
                caller.send(imei=imei, type="start", long=2)
                obey(device, imei, "QD2")
                settle(device, imei, "QD")
                assert caller.line()["status"] == "200"

    def test_later_bytes_make_no_difference(
        self, served: Gateway, connect: Connect, imei: str
    ) -> None:
        """The start arrived; what came after it did not."""
        device = served.unregistered(receive_buffer=1024)
        with device, connect(served) as caller:
            device.send(frame("000", imei, "HT"))
            device.expect(frame("200", imei, "HT"))
            caller.send(imei=imei, type="start", long=1)
            device.expect(frame("000", imei, "QD", "1"))
            for _ in range(30):
                device.send(frame("000", imei, "TN") * 40)
            caller.lapse()
            assert caller.line()["status"] == "408"
            with served.register(imei) as newer:
                assert caller.held(newer, imei, 2)["status"] == "408"

    def test_behind_a_load_balancer_they_do_not_count(
        self, module_faults: Faults, connect: Connect, imei: str
    ) -> None:
        hello = b"PROXY TCP4 10.0.0.1 10.0.0.2 1000 2000\r\n"
        with (
            knowing(
                {**SETTINGS, "device": {**SETTINGS["device"], "proxy_protocol": True}},
                environment=module_faults.environment(),
            ) as served,
            blocked(served, imei, hello),
            connect(served) as caller,
        ):
            assert caller.undelivered(imei, 1)["status"] == "408"
            with served.unregistered() as device:
                device.send(hello + frame("000", imei, "HT").encode())
                device.expect(frame("200", imei, "HT"))
                assert caller.held(device, imei, 2)["status"] == "408"


def test_a_restart_takes_up_what_was_held(
    module_faults: Faults, connect: Connect, imei: str
) -> None:
    """F7: kill -9 while one of two results is held; the other one comes after the restart."""
    with knowing(SETTINGS, environment=module_faults.environment()) as served:
        with served.register(imei) as device, connect(served) as caller:
            first = caller.unanswered(device, imei, 1)
            caller.send(imei=imei, type="start", long=2)
            obey(device, imei, "QD2")
            served.kill()
        served.start()
        items = served.ask({"type": "history", "imei": imei})["items"]
        assert [(one["status"], one["ambiguous"]) for one in items] == [("408", True)] * 2
        with served.register(imei) as device:
            settle(device, imei, "QD", "201")
            eventually(lambda: record(served, first)["status"], lambda status: status == "200")
            items = served.ask({"type": "history", "imei": imei})["items"]
            assert [(one["status"], one["late"], one["ambiguous"]) for one in items] == [
                ("201", True, False), ("200", True, False),
            ]  # fmt: skip


@pytest.mark.parametrize("answers", [0, 1])
def test_the_end_of_a_drain_is_the_deadline(
    module_faults: Faults, connect: Connect, imei: str, answers: int
) -> None:
    settings = {**SETTINGS, "command": {**SETTINGS["command"], "drain": 0.5}}
    with knowing(settings, environment=module_faults.environment()) as served:
        with served.register(imei) as device, connect(served) as caller:
            caller.unanswered(device, imei, 1)
            caller.send(imei=imei, type="start", long=2)
            device.expect(frame("000", imei, "QD", "2"))
            if answers:
                settle(device, imei, "QD")
            served.terminate()
        served.start()
        items = served.ask({"type": "history", "imei": imei})["items"]
        assert [(one["status"], one["ambiguous"]) for one in items] == [("408", bool(answers))] * 2
