"""Maintenance over HTTP and by the command line, of a gateway that runs."""

from __future__ import annotations

import time

import httpx

from tests.e2e.device import frame
from tests.http.harness import Site, problem

IMEI, NEXT = "861000000000030", "861000000000031"


def test_a_machine_and_a_site(served: Site, client: httpx.Client) -> None:
    for imei in (IMEI, NEXT):
        client.post("/api/devices", json={"imei": imei, "site": "workshop"})
    with served.register(IMEI) as device, served.client("command") as seller:
        until = int(time.time()) + 3600
        begun = seller.post(
            "/api/maintenance", json={"imei": IMEI, "reason": "motor", "until": until}
        )
        assert (begun.status_code, begun.json()["imeis"]) == (200, [IMEI])
        refused = problem(
            seller.post(f"/api/devices/{IMEI}/start", json={"long": 60, "key": "m-1"}), 423, "423"
        )
        assert (refused["why"], refused["outcome"]) == ("maintenance", "refused")
        by_shop = served.cli("start", IMEI, "60", "--key", "m-2")
        assert (by_shop.returncode, "in maintenance" in by_shop.stderr) == (14, True)

        tested = seller.post(f"/api/devices/{IMEI}/test", json={"long": 5, "wait": False})
        assert (tested.status_code, tested.json()["why"]) == (202, "test")
        device.expect(frame("000", IMEI, "QD", "5"))
        device.send(frame("200", IMEI, "QD"))
        device.expect(frame("200", IMEI, "QD"))

        assert served.cli("maintenance", "on", "--site", "workshop").returncode == 0
        listed = client.get("/api/maintenance").json()["items"]
        assert [(one["imei"], one["site"], one["source"]) for one in listed] == [
            (None, "workshop", "socket"), (IMEI, "workshop", "http:command"),
        ]  # fmt: skip
        shown = served.cli("maintenance", "list").stdout
        assert "(the whole site)" in shown
        assert "motor" in shown
        assert client.get(f"/api/devices/{NEXT}").json()["maintenance"]["whole_site"] is True
        seller.post("/api/maintenance/end", json={"imei": IMEI})
        problem(seller.post(f"/api/devices/{IMEI}/start", json={"long": 60}), 423, "423")
        assert "maintenance" in served.cli("status", IMEI).stdout
        served.cli("maintenance", "off", "--site", "workshop")
        many = served.cli("bulk", "maintenance", IMEI, NEXT, "--yes", "--for", "1h")
        assert (many.returncode, "2 done" in many.stdout) == (0, True)
        ended = served.cli("bulk", "maintenance", IMEI, NEXT, "--yes", "--off")
        assert ended.returncode == 0
        assert client.get("/api/maintenance").json()["items"] == []
    for wrong in ({}, {"imei": IMEI, "site": "workshop"}, {"imei": None}):
        said = problem(client.post("/api/maintenance", json=wrong), 400, "400")["detail"]
        assert said.startswith("imei: either imei, imeis or site expected, not ")
    with served.client("read") as reader:
        for path, body in (
            ("/api/maintenance", {"imei": IMEI}), ("/api/maintenance/end", {"imei": IMEI}),
            (f"/api/devices/{IMEI}/test", {"long": 5}),
            ("/api/bulk/maintenance", {"imeis": [IMEI]}),
        ):  # fmt: skip
            problem(reader.post(path, json=body), 403, "401")
        assert reader.get("/api/maintenance").status_code == 200
    for imei in (IMEI, NEXT):
        client.delete(f"/api/devices/{imei}")
