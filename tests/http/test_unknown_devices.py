"""Unknown devices by every way in: the API, the pages, the command line of a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from devgate.access.users import add
from tests.e2e.device import frame
from tests.http.harness import Site, problem, site
from tests.http.visitor import NAME, PASSWORD, Visitor, links, visitor

STRANGER, SECOND, THIRD = "990000000000001", "990000000000002", "990000000000003"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"http": {"users": "users"}, "device": {"registration": "approve"}}) as running:
        add(running.folder / "users", NAME, "command", PASSWORD)
        running.add_devices([{"imei": "123456787654321", "name": "Bay 1"}])
        with running.unregistered() as device:
            for imei in (STRANGER, SECOND, THIRD):
                device.send(frame("000", imei, "HT"))
                device.expect(frame("300", imei, "HT"))
        yield running


@pytest.fixture
def someone(served: Site) -> Iterator[Visitor]:
    with visitor(served.url) as opened:
        opened.log_in()
        yield opened


def listed(client: httpx.Client, **query: str) -> list[dict[str, Any]]:
    response = client.get("/api/unknown-devices", params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_the_api_lists_approves_and_dismisses(served: Site) -> None:
    with served.client("command") as client, served.client("read") as reader:
        assert [one["imei"] for one in listed(reader)] == [THIRD, SECOND, STRANGER]
        page = reader.get("/api/unknown-devices?limit=2").json()
        assert (page["count"], page["next"]) == (3, SECOND)
        assert [one["imei"] for one in listed(reader, after=SECOND)] == [STRANGER]
        problem(reader.post(f"/api/unknown-devices/{SECOND}/dismiss"), 403, "401")
        assert client.post(f"/api/unknown-devices/{SECOND}/dismiss").status_code == 200
        assert [one["imei"] for one in listed(reader, dismissed="true")] == [SECOND]
        back = {"dismissed": False}
        client.post(f"/api/unknown-devices/{SECOND}/dismiss", json=back)
        path = f"/api/unknown-devices/{STRANGER}/approve"
        added = client.post(path, json={"name": "Bay 2", "site": "north"})
        assert (added.status_code, added.json()["name"]) == (200, "Bay 2")
        problem(client.post(path), 409, "409")
        problem(client.post("/api/unknown-devices/990000000000009/approve"), 404, "300")
        problem(client.post("/api/devices", json={"imei": "990000000000009"}), 403, "401")
    with served.register(STRANGER):
        pass
    events = served.ask({"type": "events", "imei": STRANGER, "events": "device.added"})["items"]
    assert [event["source"] for event in events] == ["http:command"]


def test_the_page_approves_and_dismisses(served: Site, someone: Visitor) -> None:
    path = "/unknown-devices"
    page = someone.get(path)
    assert SECOND in page
    assert "/devices/add" not in page, "that is for an admin"
    fields = someone.fields(path, path)
    moved = someone.post(path, {**fields, "approve": SECOND})
    assert f"{SECOND} is added, and may register." in someone.get(moved)
    moved = someone.post(path, {**fields, "dismiss": THIRD})
    assert f"{THIRD} is left out of the list." in someone.get(moved)
    assert "None. Every machine" in someone.get(path)
    assert THIRD in someone.get(f"{path}?dismissed=1")
    moved = someone.post(path, {**fields, "undo": THIRD})
    assert f"{THIRD} is in the list again." in someone.get(moved)
    someone.post(path, {"approve": THIRD}, 400)
    someone.post(path, fields, 400)
    assert path in links(someone.get("/devices"))
    with visitor(served.url) as admin:
        admin.log_in(token=served.tokens["admin"])
        assert f"/devices/add?imei={THIRD}" in links(admin.get(path))
    with visitor(served.url, **{"Accept-Language": "zh"}) as reader:
        reader.log_in(token=served.tokens["read"])
        page = reader.get(path)
        assert "不在列表中" in page
        assert 'name="dismiss"' not in page
        form = {**reader.fields(path, path), "dismiss": THIRD}
        reader.post(path, form, 403)


def test_the_command_line_lists_approves_and_dismisses(served: Site) -> None:
    imei = "990000000000077"
    with served.unregistered() as device:
        device.send(frame("000", imei, "HT"))
        device.expect(frame("300", imei, "HT"))
    got = served.cli("devices", "unknown", "--reason", "unknown")
    assert imei in got.stdout
    assert served.cli("devices", "dismiss", imei).stdout == f"{imei} is left out of the list\n"
    assert imei not in served.cli("devices", "unknown").stdout
    page = json.loads(served.cli("devices", "unknown", "--dismissed", "--json").stdout)
    assert [one["imei"] for one in page["items"]] == [imei]
    got = served.cli("devices", "approve", imei, "990000000000078", "--site", "south")
    assert (got.returncode, got.stdout) == (5, f"approved {imei}; it is added, and may register\n")
    assert "has tried to register" in got.stderr
    assert served.ask({"type": "device", "imei": imei})["site"] == "south"
