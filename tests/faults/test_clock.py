"""A wall clock that is wrong deletes nothing and frees no key."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tests.e2e.caller import Robot, eventually, knowing
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults

IMEI = "860000000000001"
DAY = 86400.0


def restart(served: Gateway) -> None:
    served.terminate()
    served.start()


def order(served: Gateway) -> Json:
    return served.ask({"imei": IMEI, "type": "start", "long": 5, "key": "order-1"})


def kinds(served: Gateway) -> list[str]:
    page = served.ask({"type": "events", "limit": 1000})
    return [event["type"] for event in page["items"]]


def trimmed(served: Gateway) -> None:
    """The round of trimming that begins with the gateway is over."""
    eventually(
        lambda: served.ask({"type": "status"})["background"].get("trimming"),
        lambda state: state == "ok",
    )


@pytest.mark.parametrize("days", [31, 91, 366, -91])
def test_f4_one_start_with_a_wrong_clock_frees_no_key(faults: Faults, days: int) -> None:
    """F4: a start with a clock that was ahead freed the keys of paid orders, and deleted events
    and records: the order, asked again, started its machine again."""
    with knowing({}, environment=faults.environment()) as served:
        with Robot(served, IMEI) as device:
            assert order(served)["status"] == "200"
            assert len(device.seen) == 1
        before = kinds(served)
        served.terminate()
        faults.clock(days * DAY)
        served.start()
        trimmed(served)
        status = served.ask({"type": "status"})
        assert f"{abs(days)} d {'ahead' if days > 0 else 'behind'}" in status["clock"]
        assert "clock" in served.cli("status").stdout
        with Robot(served, IMEI) as device:
            assert order(served)["status"] == "200"
            assert device.seen == [], "done once"
        served.terminate()
        faults.clock(0)
        served.start()
        trimmed(served)
        assert served.ask({"type": "status"})["clock"] == "ok"
        with Robot(served, IMEI) as device:
            assert order(served)["status"] == "200"
            assert device.seen == [], "done once"
        after = kinds(served)
        assert after[: len(before)] == before, "no event was deleted"
        assert after.count("clock.doubted") == 1
        assert len(served.ask({"type": "history"})["items"]) == 1


def test_f4_a_step_under_the_running_gateway(faults: Faults) -> None:
    """F4: reported as soon as somebody looks, and over when the clock is set right."""
    with knowing({}, environment=faults.environment()) as served, Robot(served, IMEI):
        assert order(served)["status"] == "200"
        faults.clock(91 * DAY)
        assert "91 d ahead" in served.ask({"type": "status"})["clock"]
        faults.clock(0)
        assert served.ask({"type": "status"})["clock"] == "ok"
        assert order(served)["status"] == "200"
        told = kinds(served)
        assert told[-2:] == ["clock.doubted", "clock.trusted"]


@pytest.mark.parametrize("at_start", [False, True])
def test_f4_a_clock_far_ahead_does_not_take_the_time_from_events(
    faults: Faults, at_start: bool
) -> None:
    """F4: an event's time is never before that of the event before it. One that was written years
    ahead kept all events there for these years; now time goes on without the wall clock."""

    def times() -> list[float]:
        page = served.ask({"type": "events", "limit": 1000})
        return [datetime.fromisoformat(event["at"]).timestamp() for event in page["items"]]

    def again(days: float) -> None:
        if at_start:
            served.terminate()
        faults.clock(days * DAY)
        if at_start:
            served.start()

    began = time.time()
    with knowing({}, environment=faults.environment()) as served:
        with Robot(served, IMEI):
            assert order(served)["status"] == "200"
        again(3650)
        with Robot(served, IMEI):
            ahead = served.ask({"imei": IMEI, "type": "start", "long": 5, "key": "order-2"})
            assert ahead["status"] == "200"
        again(0)
        with Robot(served, IMEI):
            back = served.ask({"imei": IMEI, "type": "start", "long": 5, "key": "order-3"})
            assert back["status"] == "200"
        told = times()
    assert told == sorted(told)
    assert began - 1 <= told[0]
    assert told[-1] <= time.time() + 1, "no event is in the future"


def test_trim_trusts_the_clock_and_says_what_it_took(faults: Faults) -> None:
    """After the gateway was off for long: an operator need not wait for a day."""
    with knowing({}, environment=faults.environment()) as served:
        with Robot(served, IMEI):
            assert order(served)["status"] == "200"
        served.terminate()
        faults.clock(366 * DAY)
        served.start()
        trimmed(served)
        assert len(served.ask({"type": "history"})["items"]) == 1
        done = served.cli("trim")
        assert done.returncode == 0
        assert "1 commands" in done.stdout
        assert served.ask({"type": "history"})["items"] == []
        assert served.ask({"type": "status"})["clock"] == "ok"
        reply = served.ask({"type": "trim"})
        assert (reply["status"], reply["commands"], reply["keys"]) == ("200", 0, 0)
        assert reply["more"] is False
        faults.clock(0)


@pytest.mark.parametrize("running", [True, False])
def test_f4_a_second_start_with_the_wrong_clock_deletes_nothing_either(
    faults: Faults, running: bool
) -> None:
    """F4: what a run with a wrong clock has written, or a run under which the clock was set, must
    not make the next start believe that clock."""
    with knowing({}, environment=faults.environment()) as served:
        with Robot(served, IMEI):
            assert order(served)["status"] == "200"
            if running:
                faults.clock(91 * DAY)
                assert order(served)["status"] == "200", "the same order"
        before = kinds(served)
        for _ in range(2):
            served.terminate()
            faults.clock(91 * DAY)
            served.start()
            trimmed(served)
        after = kinds(served)
        assert after[: len(before)] == before, "no event was deleted"
        with Robot(served, IMEI) as device:
            assert order(served)["status"] == "200"
            assert device.seen == [], "done once"
