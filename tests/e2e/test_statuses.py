"""control.md sections 1 and 2: every status, by the socket and as an exit code of the CLI."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from devgate.model import EXIT
from tests.e2e.caller import Caller, Robot, knowing
from tests.e2e.device import frame
from tests.e2e.harness import Gateway, Json

FIELDS = ["status", "message", "imei", "type", "long", "command"]
DISABLED, UNKNOWN = "860000000000039", "999999999999999"

# What is asked besides imei and type, as fields and as arguments of the CLI.
ASKED: dict[str, tuple[dict[str, object], list[str]]] = {
    "000": ({"long": 5, "wait": False}, ["5", "--no-wait"]),
    "400": ({"long": "0"}, ["0"]),
    "408": ({"long": 5, "timeout": 0.1}, ["5", "--timeout", "0.1"]),
    "409": ({"long": 5, "key": "used"}, ["5", "--key", "used"]),
    "410": ({"long": 5, "expires": 0.1}, ["5", "--expires", "0.1"]),
}
BY_DEVICE = {"000": "200", "200": "200", "201": "201", "202": "202", "408": None}
WORDS = {
    "000": "accepted", "200": "started", "201": "failed", "202": "not its own",
    "300": "no device", "400": "long", "401": "disabled", "404": "not connected",
    "408": "unknown", "409": "another command", "410": "in time", "429": "too many",
}  # fmt: skip
UNSENT = ("300", "400", "401", "404", "409", "410", "429")


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"max_waiting": 1}}) as running:
        assert running.cli("devices", "disable", DISABLED).returncode == 0
        yield running


@contextlib.contextmanager
def asked_for(served: Gateway, status: str, imei: str) -> Iterator[str]:
    """All that must be so for a start of the device to get this status. Gives its IMEI."""
    if status in BY_DEVICE:
        with Robot(served, imei, BY_DEVICE[status]):
            yield imei
    elif status == "409":  # a key that is spent: its command waits for a device
        start = {"imei": imei, "type": "start", "long": 6, "expires": 60, "key": "used"}
        waits = served.ask({**start, "wait": False})
        yield imei
        served.ask({"type": "cancel", "command": waits["command"]})
    elif status == "429":
        start = {"imei": imei, "type": "start", "long": 5, "timeout": 60}
        with Robot(served, imei, None) as silent, Caller(served) as caller:
            caller.send(**start)
            served.until(None, "in_flight", 1)
            caller.send(**start)
            served.until(None, "waiting", 1)
            yield imei
            silent.status = "201"  # for the second, which goes when the first is done
            silent.device.send(frame("201", imei, "QD"))
            assert [caller.line()["status"] for _ in range(2)] == ["201", "201"]
    else:
        yield {"300": UNKNOWN, "401": DISABLED}.get(status, imei)


@pytest.mark.parametrize("status", WORDS)
def test_a_start_gets_its_status_and_its_exit_code(
    served: Gateway, imei: str, status: str
) -> None:
    fields, arguments = ASKED.get(status, ({"long": 5}, ["5"]))
    with asked_for(served, status, imei) as about:
        reply = served.ask({"id": 7, "imei": about, "type": "start", **fields})
        done = served.cli("start", about, *arguments)
        # One good and one bad will do for the other way to print.
        as_json = status in ("201", "410") and served.cli("start", about, *arguments, "--json")

    named = [name for name in reply if name in FIELDS]
    assert named == FIELDS, "in this order"
    assert (reply["status"], reply["imei"], reply["type"]) == (status, about, "start")
    assert (reply["id"], list(reply)[6]) == (7, "id")
    assert WORDS[status] in reply["message"]
    assert ("nothing was sent" in reply["message"]) == (status in UNSENT and status != "400")
    assert (reply["command"] is None) == (status in ("400", "409"))

    assert done.returncode == EXIT[status]
    good, bad = done.stdout, done.stderr
    assert bool(good) == (status in ("000", "200")), "results to stdout"
    assert bool(bad) != bool(good), "complaints to stderr"
    if as_json:
        assert as_json.returncode == EXIT[status]
        printed: Json = json.loads(as_json.stdout)
        assert (printed["status"], as_json.stderr) == (status, "")


def test_a_stop_is_answered_like_a_start(served: Gateway, imei: str) -> None:
    stop = {"imei": imei, "type": "stop"}
    nobody = served.ask(stop)
    assert (nobody["status"], nobody["long"]) == ("404", None)
    with Robot(served, imei) as device:
        reply = served.ask(stop)
        assert [name for name in reply if name in FIELDS] == FIELDS
        assert (reply["status"], reply["message"], reply["long"]) == ("200", "stopped", None)
        assert served.cli("stop", imei).returncode == 0
    assert device.seen == ["ST", "ST"]


def test_what_goes_out_has_no_leading_zeros(served: Gateway, imei: str) -> None:
    with Robot(served, imei) as device:
        reply = served.ask({"imei": imei, "type": "start", "long": "0500"})
    assert (reply["long"], device.seen) == (500, ["QD500"])


def test_an_order_that_is_not_waited_for_is_on_record(served: Gateway, imei: str) -> None:
    with Robot(served, imei, None) as device:
        reply = served.ask({"imei": imei, "type": "start", "long": 5, "wait": False})
        assert (reply["status"], reply["message"]) == ("000", "accepted")
        record = served.ask({"type": "command", "command": reply["command"]})
        assert (record["status"], record["state"]) == ("000", "sent")
        device.device.send(frame("200", imei, "QD"))
        with Caller(served) as caller:
            caller.follow(type="watch", imei=imei, after=0)
            caller.until(lambda event: event["type"] == "command.ended")
        record = served.ask({"type": "command", "command": reply["command"]})
        assert (record["status"], record["state"]) == ("200", "ended")
