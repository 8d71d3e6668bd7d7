"""What is known of devices, over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import httpx
import pytest

from devgate.store.device import RECORD
from tests.e2e.caller import Caller
from tests.http.harness import Json, Site, problem

IMEI = "777000000000001"


@pytest.fixture
def added(client: httpx.Client) -> Iterator[Json]:
    device = {"imei": IMEI, "name": "Bay 5", "site": "north", "unit": "times"}
    response = client.post("/api/devices", json=device)
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/devices/{IMEI}"
    yield response.json()
    client.delete(f"/api/devices/{IMEI}")


def test_a_device_from_its_first_day_to_its_last(
    served: Site, client: httpx.Client, added: Json
) -> None:
    assert added["id"] == 61, "the next number"
    with served.register(IMEI):  # it is in force
        known = client.get(f"/api/devices/{IMEI}").json()
        assert known["online"] is True
        assert (known["name"], known["phone"], known["qr"]) == ("Bay 5", None, None)
        assert known["last"] is None
    changed = client.patch(f"/api/devices/{IMEI}", json={"site": "south", "phone": "555"})
    assert changed.json()["message"] == f"changed {IMEI}"
    known = client.get(f"/api/devices/{IMEI}").json()
    assert (known["name"], known["site"], known["phone"]) == ("Bay 5", "south", "555")
    client.patch(f"/api/devices/{IMEI}", json={"phone": None})
    assert client.get(f"/api/devices/{IMEI}").json()["phone"] is None
    assert client.delete(f"/api/devices/{IMEI}").json()["message"] == f"removed {IMEI}"
    problem(client.delete(f"/api/devices/{IMEI}"), 404, "300")
    problem(client.get(f"/api/devices/{IMEI}"), 404, "300")
    types = [event["type"] for event in client.get("/api/events?imei=" + IMEI).json()["items"]]
    assert types.count("device.added") == types.count("device.removed") == 1


def test_what_is_taken_is_409(client: httpx.Client, added: Json) -> None:
    again = {"imei": IMEI}
    assert (
        "there already" in problem(client.post("/api/devices", json=again), 409, "409")["detail"]
    )
    other = {"imei": "777000000000002", "id": added["id"]}
    assert IMEI in problem(client.post("/api/devices", json=other), 409, "409")["detail"]
    response = client.patch(f"/api/devices/{IMEI}", json={"id": 1})
    assert problem(response, 409, "409")["detail"].startswith("id: 1 is the device 8600")
    assert client.patch(f"/api/devices/{IMEI}", json={"id": added["id"]}).status_code == 200


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, "nothing to change"),
        ({"id": -1}, "id"),
        ({"id": "5"}, "id"),
        ({"name": None}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"site": "x" * 201}, "site"),
        ({"qr": "{imei}" * 100}, "qr"),
        ({"unit": "hours"}, "unit"),
        ({"enabled": 1}, "enabled"),
        ({"imei": IMEI}, "imei"),
    ],
)
def test_a_wrong_field_is_named(
    client: httpx.Client, added: Json, change: Json, names: str
) -> None:
    response = client.patch(f"/api/devices/{IMEI}", json=change)
    assert names in problem(response, 400, "400")["detail"]


def listed(client: httpx.Client, **query: object) -> list[str]:
    response = client.get("/api/devices", params={k: str(v) for k, v in query.items()})
    assert response.status_code == 200, response.text
    return [item["imei"] for item in response.json()["items"]]


def test_devices_are_found(served: Site, client: httpx.Client, added: Json) -> None:
    mine, first = [IMEI], "860000000000000"
    assert listed(client, q="bAY 5", site="north") == mine
    assert listed(client, q="777") == listed(client, q="NORTH") == mine
    assert listed(client, q="%") == listed(client, q="_") == listed(client, q="\\") == []
    assert len(listed(client, q="Bay", limit=10)) == 10
    with served.register(first), served.register(IMEI):
        assert listed(client, online="true") == [IMEI, first]
        assert listed(client, online="true", q="north") == mine
        assert first not in listed(client, online="false")
        assert listed(client, online="true", running="true") == []
        assert listed(client, online="true", running="false") == [IMEI, first]
    client.patch(f"/api/devices/{IMEI}", json={"enabled": False})
    assert listed(client, enabled="false") == mine
    assert listed(client, enabled="true", site="north") == []


def test_devices_come_in_pages(client: httpx.Client) -> None:
    everything, after = list[str](), ""
    while True:
        query = {"limit": "7", "q": "8600"} | ({"after": after} if after else {})
        page = client.get("/api/devices", params=query).json()
        everything += [item["imei"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert everything == [f"860000000000{n:03}" for n in range(60)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=0", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", "limit: given twice"),
        ("online=1", "online"), ("after=5", "after"), ("q=", "q"), ("lmit=1", "lmit"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(client: httpx.Client, query: str, names: str) -> None:
    found = problem(client.get(f"/api/devices?{query}"), 400, "400")
    assert names in found["detail"]


# Files


def put(client: httpx.Client, text: str, **query: str) -> httpx.Response:
    head = {"Content-Type": "text/csv"}
    return client.post("/api/devices/import", params=query, content=text.encode(), headers=head)


def test_what_is_exported_imports_again(client: httpx.Client) -> None:
    odd = 'imei,name,qr,enabled\n777000000000009,"雷, ""x""","a\r\nb\rc",false\n'
    assert put(client, odd).json() | {"message": ""} == {
        "status": "200", "message": "", "added": 1, "updated": 0, "skipped": 0
    }  # fmt: skip
    response = client.get("/api/devices/export")
    assert response.headers["content-type"].startswith("text/csv")
    assert "devices.csv" in response.headers["content-disposition"]
    rows = {row["imei"]: row for row in csv.DictReader(io.StringIO(response.text, newline=""))}
    assert rows["777000000000009"] | {"id": ""} == {
        "imei": "777000000000009", "id": "", "name": '雷, "x"', "site": "", "phone": "",
        "qr": "a\r\nb\rc", "unit": "seconds", "ack_timeout": "", "enabled": "false",
        **dict.fromkeys(RECORD, ""),
    }  # fmt: skip
    again = client.post("/api/devices/import", content=response.content)
    assert (again.json()["added"], again.json()["skipped"]) == (0, len(rows))
    client.delete("/api/devices/777000000000009")


