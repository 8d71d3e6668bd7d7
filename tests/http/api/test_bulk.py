"""Many devices at once, over HTTP and by the command line."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from tests.e2e.device import WAIT_SECONDS, frame
from tests.http.harness import Site, problem

IMEIS = [f"860000000000{n:03}" for n in range(10, 20)]


def ended(client: httpx.Client, id: str, **query: str) -> Any:
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        job = client.get(f"/api/bulk/{id}", params=query).json()
        if job["ended_at"] is not None:
            return job
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_many_are_started_over_http(served: Site, client: httpx.Client) -> None:
    """D6: what the bar of the list does, over HTTP."""
    with served.register(IMEIS[0]) as device, served.client("command") as seller:
        order = {"bulk": "shift-1", "imeis": IMEIS[:3], "long": 60}
        counted = seller.post("/api/bulk/start", json={**order, "dry_run": True}).json()
        assert (counted["count"], counted["online"]) == (3, 1)
        begun = seller.post("/api/bulk/start", json=order)
        assert (begun.status_code, begun.json()["bulk"]) == (200, "shift-1")
        device.expect(frame("000", IMEIS[0], "QD", "60"))
        device.send(frame("200", IMEIS[0], "QD"))
        device.expect(frame("200", IMEIS[0], "QD"))
        job = ended(seller, "shift-1")
        assert job["outcomes"] == {"done": 1, "refused": 2}
        assert job["source"] == "http:command"
        assert seller.post("/api/bulk/start", json=order).json()["state"] == "ended"
        device.expect_nothing(IMEIS[0])
        problem(seller.post("/api/bulk/start", json={**order, "long": 61}), 409, "409")
        problem(seller.post("/api/bulk/edit", json={"match": {}, "enabled": False}), 403, "401")
        assert [job["bulk"] for job in seller.get("/api/bulk").json()["items"]] == ["shift-1"]
        problem(seller.post("/api/bulk/shift-1/cancel"), 409, "409")
        problem(seller.get("/api/bulk/nothing"), 404, "400")
    with served.client("read") as reader:
        failed = reader.get("/api/bulk/shift-1?failed=true").json()
        assert [item["status"] for item in failed["items"]] == ["404", "404"]
        problem(reader.post("/api/bulk/stop", json={"imeis": IMEIS}), 403, "401")


def test_a_wrong_selection_is_named(client: httpx.Client) -> None:
    for body, name in (
        ({"imeis": ["5"], "enabled": True}, "imeis"),
        ({"imeis": [], "enabled": True}, "imeis"),
        ({"match": {"sit": "x"}, "enabled": True}, "match"),
        ({"match": {"online": "yes"}, "enabled": True}, "match"),
        ({"match": {}, "enabled": 1}, "enabled"),
        ({"match": {"failing": 5.5}, "enabled": True}, "match"),
    ):
        found = problem(client.post("/api/bulk/edit", json=body), 400, "400")
        assert found["detail"].startswith(f"{name}: ")
    whole = {"match": {"failing": 5.0}, "enabled": True, "dry_run": True}  # 5.0 is 5, here, too
    assert client.post("/api/bulk/edit", json=whole).status_code == 200


def test_many_are_moved_by_the_command_line(served: Site, client: httpx.Client) -> None:
    """D6: what the bar of the list does, by the command line."""
    refused = served.cli("bulk", "edit", *IMEIS, "--to-site", "east")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Change 10 machines (0 online, " in refused.stderr
    assert "only with --yes" in refused.stderr
    one = served.cli("bulk", "start", "15m", IMEIS[0])
    assert "Start 1 machine (0 online, " in one.stderr
    both = served.cli("bulk", "stop", IMEIS[0], "--site", "east", "--yes")
    assert (both.returncode, "one of them, not several" in both.stderr) == (2, True)
    unsaid = served.cli("bulk", "stop", "--yes")
    assert (unsaid.returncode, "or --all" in unsaid.stderr) == (2, True)
    moved = served.cli("bulk", "edit", *IMEIS, "--to-site", "east", "--yes", "--id", "move-1")
    assert (moved.returncode, moved.stdout) == (0, "move-1: ended, 10 of 10 (10 done)\n")
    found = client.get("/api/devices?site=east").json()["items"]
    assert [item["imei"] for item in found] == IMEIS
    served.cli("bulk", "edit", "--site", "east", "--disable", "--yes")
    started = served.cli("bulk", "start", "15m", "--site", "east", "--yes", "--json")
    assert started.returncode == 8
    job = json.loads(started.stdout)
    assert job["outcomes"] == {"refused": 10}
    assert {item["status"] for item in job["items"]} == {"401"}
    shown = served.cli("bulk", "show", job["bulk"], "--failed")
    assert shown.stdout.count("the device is disabled; nothing was sent") == 10
    assert served.cli("bulk", "list").stdout.count("\n") >= 4
    assert served.cli("bulk", "cancel", job["bulk"]).returncode == 9
    assert served.cli("bulk", "show", "nothing").returncode == 2
    served.cli("bulk", "edit", "--site", "east", "--enable", "--to-site", "", "--yes")
    assert client.get("/api/devices?site=east").json()["items"] == []
