"""protocol.md over a real socket: section 5, and what stands below section 3's table."""

from __future__ import annotations

import time

import pytest

from tests.e2e.device import WAIT_SECONDS, WHO, frame
from tests.e2e.harness import SAMPLE, Gateway, gateway
from tests.faults.preload import Faults

# Section 5, word for word


@pytest.mark.parametrize(
    ("segments", "answers"),
    [
        (["1"], [WHO]),
        (["023000123456787654321HT"], ["023200123456787654321HT"]),
        (["0230001234", "56787654321HT"], ["023200123456787654321HT"]),
        (["AT" + "023000123456787654321HT" + "1"], ["023200123456787654321HT"]),
    ],
)
def test_a_worked_stream_before_registration(
    served: Gateway, segments: list[str], answers: list[str]
) -> None:
    with served.unregistered() as device:
        for segment in segments:
            device.send(segment)
        device.expect(*answers)
        device.expect_nothing(SAMPLE)


@pytest.mark.parametrize(
    ("segments", "answers"),
    [
        ([" ", "", "AT"], []),
        (
            ["023000123456787654321TN023000123456787654321QR"],
            [
                "035200123456787654321TN400-500-5620",
                "054200123456787654321QRhttp://csgxjk.com/qrcode/dev/16",
            ],
        ),
        (["hello world"], [WHO]),
        (["023000999999999999999TN"], ["023401999999999999999TN"]),
    ],
)
def test_a_worked_stream_of_a_registered_device(
    served: Gateway, segments: list[str], answers: list[str]
) -> None:
    with served.register(SAMPLE) as device:
        for segment in segments:
            device.send(segment)
        device.expect(*answers)
        device.expect_nothing(SAMPLE)


# Section 3, below the table


def test_malformed_bytes_are_answered_once_a_second(served: Gateway, imei: str) -> None:
    answer = frame("200", imei, "HT")
    with served.register(imei) as device:
        began, complaints = time.monotonic(), 0
        for _ in range(15):
            device.send("hello world")
            device.send(frame("000", imei, "HT"))
            got = device.read(len(answer))
            while not got.endswith(answer.encode()):
                assert got.startswith(WHO.encode())
                complaints += 1
                got = got.removeprefix(WHO.encode()) + device.read(len(WHO))
        # One for the first, and one for each second that a slow machine needs for all of them.
        assert 1 <= complaints <= 1 + int(time.monotonic() - began)


def test_a_connection_with_nothing_but_malformed_bytes_is_closed(
    served: Gateway, imei: str
) -> None:
    with served.register(imei) as device:
        device.send(frame("200", imei, "HT") * 19)
        device.expect_nothing(imei)  # a good frame: the count begins again
        device.send(frame("200", imei, "HT") * 19)
        device.expect_nothing(imei)
        device.send(frame("200", imei, "HT") * 20)
        device.expect_end()
    served.until(imei, "online", False)


@pytest.mark.parametrize(("change", "answer"), [("disable", "401"), ("remove", "300")])
def test_a_device_that_is_taken_away_loses_its_connection(
    served: Gateway, imei: str, change: str, answer: str
) -> None:
    with served.register(imei) as device:
        # `remove` asks before it removes; with "y" it need not know that nobody is there.
        done = served.cli("devices", change, imei, text="y\n")
        assert done.returncode == 0, done.stderr
        device.expect_end()
    with served.unregistered() as device:
        device.send(frame("000", imei, "HT"))
        device.expect(frame(answer, imei, "HT"))


def test_the_newest_connection_takes_over(served: Gateway, imei: str) -> None:
    with served.register(imei) as older, served.register(imei) as newer:
        older.expect_end()
        newer.expect_nothing(imei)
        assert served.status(imei)["online"] is True


def test_two_devices_with_one_imei_are_reported_as_flapping(served: Gateway, imei: str) -> None:
    devices = [served.register(imei) for _ in range(6)]
    served.logged("flapping", imei)
    for device in devices[:-1]:
        device.expect_end()
    devices[-1].expect_nothing(imei)
    for device in devices:
        device.close()


def test_silent_connections_are_closed_on_time(faults: Faults) -> None:
    half = WAIT_SECONDS
    with gateway(
        {"device": {"idle_timeout": 2 * half, "register_timeout": 2 * half}},
        environment=faults.environment(), devices=[{"imei": SAMPLE}],
    ) as running:  # fmt: skip
        with running.register(SAMPLE) as device, running.unregistered() as peer:
            peer.send("1")
            peer.expect(WHO)
            faults.elapse(half)
            assert running.ask({"type": "status"})["connections"] == 2
            faults.elapse(half)
            device.expect_end()
            peer.expect_end()
        assert running.until(SAMPLE, "online", False)["heard"] is not None
