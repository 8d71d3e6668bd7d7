"""`outcome`: the one field of replies, records and problems that is safe to branch on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, Robot, knowing
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway, Json, Settings

COMMAND = {"max_waiting": 1, "ack_timeout": WAIT_SECONDS}


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    settings: Settings = {
        "command": COMMAND,
        "http": {"listen": "127.0.0.1:0"},
        "control": {"tokens": "tokens"},
    }
    with knowing(settings) as running:
        yield running


def order(imei: str, **more: object) -> dict[str, object]:
    return {"imei": imei, "type": "start", "long": 500, "key": f"order-{imei}", **more}


def record_of(served: Gateway, reply: Json) -> Json:
    return served.ask({"type": "command", "command": reply["command"]})


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [("200", "200", "done"), ("201", "201", "failed"), ("202", "202", "failed"),
     (None, "408", "unknown")],
)  # fmt: skip
def test_what_was_sent_has_the_outcome_of_the_answer(
    served: Gateway, imei: str, answer: str | None, status: str, outcome: str
) -> None:
    """D1: in the reply and in the record alike, also when it is asked for again."""
    more = {} if answer else {"timeout": 0.2}
    with Robot(served, imei, answer):
        for _ in range(2):
            reply = served.ask(order(imei, **more))
            assert (reply["status"], reply["outcome"]) == (status, outcome)
            assert record_of(served, reply)["outcome"] == outcome
    [record] = served.ask({"type": "history", "key": f"order-{imei}"})["items"]
    assert record["outcome"] == outcome


def test_what_has_not_ended_is_pending(served: Gateway, imei: str) -> None:
    """D1."""
    reply = served.ask(order(imei, expires=60, wait=False))
    assert (reply["status"], reply["outcome"]) == ("000", "pending")
    assert record_of(served, reply)["outcome"] == "pending"
    cancelled = served.ask({"type": "cancel", "command": reply["command"]})
    assert cancelled["outcome"] == "refused", "nothing was sent for it"
    again = served.ask({"type": "cancel", "command": reply["command"]})
    assert (again["status"], again["outcome"]) == ("409", "conflict")
    assert (again["earlier"], again["earlier_outcome"]) == (reply["command"], "refused")


def test_a_late_result_changes_the_outcome(served: Gateway, imei: str) -> None:
    """D1: unknown, and done once the device has said so."""
    with served.register(imei) as device:
        reply = served.ask(order(imei, timeout=0.2))
        assert (reply["status"], reply["outcome"]) == ("408", "unknown")
        device.expect(frame("000", imei, "QD", "500"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        again = served.ask(order(imei))
        assert (again["status"], again["outcome"], again["late"]) == ("200", "done", True)


def test_a_conflict_names_the_earlier_command_and_its_outcome(served: Gateway, imei: str) -> None:
    """D1: nothing was sent for this request, and the machine runs nevertheless."""
    with Robot(served, imei) as device:
        first = served.ask(order(imei))
        reply = served.ask(order(imei, long=501))
        assert (reply["status"], reply["outcome"]) == ("409", "conflict")
        assert (reply["earlier"], reply["earlier_outcome"]) == (first["command"], "done")
        assert reply["command"] is None
        assert device.seen == ["QD500"]


def refusals(served: Gateway, imei: str, key: str) -> Iterator[Json]:
    """Every way in which an order is refused, all with this key."""
    given = {**order(imei), "key": key}
    yield served.ask({**given, "imei": "869999999999999"})  # 300
    yield served.ask(given)  # 404, nobody is there
    yield served.ask({**given, "expires": 0.1})  # 410
    yield served.ask({**given, "long": 0})  # 400
    yield served.ask({**given, "extra": 1})  # 400
    assert served.cli("devices", "disable", imei).returncode == 0
    yield served.ask(given)  # 401
    assert served.cli("devices", "enable", imei).returncode == 0
    with Caller(served) as caller:
        caller.send(**{**given, "key": f"{key}-before", "expires": 60, "id": 1})
        yield caller.ask(**{**given, "expires": 60, "id": 2})  # 429
        [waiting] = served.ask({"type": "history", "imei": imei, "state": "waiting"})["items"]
        assert served.ask({"type": "cancel", "command": waiting["command"]})["status"] == "200"


def test_every_refusal_leaves_the_key_free(served: Gateway, imei: str) -> None:
    """D1: `refused` says that the same order can be tried again, once."""
    key = f"free-{imei}"
    found = list(refusals(served, imei, key))
    assert [reply["status"] for reply in found] == [
        "300",
        "404",
        "410",
        "400",
        "400",
        "401",
        "429",
    ]
    assert {reply["outcome"] for reply in found} == {"refused"}
    with Robot(served, imei) as device:
        reply = served.ask({**order(imei), "key": key})
        assert (reply["status"], reply["outcome"]) == ("200", "done")
        assert device.seen == ["QD500"]


def test_a_start_that_is_refused_while_it_runs_leaves_the_key_free(imei: str) -> None:
    """D1: `while_running` = refuse."""
    with knowing({"command": {"while_running": "refuse"}}) as served, Robot(served, imei):
        assert served.ask(order(imei))["outcome"] == "done"
        again = served.ask(order(imei, key="again"))
        assert (again["outcome"], record_of(served, again)["outcome"]) == ("refused", "refused")
        assert served.ask({"imei": imei, "type": "stop"})["outcome"] == "done"
        assert served.ask(order(imei, key="again"))["outcome"] == "done"


def post(served: Gateway, secret: str, path: str, body: bytes) -> tuple[int, Json]:
    [door] = served.ask({"type": "status"})["listen"]["http"]
    head = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{door}{path}", body, head)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as err:
        with err:
            return err.code, json.loads(err.read())


def test_over_http_a_problem_has_it_too(served: Gateway, imei: str) -> None:
    """D1: 200, 202 and every problem, that of a request without a token among them."""
    secret = served.cli("token", "add", f"shop-{imei}", "--role", "command").stdout.strip()
    path, key = f"/api/devices/{imei}/start", f"http-{imei}"

    def start(**fields: object) -> tuple[int, Json]:
        return post(served, secret, path, json.dumps({"long": 500, "key": key, **fields}).encode())

    status, found = start()
    assert (status, found["code"], found["outcome"]) == (409, "404", "refused")
    status, found = start(order_no="x")
    assert (status, found["outcome"]) == (400, "refused")
    status, found = post(served, "dg_wrong", path, b'{"long":500}')
    assert (status, found["outcome"]) == (401, "refused")
    with Robot(served, imei, "201"):
        status, found = start()
        assert (status, found["code"], found["outcome"]) == (502, "201", "failed")
        first = found["command"]
        status, found = start(long=501)
        assert (status, found["outcome"]) == (409, "conflict")
        assert (found["earlier"], found["earlier_outcome"]) == (first, "failed")
    with Robot(served, imei):
        status, found = start(key=f"{key}-3")
        assert (status, found["outcome"]) == (200, "done")
    with Robot(served, imei, None):
        status, found = start(key=f"{key}-2", timeout=0.2)
        assert (status, found["code"], found["outcome"]) == (504, "408", "unknown")
