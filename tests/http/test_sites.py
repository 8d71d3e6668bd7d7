"""Somebody limited to some sites sees, starts and is told about devices there, whichever way he
asks: every operation on every interface, made from the table of operations."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from devgate.access.tokens import FOR_SITES, NEEDS, ROLES, may
from devgate.gateway.operations.sites import LIMITS
from devgate.gateway.operations.table import OPERATIONS
from tests.e2e.caller import Robot, eventually
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import address, read_reply, request_bytes
from tests.http.harness import Site, site, streaming
from tests.http.visitor import PASSWORD, Visitor, visitor

Json = dict[str, Any]

NORTH, SOUTH, NOWHERE = "860000000000101", "860000000000202", "860000000000303"
# Words that stand for what is known of the other site's devices and of nothing else.
SECRET = ("Geheimstuhl", "400-0815-007")
DEVICES = [
    {"imei": NORTH, "id": 101, "name": "Nordstuhl", "site": "North", "phone": ""},
    {"imei": SOUTH, "id": 202, "name": SECRET[0], "site": "South", "phone": SECRET[1]},
]
MINE = frozenset({"North", "West"})
STREAMS = ("watch", "tap", "export", "history_export", "audit_export", "report_export")


@dataclass
class Franchise:
    """A gateway with two sites, and what happened at the one that is not his."""

    served: Site
    tcp: tuple[str, int]
    secrets: Mapping[str, str]  # of tokens for MINE, by role
    command: str
    key: str
    job: str
    robots: Mapping[str, Robot]
    http: httpx.Client  # without a token

    def ask(self, role: str, request: Mapping[str, object], lines: int = 0) -> list[Json]:
        """The reply over TCP, and this many lines of the stream after it."""
        with closing(socket.create_connection(self.tcp, WAIT_SECONDS)) as caller:
            caller.sendall(request_bytes({**request, "token": self.secrets[role]}))
            return [read_reply(caller) for _ in range(1 + lines)]

    def raw(self, role: str, request: Mapping[str, object]) -> Json:
        """The reply to the same over HTTP."""
        head = {"Authorization": f"Bearer {self.secrets[role]}"}
        content = request_bytes(request)
        found: Json = self.http.post("/api/command", content=content, headers=head).json()
        return found


@pytest.fixture(scope="module")
def franchise() -> Iterator[Franchise]:
    with franchised({}) as opened:
        yield opened


@contextmanager
def franchised(store: Mapping[str, object]) -> Iterator[Franchise]:
    """With these settings of its database."""
    settings: dict[str, Mapping[str, object]] = {
        "control": {"listen": "127.0.0.1:0"},
        "command": {"ack_timeout": WAIT_SECONDS},
        "store": store,
    }
    with site(settings, devices=DEVICES) as served, ExitStack() as robots:
        ask = served.ask
        secrets = {
            role: ask({"type": "token_add", "name": f"mine-{role}", "role": role,
                       "sites": sorted(MINE)})["token"]
            for role in ROLES
        }  # fmt: skip
        user = {"type": "user_add", "name": "王芳", "role": "admin", "sites": sorted(MINE)}
        assert ask({**user, "password": PASSWORD})["status"] == "200"
        south = robots.enter_context(Robot(served, SOUTH, None))
        north = robots.enter_context(Robot(served, NORTH))
        start = {"type": "start", "imei": SOUTH, "long": 9, "key": "order-south"}
        assert ask({"type": "edit", "imei": SOUTH, "ack_timeout": 0.5})["status"] == "200"
        assert ask(start)["status"] == "408"
        south.status = "200"
        assert ask({"type": "start", "imei": NORTH, "long": 9, "key": "order-north"})[
            "status"
        ] == ("200")
        hook = {"url": f"https://{SECRET[0].lower()}.example/x"}
        assert ask({"type": "alert_receiver_add", "name": SECRET[0], **hook})["status"] == "200"
        rule = {"name": SECRET[0], "kind": "unknown_outcomes", "minutes": 0}
        assert ask({"type": "alert_rule_add", **rule, "receivers": [SECRET[0]]})["status"] == "200"
        job = ask({"type": "bulk_start", "imeis": [SOUTH], "long": 7})["bulk"]
        eventually(lambda: ask({"type": "bulk", "bulk": job}), lambda r: r["state"] == "ended")
        command = ask({"type": "history", "key": "order-south"})["items"][0]["command"]
        tcp = next(a for a in ask({"type": "status"})["listen"]["control"] if ":" in a)
        yield Franchise(served, address(tcp), secrets, command, "order-south", job,
                        {NORTH: north, SOUTH: south},
                        robots.enter_context(served.client(None)))  # fmt: skip


def about_south(franchise: Franchise, name: str) -> Json:
    """A request for that operation that names the other site in each field that can."""
    values = {
        "imei": SOUTH, "imeis": [SOUTH], "match": {}, "command": franchise.command,
        "commands": [franchise.command], "key": franchise.key, "bulk": franchise.job,
        "q": "Geheim", "site": "South", "long": 5, "verdict": "ran", "since": 1, "name": "x",
        "new": PASSWORD, "old": PASSWORD, "kind": "offline", "id": 202, "after": 0, "on": False,
    }  # fmt: skip
    fields = OPERATIONS[name].fields
    left_out = {"imeis"} if "imei" in fields or "match" in fields else set()
    if name in ("start", "stop", "history", "history_export"):
        left_out.add("key")
    if name not in ("watch", "events"):
        left_out.add("after")
    if name.startswith("bulk_"):
        left_out |= {"site", "bulk"} - ({"bulk"} if name == "bulk_cancel" else set())
    return {"type": name, **{f: values[f] for f in fields if f in values and f not in left_out}}


def refused(reply: Json) -> bool:
    return reply["status"] == "401" and " only; nothing was done" in reply["message"]


def ended(jobs: list[Json]) -> bool:
    """Nothing is sent any more for a test that is over."""
    return all(job["state"] in ("ended", "cancelled", "broken") for job in jobs)


def tells(reply: object) -> bool:
    text = json.dumps(reply, ensure_ascii=False)
    return any(word in text for word in SECRET)


def test_what_may_be_asked_has_a_limit() -> None:
    assert set(LIMITS) == FOR_SITES
    assert set(NEEDS) >= FOR_SITES


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_for_each_role_by_each_way(franchise: Franchise, name: str) -> None:
    """What is refused for role and sites, and what is not: asked without a field, so nothing comes
    of it. Then what is not his, in every field that can name it: it stays unknown, and nothing is
    sent."""
    for role in ROLES:
        allowed = may(role, name, MINE)
        (reply,) = franchise.ask(role, {"type": name})
        assert refused(reply) is not allowed, reply
        if name not in STREAMS:
            reply = franchise.raw(role, {"type": name})
            assert refused(reply) is not allowed, reply
    before = {imei: len(robot.seen) for imei, robot in franchise.robots.items()}
    requests = [about_south(franchise, name), {"type": name}]
    for request in requests:
        for role in ROLES:
            (reply,) = franchise.ask(role, request)
            assert not tells(reply), f"{role} is told by TCP: {reply}"
            if name not in STREAMS:
                reply = franchise.raw(role, request)
                assert not tells(reply), f"{role} is told by HTTP: {reply}"
    known = franchise.served.ask({"type": "device", "imei": SOUTH})
    assert (known["name"], known["site"], known["enabled"]) == (SECRET[0], "South", True)
    if name in ("bulk_start", "bulk_stop"):  # of all that match, which is his own
        eventually(lambda: franchise.served.ask({"type": "bulks"})["items"], ended)
    else:
        assert before == {imei: len(robot.seen) for imei, robot in franchise.robots.items()}
    assert before[SOUTH] == len(franchise.robots[SOUTH].seen)


def test_his_own_device_is_his(franchise: Franchise) -> None:
    start = {"type": "start", "imei": NORTH, "long": 3}
    assert franchise.ask("command", start)[0]["status"] == "200"
    assert franchise.raw("command", start)["status"] == "200"
    assert franchise.robots[NORTH].seen[-2:] == ["QD3", "QD3"]
    devices = franchise.raw("read", {"type": "devices", "count": True})
    assert [one["imei"] for one in devices["items"]] == [NORTH]
    assert (devices["count"], devices["more"]) == (1, False)
    rows = franchise.raw("read", {"type": "history", "count": True})
    assert {one["imei"] for one in rows["items"]} == {NORTH}
    assert rows["count"] == len(rows["items"])
    sites = franchise.raw("read", {"type": "sites"})["items"]
    assert [one["site"] for one in sites] == ["North"]
    assert franchise.raw("read", {"type": "unknown"})["count"] == 0
    assert franchise.served.ask({"type": "unknown"})["count"] >= 1
    edit = {"type": "edit", "imei": NORTH, "name": "Nordstuhl 1"}
    assert franchise.raw("admin", edit)["status"] == "200"
    away = franchise.raw("admin", {**edit, "site": "South"})
    assert (away["status"], "site: one of North, West expected" in away["message"]) == (
        "401",
        True,
    )
    added = franchise.raw("admin", {"type": "add", "imei": NOWHERE, "site": "West"})
    assert added["status"] == "200"
    assert franchise.raw("admin", {"type": "remove", "imei": NOWHERE})["status"] == "200"
    job = franchise.raw("command", {"type": "bulk_start", "match": {}, "long": 4})
    assert job["count"] == 1, "all that match are his own"
    jobs = franchise.raw("command", {"type": "bulks"})["items"]
    assert jobs[0]["bulk"] == job["bulk"]
    assert franchise.job not in {one["bulk"] for one in jobs}


def test_the_fleet_on_postgresql_is_his_sites(postgres_url: str) -> None:
    with franchised({"url": postgres_url}) as franchise:
        his_own_figures(franchise)


def test_the_fleet_is_his_sites(franchise: Franchise) -> None:
    his_own_figures(franchise)


def his_own_figures(franchise: Franchise) -> None:
    """The same figures over TCP, over HTTP and on the page: those of his device, and not of the
    one whose start has an unknown outcome."""
    (reply,) = franchise.ask("read", {"type": "fleet"})
    raw = franchise.raw("read", {"type": "fleet"})
    with franchise.served.client(None) as client:
        client.headers["Authorization"] = f"Bearer {franchise.secrets['read']}"
        called = client.get("/api/fleet").json()
        hours = client.get("/api/fleet/trend?days=7").json()["hours"]
    for fleet in (reply, raw, called):
        assert not tells(fleet)
        assert fleet["sites"] == {"North": 1}
        assert (fleet["known"], fleet["online"], fleet["offline"]) == (1, 1, 0)
        assert (fleet["unknown"], fleet["unresolved"], fleet["to_look_at"]) == (0, 0, [])
        assert {one["imei"] for one in fleet["latest"]} == {NORTH}
        assert [one["kind"] for one in fleet["attention"]] == []
        assert fleet["day"][-1]["online"] == 1
    whole = franchise.served.ask({"type": "fleet"})
    assert (whole["known"], whole["online"], whole["sites"]) == (2, 2, {"North": 1, "South": 1})
    assert whole["unresolved"] >= 1
    # Each of his starts is in the whole, and that of the other device is not in his.
    assert 1 <= reply["starts"] < whole["starts"]
    assert sum(hour["start"] or 0 for hour in hours[-24:]) >= reply["starts"]
    assert len(hours) == 7 * 24
    everybody = franchise.served.ask({"type": "trend"})["hours"]
    assert everybody[-1]["online"] == 2
    assert hours[-1]["online"] == 1
    (other,) = franchise.ask("read", {"type": "trend", "days": 1})
    assert [hour["online"] for hour in other["hours"]][-1] == 1


def test_alerts_are_about_his_machines_alone(franchise: Franchise) -> None:
    """He keeps receivers and rules within his sites, and is told of these; others he cannot see,
    name or change, not even those that had a name before him."""

    def ask(role: str, **request: object) -> Json:
        replies = (franchise.ask(role, request)[0], franchise.raw(role, request))
        assert not any(map(tells, replies)), request
        return replies[0]

    served, theirs = franchise.served, SECRET[0]
    hook = {"url": "https://hooks.invalid/x"}
    assert (
        franchise.raw("admin", {"type": "alert_receiver_add", "name": "mine", **hook})["status"]
        == "200"
    )
    rule = {"name": "mine", "kind": "offline", "minutes": 0, "receivers": ["mine"], "site": ""}
    added = franchise.raw("admin", {"type": "alert_rule_add", **rule})["rule"]
    assert (added["sites"], added["owner"]) == (sorted(MINE), "token:mine-admin")
    for operation in ("alert_rules", "alert_receivers"):
        assert [one["name"] for one in ask("read", type=operation)["items"]] == ["mine"]
        assert {one["name"] for one in served.ask({"type": operation})["items"]} == {
            "mine",
            theirs,
        }
    edit = {"type": "alert_rule_edit", "name": "mine"}
    assert ask("admin", **edit, site="North")["status"] == "200"
    assert ask("admin", **edit, site="South")["status"] == "401"
    for changes in ({"receivers": [theirs]}, {"kind": "store"}):
        request = {"type": "alert_rule_add", **rule, "name": "two", **changes}
        assert franchise.raw("admin", request)["status"] == "400"
    for operation in ("alert_rule_edit", "alert_rule_remove", "alert_receiver_edit",
                      "alert_receiver_remove", "alert_receiver_test"):  # fmt: skip
        request = {"type": operation, "name": theirs, "enabled": False}
        if not operation.endswith("edit"):
            del request["enabled"]
        assert franchise.raw("admin", request)["status"] == "400", operation
    assert all(one["enabled"] for one in served.ask({"type": "alert_rules"})["items"])

    # The one test is his: of the other receiver, also by its name, he is told nothing.
    for name in ("mine", theirs):
        assert served.ask({"type": "alert_receiver_test", "name": name})["status"] == "503"
    assert [one["receiver"] for one in ask("read", type="alert_log")["items"]] == ["mine"]
    assert ask("read", type="alert_log", receiver="x")["items"] == []
    for kind in ("rule", "receiver"):
        assert served.ask({"type": f"alert_{kind}_remove", "name": "mine"})["status"] == "200"
    assert (
        franchise.raw("admin", {"type": "alert_receiver_add", "name": "mine", **hook})["status"]
        == "200"
    )
    assert ask("read", type="alert_log")["items"] == [], "what was sent before is another's"
    assert served.ask({"type": "alert_receiver_remove", "name": "mine"})["status"] == "200"


def test_streams_are_about_his_devices_alone(franchise: Franchise) -> None:
    """Of all that happened, and of what happens: over TCP, and as server-sent events."""
    served = franchise.served
    rows = franchise.ask("read", {"type": "export", "end": True}, lines=2)
    assert [row.get("imei") for row in rows[1:]] == [NORTH, None]
    with served.client(None) as client:
        client.headers["Authorization"] = f"Bearer {franchise.secrets['read']}"
        for path in ("/api/devices/export", "/api/commands/export"):
            text = client.get(path).text
            assert NORTH in text
            assert SOUTH not in text
        with streaming(client, "/api/events/stream", "0") as stream:
            for imei in (SOUTH, NORTH):
                served.ask({"type": "start", "imei": imei, "long": 2, "key": f"last-{imei}"})
            for _, event in stream:
                assert event.get("imei", NORTH) == NORTH, event
                if event.get("key") == f"last-{NORTH}" and event["type"] == "command.ended":
                    break
        assert client.get("/metrics").status_code == 403
        frames = client.get(f"/devices/{SOUTH}/frames", headers={"Accept": "text/html"})
        assert frames.status_code == 404
    lines = franchise.ask("read", {"type": "watch", "after": 0}, lines=3)
    assert {line["imei"] for line in lines[1:]} == {NORTH}


PAGES = (
    "/", "/?days=7", "/live/", "/devices", "/devices?q=Geheim", f"/devices?q={SOUTH}",
    f"/devices/{SOUTH}",
    f"/devices/{SOUTH}/start?long=5", f"/devices/{SOUTH}/edit", f"/devices/{SOUTH}/remove",
    "/orders", "/orders?site=South", "/orders?key=order-south", "/unknown", "/unknown?old=1",
    "/labels?all=1", f"/labels?imei={SOUTH}", "/labels?site=South", "/find?q=Geheim",
    "/find?q=order-south", "/bulk", f"/bulk?do=start&imei={SOUTH}&long=5m", "/unknown-devices",
    "/commands/{command}", "/bulk/{job}", "/devices/import", "/maintenance", "/map",
    f"/devices/{SOUTH}/diagnosis", f"/devices/{SOUTH}/maintenance",
    f"/devices/{NORTH}?command={{command}}", f"/live/devices/{SOUTH}", "/live/bulk/{job}",
    "/live/commands/{command}", "/alerts", "/alerts/add-rule", "/alerts/add-receiver",
    "/live/alerts",
)  # fmt: skip


@pytest.fixture
def wang(franchise: Franchise) -> Iterator[Visitor]:
    with visitor(franchise.served.url) as opened:
        assert opened.log_in(name="王芳", password=PASSWORD) == "/"
        yield opened


@pytest.mark.parametrize("path", PAGES)
def test_no_page_tells_of_the_others(franchise: Franchise, wang: Visitor, path: str) -> None:
    path = path.format(command=franchise.command, job=franchise.job)
    if path.startswith("/live/"):
        with wang.client.stream("GET", path) as stream:  # it goes on, until we leave
            text = next(stream.iter_text())
    else:
        response = wang.client.get(path, follow_redirects=True)
        assert response.status_code < 500
        text = response.text
    if path in ("/", "/?days=7"):
        assert "Nordstuhl" in text, "the first page has his own fleet"
    text = re.sub(r'value="Geheim"|>Geheim<', "", text)
    assert not any(word in text for word in SECRET), path


def test_a_board_is_drawn_for_those_with_the_same_sites(
    franchise: Franchise, wang: Visitor
) -> None:
    """Two people have the same page open: each is sent what that one may see."""
    served = franchise.served
    served.ask({"type": "user_add", "name": "all", "role": "read", "password": PASSWORD})
    with visitor(served.url) as other:
        other.log_in(name="all", password=PASSWORD)
        with ExitStack() as stack:
            streams = []
            for one in (other, wang):
                page = one.get("/devices")
                live = re.search(r'data-live="([^"]+)"', page)
                assert live is not None
                path = live[1].replace("&amp;", "&")
                streams.append(stack.enter_context(one.client.stream("GET", path)).iter_text())
            texts = ["", ""]
            served.ask({"type": "edit", "imei": NORTH, "name": "Nordstuhl 2"})
            for n, stream in enumerate(streams):
                while "Nordstuhl 2" not in texts[n]:
                    texts[n] += next(stream)
    assert SECRET[0] in texts[0]
    assert SECRET[0] not in texts[1]


def test_other_sites_are_in_force_at_once(franchise: Franchise, wang: Visitor) -> None:
    """A stream that was open before the change does not go on."""
    assert "Nordstuhl" in wang.get("/devices")
    edit = {"type": "user_edit", "name": "王芳"}
    franchise.served.ask({**edit, "sites": ["East"]})
    assert "Nordstuhl" not in wang.get("/devices")
    franchise.served.ask({**edit, "all_sites": True})
    assert SECRET[0] in wang.get("/devices")
    franchise.served.ask({**edit, "enabled": False})
    assert wang.client.get("/devices").status_code == 303
    franchise.served.ask({**edit, "enabled": True, "sites": sorted(MINE)})
    assert "Nordstuhl" in wang.get("/devices")