def test_an_import_is_whole_or_not_at_all(client: httpx.Client) -> None:
    bad = "imei\n777000000000011\n77\n"
    assert problem(put(client, bad), 400, "400")["detail"].startswith("line 3: imei:")
    problem(client.get("/api/devices/777000000000011"), 404, "300")
    differs = "imei,name\n860000000000000,other\n"
    assert "there already" in problem(put(client, differs), 400, "400")["detail"]
    assert put(client, differs, on_conflict="skip").json()["skipped"] == 1
    assert put(client, differs, on_conflict="update").json()["updated"] == 1
    assert client.get("/api/devices/860000000000000").json()["name"] == "other"
    back = "imei,name\n860000000000000,Bay 0\n"
    assert put(client, back, on_conflict="update").json()["updated"] == 1
    problem(put(client, back, on_conflict="perhaps"), 400, "400")
    problem(put(client, ""), 400, "400")


def test_many_devices_go_out_and_in(client: httpx.Client) -> None:
    """More than one page, and more than one piece of the body."""
    many = "imei,name\n" + "".join(f"7771{n:011},{'x' * 100}\n" for n in range(2500))
    assert put(client, many).json()["added"] == 2500
    text = client.get("/api/devices/export").text
    assert text.count("\n7771") == 2500
    assert (
        len(client.get("/api/devices", params={"q": "7771", "limit": "1000"}).json()["items"])
        == 1000
    )


def test_the_control_socket_has_the_same_operations(served: Site) -> None:
    csv = "imei,name\n777000000000021,a\n777000000000022,b\n"
    assert served.ask({"type": "import", "csv": csv})["added"] == 2
    edited = served.ask({"type": "edit", "imei": "777000000000021", "name": "c"})
    assert (edited["status"], edited["name"]) == ("200", "c")
    found = served.ask({"type": "devices", "q": "77700000000002"})["items"]
    assert [item["name"] for item in found] == ["c", "b"]
    with Caller(served) as caller:
        caller.follow(type="export")
        lines = caller.until(lambda line: line["imei"] == "777000000000022")
    assert lines[-2]["name"] == "c"
    for device in found:
        assert served.ask({"type": "remove", "imei": device["imei"]})["status"] == "200"
    assert served.ask({"type": "import", "csv": 5})["status"] == "400"
    assert served.ask({"type": "add", "imei": "777000000000021", "name": 5})["status"] == "400"


def test_webhooks_are_told_of(client: httpx.Client) -> None:
    assert client.get("/api/webhooks").json()["items"] == []
    problem(client.post("/api/webhooks/shop/test"), 404, "400")
    response = client.post("/api/webhooks/shop/replay", json={"after": 0})
    assert "no webhook" in problem(response, 404, "400")["detail"]


def test_the_gateway_and_its_sites(client: httpx.Client, added: Json) -> None:
    status = client.get("/api/status").json()
    assert status["status"] == "200"
    assert status["listen"]["http"] == [client.base_url.netloc.decode()]
    assert client.post("/api/refresh").json()["status"] == "200"
    assert "items" in client.get("/api/sites").json()
    fleet = client.get("/api/fleet").json()
    assert fleet["known"] >= 60
    assert fleet["offline"] == fleet["known"] - fleet["disabled"] - fleet["online"]
    [offline] = [one for one in fleet["attention"] if one["kind"] == "offline"]
    assert (offline["level"], offline["of"]) == ("critical", fleet["offline"])
    for days in (1, 7, 30):
        trend = client.get("/api/fleet/trend", params={"days": days}).json()
        assert len(trend["hours"]) == 24 * days
        assert trend["hours"][-1]["online"] == fleet["online"]
    problem(client.get("/api/fleet/trend", params={"days": 3}), 400, "400")
    assert client.get(f"/api/devices/{IMEI}/day").json()["imei"] == IMEI
