"""The record of a machine over HTTP and by the command line, of a gateway that runs."""

from __future__ import annotations

import httpx

from tests.e2e.device import frame
from tests.http.harness import Site, problem

IMEI, NEXT = "861000000000040", "861000000000041"


def test_it_is_kept_changed_and_found(served: Site, client: httpx.Client) -> None:
    made = client.post(
        "/api/devices",
        json={"imei": IMEI, "name": "Chair", "model": "MC-4", "serial": "S-40", "tags": "b, a"},
    )
    assert (made.status_code, made.json()["tags"]) == (201, "a,b")
    last = client.get("/api/status").json()["last_event"]
    changed = client.patch(
        f"/api/devices/{IMEI}", json={"latitude": 31.2, "longitude": 121.5, "tag": "c",
                                      "note": "left", "name": "Chair 40"}
    )  # fmt: skip
    assert changed.json()["tags"] == "a,b,c"
    [event] = client.get(f"/api/events?after={last}&imei={IMEI}&events=device.changed").json()[
        "items"
    ]
    assert event["type"] == "device.changed"
    assert {name: one["new"] for name, one in event["changes"].items()} == {
        "name": "Chair 40", "note": "left", "tags": "a,b,c", "latitude": 31.2, "longitude": 121.5,
    }  # fmt: skip
    # Of the record alone, too.
    last = client.get("/api/status").json()["last_event"]
    client.patch(f"/api/devices/{IMEI}", json={"note": None})
    [event] = client.get(f"/api/events?after={last}&imei={IMEI}&events=device.changed").json()[
        "items"
    ]
    assert event["changes"] == {"note": {"old": "left", "new": None}}

    said = problem(client.patch(f"/api/devices/{IMEI}", json={"iccid": "5"}), 400, "400")
    assert said["detail"].startswith("iccid: 18 to 22 digits expected")
    problem(client.patch(f"/api/devices/{IMEI}", json={"latitude": None}), 400, "400")
    assert client.get("/api/find?q=S-40").json()["devices"][0]["imei"] == IMEI
    for query in ("model=MC-4", "tag=c"):
        found = client.get(f"/api/devices?{query}").json()["items"]
        assert [one["imei"] for one in found] == [IMEI]

    by_hand = served.cli(
        "devices", "edit", IMEI, "--installed-on", "2026-02-28", "--position", "", "--untag", "a",
        "--sim-phone", "1064 0000",
    )  # fmt: skip
    assert by_hand.returncode == 0, by_hand.stderr
    known = client.get(f"/api/devices/{IMEI}").json()
    assert (known["installed_on"], known["latitude"], known["tags"]) == ("2026-02-28", None, "b,c")
    assert "1064 0000" in served.cli("devices", "show", IMEI).stdout
    client.post("/api/devices", json={"imei": NEXT})
    tagged = served.cli("bulk", "edit", IMEI, NEXT, "--tag", "floor 2", "--yes")
    assert (tagged.returncode, "2 done" in tagged.stdout) == (0, True)
    listed = served.cli("devices", "list", "--tag", "floor 2").stdout
    assert IMEI in listed
    assert NEXT in listed
    exported = client.get("/api/devices/export").text
    assert f"{IMEI}," in exported
    assert '"b,c,floor 2"' in exported
    for imei in (IMEI, NEXT):
        client.delete(f"/api/devices/{imei}")


def test_a_diagnosis(served: Site, client: httpx.Client) -> None:
    client.post("/api/devices", json={"imei": IMEI, "model": "MC-9", "serial": "S-9"})
    with served.register(IMEI) as device:
        client.post(f"/api/devices/{IMEI}/start", json={"long": 5, "wait": False})
        device.expect(frame("000", IMEI, "QD", "5"))
        device.send(frame("200", IMEI, "QD"))
        device.expect(frame("200", IMEI, "QD"))
    served.until(IMEI, "online", False)
    with served.register(IMEI):
        served.until(IMEI, "online", True)
        found = client.get(f"/api/devices/{IMEI}/diagnosis?days=1").json()
        assert (found["model"], found["reconnects"], found["complete"]) == ("MC-9", 1, True)
        assert found["reasons"] == {"closed by the device": 1}
        assert (found["answers"]["commands"], found["others"]["devices"]) == (1, 0)
        report = served.cli("diagnose", IMEI, "--days", "30").stdout
        assert "serial       S-9" in report
        assert "1 reconnects, 0 times silent" in report
        assert "1 commands, 0 unanswered, 0 failed; half within" in report
    problem(client.get(f"/api/devices/{IMEI}/diagnosis?days=2"), 400, "400")
    problem(client.get(f"/api/devices/{NEXT}/diagnosis"), 404, "300")
    assert served.cli("diagnose", NEXT).returncode == 5
    client.delete(f"/api/devices/{IMEI}")


def test_where_sites_are(served: Site, client: httpx.Client) -> None:
    for imei, place in ((IMEI, (31.0, 121.0)), (NEXT, (32.0, 122.0))):
        client.post(
            "/api/devices",
            json={"imei": imei, "site": "map", "latitude": place[0], "longitude": place[1]},
        )
    found = client.get("/api/sites/places").json()
    [place] = [one for one in found["items"] if one["site"] == "map"]
    assert (place["latitude"], place["longitude"], place["placed"]) == (31.5, 121.5, 2)
    assert '"longitude": 121.5' in served.cli("sites", "--json").stdout
    assert "LATITUDE" in served.cli("sites").stdout
    for imei in (IMEI, NEXT):
        client.delete(f"/api/devices/{imei}")
