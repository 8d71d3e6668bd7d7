"""Alerts over HTTP, from a machine that goes to a mail that comes: real servers at both ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.alerts.mail import mailroom
from tests.e2e.caller import eventually
from tests.e2e.harness import SAMPLE
from tests.http.harness import Site, problem, site
from tests.webhooks.receiver import receiving

RULES, RECEIVERS = "/api/alerts/rules", "/api/alerts/receivers"
AWAY: dict[str, Any] = {
    "name": "away", "kind": "offline", "minutes": 0, "receivers": ["ops", "shop"],
}  # fmt: skip


@pytest.fixture(scope="module")
def alerting() -> Iterator[Site]:
    """A gateway whose receivers may be on this machine."""
    with site(
        {"control": {"private_webhooks": True}},
        devices=[{"imei": SAMPLE, "id": 16, "name": "Chair 16", "site": "Mall"}],
    ) as running:
        yield running


@pytest.fixture
def admin(alerting: Site) -> Iterator[httpx.Client]:
    with alerting.client() as client:
        yield client
        for path in (RULES, RECEIVERS):
            for item in client.get(path).json()["items"]:
                assert client.delete(f"{path}/{item['name']}").status_code == 200


def add(client: httpx.Client, path: str, **given: Any) -> dict[str, Any]:
    response = client.post(path, json=given)
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"{path}/{given['name']}"
    found: dict[str, Any] = response.json()
    return found


def look(client: httpx.Client) -> None:
    """A rule that changes is looked at once more."""
    assert client.patch(f"{RULES}/away", json={"all_clear": True}).status_code == 200


def messages(client: httpx.Client) -> list[tuple[str, str, str]]:
    items = client.get("/api/alerts/log").json()["items"]
    return [(one["receiver"], one["state"], one["title"]) for one in items]


def test_a_machine_that_goes_and_comes_back_is_told(alerting: Site, admin: httpx.Client) -> None:
    with mailroom() as room, receiving() as receiver:
        add(admin, RECEIVERS, name="ops", url=room.url)
        assert add(admin, RECEIVERS, name="shop", url=receiver.url("/hook?hush"), language="zh")[
            "secret"
        ].startswith("whsec_")
        with alerting.register(SAMPLE):
            add(admin, RULES, **AWAY)
        eventually(lambda: admin.get(f"/api/devices/{SAMPLE}").json()["online"], lambda on: not on)
        look(admin)
        room.wait(1)
        receiver.wait(lambda r: len(r.taken) == 1)
        assert room.subjects() == ["Machine offline: Chair 16"]
        assert "Chair 16 · Mall · since " in room.text()
        posted = json.loads(receiver.taken[0].body)
        assert posted["type"] == "alert.fired"
        assert posted["data"]["title"] == "设备离线\uff1aChair 16"
        assert posted["data"]["fired"] == [
            {"subject": SAMPLE, "label": "Chair 16", "site": "Mall"}
        ]
        eventually(lambda: messages(admin), lambda found: len(found) == 2)
        assert sorted(messages(admin)) == [
            ("ops", "sent", "Machine offline: Chair 16"),
            ("shop", "sent", "设备离线\uff1aChair 16"),
        ]  # fmt: skip
        [item] = eventually(
            lambda: admin.get("/api/alerts").json()["items"],
            lambda items: items and items[0]["told_at"],
        )
        assert (item["rule"], item["kind"], item["subject"]) == ("away", "offline", SAMPLE)
        events = admin.get("/api/events", params={"events": "alert", "limit": 1000}).json()
        types = [one["type"] for one in events["items"]]
        assert types.count("alert.fired") == 1
        assert types.count("alert.sent") == 2
        fired = next(one for one in events["items"] if one["type"] == "alert.fired")
        assert (fired["rule"], fired["count"], fired["subjects"]) == ("away", 1, ["Chair 16"])
        with alerting.register(SAMPLE):
            look(admin)
            assert eventually(
                lambda: admin.get("/api/alerts").json()["count"], lambda count: count == 0
            ) == 0  # fmt: skip


def test_a_test_is_sent_and_in_the_record(alerting: Site, admin: httpx.Client) -> None:
    with mailroom() as room, mailroom("554 no") as closed:
        add(admin, RECEIVERS, name="ops", url=room.url, language="zh")
        add(admin, RECEIVERS, name="broken", url=closed.url)
        assert admin.post(f"{RECEIVERS}/ops/test").json()["message"].startswith("ops took the")
        assert room.subjects() == ["devgate 测试消息"]
        assert "devgate 测试消息" in alerting.cli("alert", "log").stdout
        failed = problem(admin.post(f"{RECEIVERS}/broken/test"), 503, "503")
        assert failed["outcome"] == "failed"
        assert messages(admin)[:2] == [
            ("broken", "failed", "Test message from devgate"), ("ops", "sent", "devgate 测试消息"),
        ]  # fmt: skip


def test_urls_are_told_nowhere(alerting: Site, admin: httpx.Client) -> None:
    secret = "hushhush12345"
    add(admin, RECEIVERS, name="ops", url=f"mailtos://me:{secret}@smtp.example.com?to=a@b.com")
    assert add(admin, RECEIVERS, name="bot", url=f"wecombot://{secret}")["url"].startswith("wecom")
    assert secret not in admin.get(RECEIVERS).text
    wrong = admin.post(RECEIVERS, json={"name": "x", "url": f"{secret}://{secret}"})
    assert secret not in problem(wrong, 400, "400")["detail"]
    assert secret not in alerting.log()
    assert secret.encode() not in (alerting.folder / "devgate.db").read_bytes()


def test_what_is_wrong_is_named(admin: httpx.Client) -> None:
    add(admin, RECEIVERS, name="ops", url="wecombot://0123456789")
    right = {**AWAY, "receivers": ["ops"]}
    for change, names in (
        ({"kind": "odd"}, "kind: offline, site_outage, "),
        ({"quiet": "night"}, "quiet: hours like 22:00-07:00"),
        ({"zone": "Mars/Olympus"}, "zone: a time zone like"),
        ({"kind": "failures", "site": "Mall"}, "site: a rule about failures is for all"),
        ({"minutes": -1}, "minutes: a whole number from 0"),
        ({"repeat": 4}, "repeat: a whole number from 0"),
        ({"receiver": "ops"}, "unknown field"),
    ):
        response = admin.post(RULES, json={**right, **change})
        assert names in problem(response, 400, "400")["detail"]
    nobody = admin.post(RULES, json={**right, "receivers": ["nobody"]})
    assert "no receiver is called" in problem(nobody, 404, "400")["detail"]
    problem(admin.patch(f"{RULES}/nothing", json={"minutes": 5}), 404, "400")
    add(admin, RULES, **right)
    problem(admin.post(RULES, json=right), 409, "409")
    problem(admin.delete(f"{RECEIVERS}/ops"), 409, "409")
    problem(admin.post(RECEIVERS, json={"name": "ops", "url": "wecombot://01234567"}), 409, "409")
    problem(admin.post(RECEIVERS, json={"name": "a", "url": "syslog://localhost"}), 400, "400")
    problem(admin.patch(f"{RULES}/away", json={}), 400, "400")
    problem(admin.delete(f"{RULES}/nothing"), 404, "400")
    problem(admin.post(f"{RECEIVERS}/nobody/test"), 404, "400")
    changed = admin.patch(f"{RULES}/away", json={"site": "Mall", "quiet": "22:00-07:00"}).json()
    assert (changed["rule"]["site"], changed["rule"]["minutes"]) == ("Mall", 0)


def test_only_an_admin_may_change(alerting: Site) -> None:
    for role in ("read", "command"):
        with alerting.client(role) as client:
            for path in ("/api/alerts", "/api/alerts/log", RULES, RECEIVERS):
                assert client.get(path).status_code == 200
            for response in (
                client.post(RULES, json=AWAY),
                client.delete(f"{RULES}/away"),
                client.post(RECEIVERS, json={"name": "ops", "url": "wecombot://012345"}),
                client.post(f"{RECEIVERS}/ops/test"),
            ):
                assert response.status_code == 403


def test_private_receivers_are_refused(client: httpx.Client) -> None:
    """The gateway of the other tests has no private_webhooks."""
    hook = client.post(RECEIVERS, json={"name": "hook", "url": "http://127.0.0.1:1/"})
    assert "not a public address" in problem(hook, 400, "400")["detail"]
    with mailroom() as room:
        assert client.post(RECEIVERS, json={"name": "m", "url": room.url}).status_code == 201
        try:
            refused = problem(client.post(f"{RECEIVERS}/m/test"), 503, "503")
            assert "127.0.0.1 is not a public address" in refused["detail"]
            assert room.got == []
        finally:
            client.delete(f"{RECEIVERS}/m")


@pytest.mark.parametrize(
    "url",
    ["https://[", "https://host:abc/", "https://host:99999/", "https:///hook", "https://门.example/",
     "https://host.example/é", "https://user:hush@host.example/", "https://host.example/#there",
     "https://host.example/\ud800"],
)  # fmt: skip
def test_a_url_that_nothing_can_be_posted_to_is_refused(admin: httpx.Client, url: str) -> None:
    content = json.dumps({"name": "odd", "url": url}).encode()
    head = {"Content-Type": "application/json"}
    found = problem(admin.post(RECEIVERS, content=content, headers=head), 400, "400")
    assert found["detail"].startswith("url: ")
    assert "hush" not in found["detail"]
    add(admin, RECEIVERS, name="odd", url="https://host.example/hook")
    changed = admin.patch(f"{RECEIVERS}/odd", content=content, headers=head)
    problem(changed, 400, "400")
    assert admin.get(RECEIVERS).json()["items"][0]["url"] == "https://host.example/hook"
