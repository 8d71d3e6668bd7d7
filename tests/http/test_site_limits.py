"""What somebody who is limited to some sites is told beside what he asks for: by an error, and
by a rule of alerts that another one changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.caller import Robot
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import request_bytes
from tests.http.harness import Site, problem, site

NORTH, SOUTH, NEW = "860000000000101", "860000000000202", "860000000000303"
DEVICES = [
    {"imei": NORTH, "id": 101, "name": "Nordstuhl", "site": "North"},
    {"imei": SOUTH, "id": 202, "name": "Geheimstuhl", "site": "South"},
]


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"command": {"ack_timeout": WAIT_SECONDS}}, devices=DEVICES) as running:
        for name, sites in (("mine", ["North"]), ("both", ["North", "South"])):
            given = {"type": "token_add", "name": name, "role": "admin", "sites": sites}
            running.tokens[name] = running.ask(given)["token"]
        yield running


def asked(served: Site, **request: Any) -> dict[str, Any]:
    with served.client("mine") as client:
        found: dict[str, Any] = client.post("/api/command", content=request_bytes(request)).json()
        return found


def test_a_number_elsewhere_is_taken_and_whose_it_is_stays_unsaid(served: Site) -> None:
    """Otherwise somebody could count up numbers to learn the IMEIs of all devices."""
    add, edit = {"imei": NEW, "site": "North"}, f"/api/devices/{NORTH}"
    for role, owner in (("mine", "another device's"), ("admin", f"the device {SOUTH}'s")):
        with served.client(role) as client:
            for response in (
                client.patch(edit, json={"id": 202}),
                client.post("/api/devices", json={**add, "id": 202}),
            ):
                assert problem(response, 409, "409")["detail"] == f"id: 202 is {owner}"
    with served.client("mine") as client:
        assert client.patch(edit, json={"id": 101}).status_code == 200
        response = client.post("/api/devices", json={**add, "id": 101})
        assert problem(response, 409, "409")["detail"] == f"id: 101 is the device {NORTH}'s"


def test_how_the_gateway_is_concerns_all_sites(served: Site) -> None:
    for more in ({}, {"imei": None}):
        reply = asked(served, type="status", **more)
        assert (reply["status"], reply["outcome"]) == ("401", "refused")
        assert reply["message"].endswith(" may ask how devices are by their IMEI alone")
    assert asked(served, type="status", imei=NORTH)["status"] == "200"
    assert asked(served, type="status", imei=SOUTH)["status"] == "300"
    with served.client("mine") as client:
        problem(client.get("/api/status"), 403, "401")


def test_a_key_that_was_used_elsewhere_tells_nothing_of_that_command(served: Site) -> None:
    with Robot(served, SOUTH), Robot(served, NORTH):
        for imei in (SOUTH, NORTH):
            start = {"type": "start", "imei": imei, "long": 9, "key": f"order-{imei}"}
            assert served.ask(start)["status"] == "200"
        request = {"type": "start", "imei": NORTH, "long": 8, "key": f"order-{SOUTH}"}
        reply = asked(served, **request)
        assert reply["status"] == "409"
        assert reply["message"] == f"key: 'order-{SOUTH}' was used for another command; " \
            "nothing was sent"  # fmt: skip
        assert not any(name.startswith("earlier") for name in reply)
        assert served.ask(request)["earlier_outcome"] == "done"
        reply = asked(served, **{**request, "key": f"order-{NORTH}"})
        assert reply["earlier_outcome"] == "done"
        assert reply["earlier"] in reply["message"]


def test_who_sees_more_changes_a_rule_and_its_receivers_are_told_no_more(served: Site) -> None:
    with served.client("mine") as mine, served.client("both") as both:
        hook = {"name": "hook", "url": "https://hooks.invalid/x"}
        assert mine.post("/api/alerts/receivers", json=hook).status_code == 201
        rule = {"name": "away", "kind": "offline", "receivers": ["hook"]}
        added = mine.post("/api/alerts/rules", json=rule).json()["rule"]
        assert (added["sites"], added["owner"]) == (["North"], "token:mine")
        for minutes in (7, 8):
            changed = both.patch("/api/alerts/rules/away", json={"minutes": minutes}).json()
            assert changed["rule"]["owner"] == "token:both"
            assert changed["rule"]["sites"] == ["North"]
        changed = mine.patch("/api/alerts/rules/away", json={"minutes": 9}).json()["rule"]
        assert (changed["sites"], changed["owner"]) == (["North"], "token:mine")
        receiver = {"name": "own", "url": "https://hooks.invalid/y"}
        assert both.post("/api/alerts/receivers", json=receiver).status_code == 201
        changed = both.patch("/api/alerts/rules/away", json={"receivers": ["own"]}).json()
        assert changed["rule"]["sites"] == ["North", "South"]


def test_a_page_of_maintenance_names_no_other_site_where_the_next_one_begins(
    served: Site,
) -> None:
    """Its `next` was the place of the last entry that was read, also of another site."""
    for where in ({"site": "Elsewhere"}, {"site": "South"}, {"imei": SOUTH}, {"imei": NORTH}):
        assert served.ask({"type": "maintenance_on", **where})["status"] == "200"
    first = asked(served, type="maintenance", limit=1)
    assert [one["imei"] for one in first["items"]] == [NORTH]
    assert first["next"] is None
    assert len(served.ask({"type": "maintenance"})["items"]) == 4
