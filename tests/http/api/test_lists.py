"""Lists over HTTP and the socket alike: filters, orders, counts, pages and CSV."""

from __future__ import annotations

import csv
import io

import httpx
import pytest

from tests.http.harness import Site, problem


def items(client: httpx.Client, path: str, **query: object) -> list[dict[str, object]]:
    response = client.get(path, params={name: str(value) for name, value in query.items()})
    assert response.status_code == 200, response.text
    found: list[dict[str, object]] = response.json()["items"]
    return found


def test_devices_are_sorted_counted_and_paged_back(client: httpx.Client, served: Site) -> None:
    names = [one["name"] for one in items(client, "/api/devices", sort="name", limit=1000)]
    assert names == sorted(names, key=str)
    turned = [one["name"] for one in items(client, "/api/devices", sort="-name", limit=1000)]
    assert turned == names[::-1]
    first = client.get("/api/devices", params={"sort": "-id", "limit": 7, "count": "true"}).json()
    total = len(names)
    assert (first["count"], first["more"], first["prev"]) == (total, False, None)
    second = client.get(
        "/api/devices", params={"sort": "-id", "limit": 7, "after": first["next"]}
    ).json()
    back = client.get(
        "/api/devices", params={"sort": "-id", "limit": 7, "before": second["prev"]}
    ).json()
    assert back["items"] == first["items"]
    asked = {"type": "devices", "sort": "-id", "limit": 7, "count": True}
    assert served.ask(asked)["items"] == first["items"]


def test_views_of_devices(client: httpx.Client, served: Site, imei: str) -> None:
    def found(**query: object) -> set[object]:
        return {one["imei"] for one in items(client, "/api/devices", limit=1000, **query)}

    everything = found()
    with served.register(imei):
        assert imei in found(seen="true")
        assert imei not in found(seen="false")
        assert found(offline_for=3600) == set(), "none was seen so long ago"
        assert items(client, "/api/devices", sort="state")[0]["online"] is True
    assert imei in found(online="false", seen="true")
    assert found(not_started_for=1) <= everything
    assert found(failing=99) == set()
    assert found(q=imei[-4:], sort="since") >= {imei}


def test_commands_are_narrowed(client: httpx.Client, served: Site, imei: str) -> None:
    for n in range(3):
        client.post(f"/api/devices/{imei}/start", json={"long": 60, "key": f"list-{imei}-{n}"})
    client.post(f"/api/devices/{imei}/stop", json={})
    mine = items(client, "/api/commands", imei=imei, outcome="refused", kind="start")
    assert [one["key"] for one in mine] == [f"list-{imei}-{n}" for n in (2, 1, 0)]
    assert {one["type"] for one in items(client, "/api/commands", kind="stop")} == {"stop"}
    assert items(client, "/api/commands", imei=imei, outcome="done,unknown") == []
    text = served.cli("history", imei, "--outcome", "refused", "--kind", "start", "--csv").stdout
    assert [row["key"] for row in csv.DictReader(io.StringIO(text))] == [
        one["key"] for one in mine
    ]
    assert items(client, "/api/commands", imei=imei, until=1000) == []
    source = mine[0]["source"]
    assert len(items(client, "/api/commands", imei=imei, source=source, since=1000)) == 4
    page = client.get("/api/commands", params={"imei": imei, "limit": 3, "count": "true"}).json()
    assert (page["count"], page["more"]) == (4, False)
    last = client.get("/api/commands", params={"imei": imei, "after": page["next"]}).json()
    assert len(last["items"]) == 1
    back = client.get(
        "/api/commands", params={"imei": imei, "before": last["prev"], "limit": 3}
    ).json()
    assert back["items"] == page["items"]
    site = {"site": str(mine[0]["site"])} if mine[0]["site"] else {}
    text = client.get("/api/commands/export", params={"imei": imei, **site}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["key"] for row in rows if row["type"] == "start"] == [one["key"] for one in mine]
    assert {row["outcome"] for row in rows} == {"refused"}
    sheet = client.get("/api/commands/export", params={"imei": imei, "for": "spreadsheet"}).text
    assert sheet.startswith("\ufeffaccepted_at,imei,")


def test_one_box_finds_everything(client: httpx.Client, served: Site, imei: str) -> None:
    key = f"found-{imei}"
    client.post(f"/api/devices/{imei}/start", json={"long": 60, "key": key})
    found = client.get("/api/find", params={"q": key}).json()
    assert [(one["key"], one["imei"]) for one in found["commands"]] == [(key, imei)]
    device = client.get("/api/find", params={"q": imei}).json()
    assert (device["exact"], device["devices"][0]["imei"]) == (1, imei)
    number = client.get("/api/find", params={"q": device["devices"][0]["id"]}).json()
    assert (number["exact"], number["devices"][0]["imei"]) == (1, imei)
    command = client.get("/api/find", params={"q": found["commands"][0]["command"]}).json()
    assert command["commands"] == found["commands"]
    assert key in served.cli("find", key).stdout
    assert served.cli("devices", "list", "--search", imei, "--count").stdout == "1\n"
    assert client.get("/api/find", params={"q": "nobody at all"}).json()["devices"] == []
    problem(client.get("/api/find", params={"q": " "}), 400, "400")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/api/devices?sort=colour", "sort"), ("/api/devices?failing=100", "failing"),
        ("/api/devices?offline_for=0", "offline_for"),
        ("/api/devices?sort=since&after=860000000000001", "after"),
        ("/api/devices?before=86", "before"), ("/api/commands?outcome=fine", "outcome"),
        ("/api/commands?since=soon", "since"), ("/api/commands?kind=jump", "kind"),
        ("/api/find", "q"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_named(client: httpx.Client, path: str, names: str) -> None:
    assert problem(client.get(path), 400, "400")["detail"].startswith(f"{names}: ")
