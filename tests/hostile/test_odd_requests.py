"""Whatever is asked of any operation has an answer in the documented form, and costs nobody else
anything: on both databases, over real sockets, and after a restart with all that was stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from devgate.gateway.operations.table import OPERATIONS
from devgate.model import EXIT
from tests.e2e.caller import Robot
from tests.e2e.harness import Gateway, gateway
from tests.hostile.odd_requests import ENDLESS, EXPENSIVE, Odd
from tests.http.harness import site

MAX_MEMORY = 400 << 20  # bytes
NORTH, SOUTH = "860000000000001", "860000000000002"
HONEST, HIDDEN = "860000009999999", "869999999999999"  # no request that is made up names them
DEVICES = [
    {"imei": NORTH, "name": "Chair", "site": "North"},
    {"imei": SOUTH, "name": "Geheimstuhl", "site": "Geheim", "model": "Geheimmodell"},
    {"imei": HIDDEN, "name": "Geheimgerät", "site": "Geheimort"},
    {"imei": HONEST, "name": "Honest", "site": "Elsewhere"},
]
SETTINGS: dict[str, dict[str, object]] = {
    "command": {"ack_timeout": 0.1, "late_window": 1, "queue_timeout": 1, "drain": 1},
    "control": {"private_webhooks": True},
    "device": {"registration": "approve"},
}
FEW = 120  # requests between two restarts
MANY = [pytest.param(seed, 3000, marks=pytest.mark.slow) for seed in range(100, 104)]


@pytest.fixture
def running(database_url: str) -> Iterator[Gateway]:
    with gateway(SETTINGS, store=database_url, devices=DEVICES) as running:
        yield running


@pytest.mark.parametrize(("seed", "count"), [(1, FEW), *MANY])
def test_every_request_has_one_answer_and_the_next_start_is_well(
    running: Gateway, seed: int, count: int
) -> None:
    odd = Odd(seed, [NORTH, "North"])
    for turn in ("first", "second"):
        with Robot(running, HONEST) as honest:
            ask_many(running, odd, count)
            status = running.ask({"type": "status"})
            assert status["memory"] < MAX_MEMORY
            assert status["store"] == "ok"
            key = {"imei": HONEST, "key": f"honest-{turn}"}
            running.ask({"type": "maintenance_off", "site": "Elsewhere"})
            running.ask({"type": "maintenance_off", "imei": HONEST})
            assert running.ask({"type": "start", "long": 5, **key})["status"] == "200"
            assert honest.seen == ["QD5"]
        assert "Traceback" not in running.log()
        running.terminate()
        running.start()


def ask_many(running: Gateway, odd: Odd, count: int) -> None:
    """Each request on the connection of the one before, as long as that is not to be closed. None
    of them is about the honest device."""
    caller = running.connect()
    lines = caller.makefile("rb")
    for number in range(count):
        request = {**odd.request(), "id": number}
        wire = odd.wire(request)
        if HONEST.encode() in wire or request["type"].startswith("bulk_"):
            continue
        with suppress(BrokenPipeError, ConnectionResetError):  # it is too long: 400 has been said
            caller.sendall(wire)
        line = lines.readline()
        assert line.endswith(b"\n"), f"no answer to {wire[:2000]!r}"
        reply = json.loads(line)
        assert reply["status"] in EXIT, (wire[:2000], reply)
        assert reply["status"] not in ("500", "503"), (wire[:2000], reply)
        odd.learn(reply)
        if reply.get("id") != number:  # it could not be read, so nothing behind it can be
            assert reply["status"] == "400", (wire[:2000], reply)
            with suppress(ConnectionResetError):
                assert lines.read() == b"", "closed, as control.md says"
            lines.close()
            caller.close()
            caller = running.connect()
            lines = caller.makefile("rb")
    lines.close()
    caller.close()


@pytest.mark.parametrize(("seed", "count"), [(2, FEW), *MANY])
def test_who_is_limited_to_one_site_hears_of_no_other(seed: int, count: int) -> None:
    """Nothing named Geheim, and no IMEI there, but what he has said himself."""
    with site(SETTINGS, devices=DEVICES) as running:
        there = fill_other_site(running)
        token = {"type": "token_add", "name": "franchise", "role": "admin", "sites": ["North"]}
        running.tokens["franchise"] = running.ask(token)["token"]
        before = other_site(running, there)
        odd = Odd(seed, [SOUTH, "Geheim", "Geheimrule", "Geheimhook", *there])
        asked, said = OPERATIONS.keys() - ENDLESS - EXPENSIVE, ""
        with running.client("franchise") as client:
            for _ in range(count):
                request = odd.request(asked)
                wire = odd.wire(request)
                response = client.post("/api/command", content=wire)
                reply = response.json()
                assert str(reply["status"]) not in ("500", "503"), (wire[:2000], response.text)
                # What he has called something of his own, he may hear again later.
                said += json.dumps(request, ensure_ascii=False)
                told = set(re.findall(rf"Geheim\w*|{SOUTH}|{HIDDEN}", response.text))
                assert not {one for one in told if one not in said}, (wire[:2000], response.text)
                odd.learn(reply)
        assert other_site(running, there) == before


def test_an_id_that_no_database_takes_is_a_400_for_a_token_of_one_site() -> None:
    """It was a 500, with a traceback in the log."""
    with site(SETTINGS, devices=DEVICES) as running:
        token = {"type": "token_add", "name": "franchise", "role": "admin", "sites": ["North"]}
        running.tokens["franchise"] = running.ask(token)["token"]
        with running.client("franchise") as client:
            request = (
                rb'command{"type":"resolve","commands":["\ud800"],"verdict":"ran","note":"x"}'
            )
            response = client.post("/api/command", content=request)
        assert response.json()["status"] == "400", response.text
        assert "Traceback" not in running.log()


def fill_other_site(running: Gateway) -> list[str]:
    """What may be told of the other site by mistake. Returns ids of commands there."""
    with Robot(running, SOUTH):
        start = {"type": "start", "imei": SOUTH, "long": 5, "key": "Geheimkey"}
        there = [running.ask(start)["command"]]
    hook = {"name": "Geheimhook", "url": "http://127.0.0.1:1/x"}
    rule = {"name": "Geheimrule", "kind": "offline", "minutes": 600, "receivers": ["Geheimhook"]}
    requests: list[dict[str, Any]] = [
        {"type": "alert_receiver_add", **hook},
        {"type": "alert_rule_add", **rule},
        *(
            {"type": "maintenance_on", "site": name, "reason": "Geheimgrund"}
            for name in ("Geheim", "Geheimort")
        ),
        {"type": "maintenance_on", "imei": HIDDEN},
        {"type": "maintenance_on", "imei": SOUTH, "reason": "Geheimgrund"},
        {"type": "zone", "site": "Geheim", "zone": "Asia/Tokyo"},
        {"type": "bulk_maintenance", "bulk": "Geheimjob", "imeis": [SOUTH], "on": False},
        {"type": "user_add", "name": "Geheimuser"},
    ]
    for request in requests:
        done = running.ask(request)
        assert done["status"] == "200", done
    return there


def other_site(running: Gateway, there: list[str]) -> dict[str, Any]:
    """What is known there, as far as it changes by being asked for alone."""
    device = running.ask({"type": "device", "imei": SOUTH})
    found: dict[str, Any] = {
        name: device[name] for name in ("id", "name", "site", "enabled", "model", "note", "tags")
    }
    found |= {id: running.ask({"type": "command", "command": id}) for id in there}
    for type in ("alert_rules", "alert_receivers", "zones", "users"):
        items = running.ask({"type": type})["items"]
        found[type] = [
            one for one in items
            # Who is limited may have receivers and rules of his own, whatever he calls them.
            if "Geheim" in json.dumps(one, ensure_ascii=False) and not one.get("owner")
        ]  # fmt: skip
    return found
