"""Two devices that have one IMEI, or one whose old connection is still there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, knowing, obey, settle
from tests.e2e.device import frame
from tests.e2e.harness import Gateway, Json

IMEIS = iter(f"860000000000{n:03}" for n in range(10))


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    settings = {"device": {"flapping": {"takeovers": 3, "within": 60}}}
    with knowing(settings) as running:
        yield running


@pytest.fixture
def imei() -> str:
    return next(IMEIS)


def events(served: Gateway, imei: str, last: str) -> list[Json]:
    with Caller(served) as caller:
        caller.follow(type="watch", imei=imei, after=0, events=["device"])
        return caller.until(lambda event: event["type"] == last)


def test_the_newer_connection_wins_and_the_older_is_aborted(served: Gateway, imei: str) -> None:
    with served.register(imei) as old, served.register(imei) as new, Caller(served) as caller:
        old.expect_end()
        caller.send(imei=imei, type="start", long=5)
        obey(new, imei, "QD5")
        assert caller.line()["status"] == "200"
        assert served.status(imei)["online"]
    told = events(served, imei, "device.offline")
    assert [event["type"] for event in told] == [
        "device.online", "device.taken_over", "device.offline",
    ]  # fmt: skip
    assert told[1]["displaced"] == told[0]["address"]


def test_devices_that_share_an_imei_are_reported_once_a_burst(served: Gateway, imei: str) -> None:
    with contextlib.ExitStack() as both:
        current = both.enter_context(served.register(imei))
        for _ in range(4):
            newer = both.enter_context(served.register(imei))
            current.expect_end()
            current = newer
        assert served.status(imei)["online"]
    told = events(served, imei, "device.offline")
    assert [event["type"].partition(".")[2] for event in told] == [
        "online", "taken_over", "taken_over", "taken_over", "flapping", "taken_over", "offline",
    ]  # fmt: skip
    assert (told[4]["takeovers"], told[4]["within"]) == (3, 60)


def test_a_start_is_not_sent_again_to_the_newer_connection(served: Gateway, imei: str) -> None:
    with served.register(imei) as old, Caller(served) as caller:
        caller.send(imei=imei, type="start", long=5)
        old.expect(frame("000", imei, "QD", "5"))
        with served.register(imei) as new:
            new.expect_nothing(imei)
            settle(new, imei, "QD5")  # a result belongs to the device
            assert caller.line()["status"] == "200"


def test_what_the_older_one_still_says_settles_nothing(served: Gateway, imei: str) -> None:
    with served.register(imei) as old, served.register(imei) as new, Caller(served) as caller:
        caller.send(imei=imei, type="start", long=5, timeout=0.3)
        new.expect(frame("000", imei, "QD", "5"))
        assert frame("200", imei, "QD").encode() not in old.talk(frame("200", imei, "QD").encode())
        assert caller.line()["status"] == "408"
