"""control.md, `key`: the caller's own name for a command, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.caller import Caller, Robot, knowing, obey
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway

COMMAND = {"max_waiting": 1, "ack_timeout": WAIT_SECONDS}


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": COMMAND}) as running:
        yield running


@pytest.fixture
def start(imei: str) -> dict[str, object]:
    return {"imei": imei, "type": "start", "long": 500, "key": f"order-{imei}"}


def test_twenty_callers_at_once_cause_one_start(
    served: Gateway, imei: str, start: dict[str, object]
) -> None:
    with Robot(served, imei) as device, ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(served.ask, [start] * 20))
    assert {reply["status"] for reply in replies} == {"200"}
    assert len({reply["command"] for reply in replies}) == 1
    assert device.seen == ["QD500"]
    records = served.ask({"type": "history", "key": start["key"]})["items"]
    assert [record["command"] for record in records] == [replies[0]["command"]]


def test_callers_wait_for_a_command_that_is_under_way(
    served: Gateway, imei: str, start: dict[str, object]
) -> None:
    with served.register(imei) as device, Caller(served) as caller:
        caller.send(id=1, **start)
        device.expect(frame("000", imei, "QD", "500"))
        caller.send(id=2, **start)
        at_once = served.ask({**start, "wait": False})
        assert at_once["status"] == "000"
        device.send(frame("201", imei, "QD"))
        replies = sorted((caller.line() for _ in range(2)), key=lambda reply: reply["id"])
        assert [reply["status"] for reply in replies] == ["201", "201"]
        assert {reply["command"] for reply in replies} == {at_once["command"]}
        assert served.ask(start)["status"] == "201"


@pytest.mark.parametrize("other", [{"long": 501}, {"type": "stop", "long": None}])
def test_other_content_under_a_spent_key_is_409(
    served: Gateway, imei: str, start: dict[str, object], other: dict[str, object]
) -> None:
    asked = {name: value for name, value in {**start, **other}.items() if value is not None}
    with Robot(served, imei) as device:
        first = served.ask(start)
        refused = served.ask(asked)
        assert served.ask({**start, "long": "0500"})["command"] == first["command"], "the same"
    assert (refused["status"], refused["command"]) == ("409", None)
    assert first["command"] in refused["message"]
    assert device.seen == ["QD500"]


def test_another_device_under_a_spent_key_is_409(
    served: Gateway, imei: str, other: str, start: dict[str, object]
) -> None:
    with Robot(served, imei), Robot(served, other) as untouched:
        assert served.ask(start)["status"] == "200"
        assert served.ask({**start, "imei": other})["status"] == "409"
    assert untouched.seen == []


def test_a_key_is_free_after_404(served: Gateway, imei: str, start: dict[str, object]) -> None:
    assert served.ask(start)["status"] == "404"
    with Robot(served, imei) as device:
        reply = served.ask({**start, "long": 7})
    assert (reply["status"], device.seen) == ("200", ["QD7"])
    records = served.ask({"type": "history", "key": start["key"]})["items"]
    assert [record["status"] for record in records] == ["200", "404"]


def test_a_key_is_free_after_410(served: Gateway, imei: str, start: dict[str, object]) -> None:
    assert served.ask({**start, "expires": 0.05})["status"] == "410"
    with Robot(served, imei) as device:
        assert served.ask(start)["status"] == "200"
    assert device.seen == ["QD500"]


def test_a_key_is_free_after_300(served: Gateway, start: dict[str, object]) -> None:
    new = {**start, "imei": "860000000009999"}
    assert served.ask(new)["status"] == "300"
    assert served.cli("devices", "add", "860000000009999").returncode == 0
    with Robot(served, "860000000009999") as device:
        assert served.ask(new)["status"] == "200"
    assert device.seen == ["QD500"]


def test_a_key_is_free_after_429(served: Gateway, imei: str, start: dict[str, object]) -> None:
    with served.register(imei) as device, Caller(served) as caller:
        caller.send(id=1, imei=imei, type="start", long=1)
        device.expect(frame("000", imei, "QD", "1"))
        caller.send(id=2, imei=imei, type="start", long=2)
        served.until(None, "waiting", 1)
        assert caller.ask(id=3, **start)["status"] == "429"
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        obey(device, imei, "QD2")
        assert {caller.line()["status"], caller.line()["status"]} == {"200"}
        caller.send(id=4, **start)
        obey(device, imei, "QD500")
        assert caller.line()["status"] == "200"


def test_an_unknown_outcome_spends_the_key(
    served: Gateway, imei: str, start: dict[str, object]
) -> None:
    with Robot(served, imei, None) as device:
        unknown = served.ask({**start, "timeout": 0.05})
        again = served.ask(start)
        assert (unknown["status"], again["status"]) == ("408", "408")
        assert unknown["command"] == again["command"]
    assert device.seen == ["QD500"]


@pytest.mark.parametrize("key", ["", "k" * 129, 5, True, ["a"], "two\nlines"])
def test_what_is_no_key_is_400(served: Gateway, imei: str, key: object) -> None:
    reply = served.ask({"imei": imei, "type": "start", "long": 5, "key": key})
    assert reply["status"] == "400"
    assert reply["message"].startswith("key: ")


def test_an_empty_key_of_the_command_line_is_400(served: Gateway, imei: str) -> None:
    refused = served.cli("start", imei, "5", "--key", "")
    assert refused.returncode == 2
    assert "key: a string of 1 to " in refused.stderr


def test_the_longest_key_is_one(served: Gateway, imei: str) -> None:
    key = "订单" * 64
    with Robot(served, imei):
        reply = served.ask({"imei": imei, "type": "start", "long": 5, "key": key})
    assert (reply["status"], reply["key"]) == ("200", key)
    assert served.ask({"type": "history", "key": key})["items"][0]["key"] == key


def test_a_key_stays_spent_over_a_restart(
    served: Gateway, imei: str, start: dict[str, object]
) -> None:
    """The last test of the module: it restarts the gateway."""
    with Robot(served, imei) as device:
        first = served.ask(start)
        assert first["status"] == "200"
    served.kill()
    served.start()
    with Robot(served, imei) as again:
        with ThreadPoolExecutor(5) as pool:
            replies = list(pool.map(served.ask, [start] * 5))
        assert [reply["command"] for reply in replies] == [first["command"]] * 5
        assert {reply["status"] for reply in replies} == {"200"}
        assert served.ask({**start, "long": 501})["status"] == "409"
    assert (device.seen, again.seen) == (["QD500"], [])
