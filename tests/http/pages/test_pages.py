"""The dashboard's pages, as a browser without a script gets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from devgate.access.users import add
from devgate.http import pages
from tests.e2e.caller import Caller, settle
from tests.e2e.device import frame
from tests.http.harness import Site, site
from tests.http.visitor import NAME, PASSWORD, Visitor, links, visitor

FOLDER = Path(pages.__file__).parent
SITE = "东站 & <u>"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site({"http": {"users": "users"}, "command": {"ack_timeout": 1.5}}) as running:
        add(running.folder / "users", NAME, "command", PASSWORD)
        running.add_devices(
            [
                {"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": SITE, "id": n}
                for n in range(1, 61)
            ]
        )
        yield running


@pytest.fixture
def someone(served: Site) -> Iterator[Visitor]:
    """One who is logged in and may command."""
    with visitor(served.url) as opened:
        assert opened.log_in(token=served.tokens["command"]) == "/"
        yield opened


PATHS = (
    "/", "/devices", "/devices?state=offline", "/devices/860000000000001", "/orders",
    "/devices/860000000000001/start", "/devices/860000000000001/start?long=1h",
    "/devices?q=7&state=never-seen&sort=-since", "/devices?state=failing-5&sort=state",
    "/orders?outcome=refused&since=2026-01-01&until=2026-12-31&kind=start&source=web:x",
    "/devices/860000000000001/stop", "/orders?key=none", "/labels", f"/labels?site={SITE}",
    "/alerts", "/unknown-devices", "/unknown-devices?dismissed=1&reason=wrong",
    "/unknown", "/unknown?state=resolved&age=last+day&stops=1&old=1&person=anna",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_strict_and_whole(someone: Visitor, path: str) -> None:
    response = someone.client.get(path, headers={"Accept-Language": "zh-CN,en;q=0.5"})
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert '<html lang="zh-CN"' in response.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", response.text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', response.text)
    assert "<u>" not in response.text
    for link in links(response.text):
        if link.startswith("/static/"):
            assert someone.client.get(link).status_code == 200


def test_a_visitor_is_asked_to_log_in_and_led_on(served: Site) -> None:
    with visitor(served.url) as peer:
        response = peer.client.get("/devices?q=bay")
        assert response.headers["location"] == "/login?next=%2Fdevices%3Fq%3Dbay"
        fields = peer.fields(response.headers["location"], "/login")
        fields |= {"name": NAME, "password": PASSWORD}
        assert peer.post("/login", fields) == "/devices?q=bay"
        fields["next"] = "//elsewhere.example"
        fields |= peer.fields("/", "/logout")
        assert peer.post("/login", fields) == "/"


def test_a_wrong_password_and_a_foreign_form(served: Site) -> None:
    with visitor(served.url) as peer:
        fields = peer.fields("/login", "/login")
        wrong = peer.post("/login", {**fields, "name": NAME, "password": "x"}, 403)
        assert "That is not right" in wrong
        right = {"name": NAME, "password": PASSWORD}
        assert "no longer valid" in peer.post("/login", {**fields, **right, "form": "x"}, 400)
        peer.client.cookies.clear()
        assert "no longer valid" in peer.post("/login", {**fields, **right}, 400)


def test_too_many_attempts_and_a_user_who_is_removed() -> None:
    with site({"http": {"users": "users"}}) as running, visitor(running.url) as known:
        add(running.folder / "users", NAME, "admin", PASSWORD)
        known.log_in()
        with visitor(running.url) as token:
            token.log_in(token=running.tokens["read"])
            assert "read" in token.get("/")
        assert running.cli("user", "remove", "wang", "--yes").returncode == 0
        assert known.client.get("/").status_code == 303, "the session has ended with the user"
        with visitor(running.url) as peer:
            fields = {**peer.fields("/login", "/login"), "token": "wrong"}
            codes = [peer.client.post("/login", data=fields).status_code for _ in range(11)]
        assert codes == [403] * 10 + [429]


def test_logging_out_needs_the_form(someone: Visitor) -> None:
    someone.post("/logout", {}, 400)
    assert someone.post("/logout", someone.fields("/", "/logout")) == "/login"
    assert someone.client.get("/").status_code == 303


def test_a_start_is_shown_first_and_sent_once(served: Site, someone: Visitor) -> None:
    imei, path = "860000000000002", "/devices/860000000000002/start"
    with served.register(imei) as device:
        page = someone.get(f"{path}?long=15m")
        for part in ("026", "000", imei, "QD", "900"):
            assert f"<b>{part}</b>" in page
        fields = someone.fields(f"{path}?long=15m", path)
        first = someone.post(path, fields)
        device.expect(frame("000", imei, "QD", "900"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        assert someone.post(path, fields) == first, "the same form again is the same command"
        device.expect_nothing(imei)
        served.until(imei, "online", True)
        page = someone.get(first)
        assert "started" in page
        assert "Running" in page
        assert served.status(imei)["last"]["source"] == "web:command"
        assert "already" in someone.get(f"{path}?long=15m")
        answer = someone.post(path, {**fields, "long": "60"}, 409)
        assert "was used for another command" in unescape(answer)
        device.expect_nothing(imei)


def test_an_offline_device_and_an_unknown_outcome(served: Site, someone: Visitor) -> None:
    imei = "860000000000003"
    assert "not connected" in someone.order(imei, "stop")
    assert "nothing will be sent" in someone.get(f"/devices/{imei}/stop")
    with served.register(imei):
        someone.order(imei)
        key = served.status(imei)["last"]["key"]
        ends = served.ask({"type": "history", "imei": imei, "key": key})["items"][0]
        while ends["state"] != "ended":
            ends = served.ask({"type": "command", "command": ends["command"]})
        page = someone.get(f"/devices/{imei}?command={ends['command']}")
        assert "Do not repeat it" in page
        assert key in someone.get("/")
        story = someone.get(f"/orders?key={key}")
        for words in ("Nobody can say", "Command accepted", "Sent to the device", "Unknown"):
            assert words in story


def test_an_unknown_outcome_is_resolved_once(served: Site, someone: Visitor) -> None:
    imei, note = "860000000000005", "<u>she called"
    with served.register(imei):
        for long in (1, 2):
            served.ask({"type": "start", "imei": imei, "long": long, "timeout": 0.05})
    last, first = (
        item["command"] for item in served.ask({"type": "history", "imei": imei})["items"]
    )
    query = f"/unknown?{urlencode({'site': SITE})}"
    page = someone.get(query)
    assert re.search(r'<b class="count">\d', page)
    assert {f"/commands/{first}", f"/commands/{last}", f"/devices/{imei}"} <= links(page)
    fields = someone.fields(f"/commands/{first}", f"/commands/{first}")
    assert "Command without an order number" in someone.get(f"/commands/{first}")
    said = {"form": fields["form"], "note": note, "verdict": "refunded"}
    answer = someone.post("/unknown", said, 400)
    assert "Nothing was selected." in answer
    behind = someone.post("/unknown?stops=1", {**said, f"c.{first}": "1"})
    assert behind == "/unknown?stops=1&done=1"
    page = someone.get(behind)
    assert "Resolved: 1" in page
    assert f"/commands/{first}" not in links(page)
    assert f"/commands/{last}" in links(page)
    page = someone.get(f"/commands/{first}")
    for words in (
        "The customer was refunded",
        "web:command",
        escape(note),
        "Resolved by a person",
    ):
        assert words in page
    assert "What became of it?" not in page
    again = someone.post(f"/commands/{first}", {**said, "verdict": "ran"}, 409)
    assert f"{first} was resolved already, by web:command: The customer was refunded" in again
    both = {f"c.{first}": "1", f"c.{last}": "1"}
    assert "was resolved already" in someone.post("/unknown", {**said, **both, "note": ""}, 409)
    assert f"/commands/{last}" not in links(someone.get(query))
    someone.get("/commands/nobody", 404)
    with visitor(served.url) as reader:
        reader.log_in(token=served.tokens["read"])
        assert "What became of it?" not in reader.get("/unknown")
        reader.post("/unknown", {**reader.fields("/", "/logout"), **both, "verdict": "ran"}, 403)


def test_a_device_that_answers_too_late(served: Site, someone: Visitor) -> None:
    imei = "860000000000004"
    with served.register(imei) as device, Caller(served) as caller:
        for long in (1, 2, 3):
            assert "later than ack_timeout" not in someone.get(f"/devices/{imei}")
            assert caller.ask(imei=imei, type="start", long=long)["status"] == "408"
            device.expect(frame("000", imei, "QD", str(long)))
            settle(device, imei, "QD")
    page = someone.get(f"/devices/{imei}")
    assert re.search(r"Answers after [\d.]+ s, later than ack_timeout \(1\.5 s\)", page)


@pytest.mark.parametrize("long", ["0", "-5", "soon", "9" * 40, "86401"])
def test_a_length_that_cannot_be(someone: Visitor, long: str) -> None:
    assert "cannot be sent" in someone.get(f"/devices/860000000000001/start?long={long}")


@pytest.mark.parametrize(("long", "sent"), [("1h30", 3630), ("1h30m", 5400), ("15 min", 900)])
def test_a_length_is_shown_as_it_will_be_sent(someone: Visitor, long: str, sent: int) -> None:
    page = someone.get(f"/devices/860000000000001/start?long={long}")
    assert "cannot be sent" not in page
    assert f"<b>{sent}</b>" in page


def test_one_who_may_only_look(served: Site) -> None:
    with visitor(served.url) as reader:
        reader.log_in(token=served.tokens["read"])
        assert "/start" not in reader.get("/devices")
        assert "/start" not in reader.get("/devices/860000000000001")
        reader.get("/devices/860000000000001/start?long=60", 403)
        fields = {**reader.fields("/", "/logout"), "long": "60", "key": "k"}
        reader.post("/devices/860000000000001/start", fields, 403)
        assert served.ask({"type": "history", "key": "k"})["items"] == []


def test_devices_are_found_and_paged(someone: Visitor) -> None:
    page = someone.get("/devices")
    assert "Bay 50<" in page
    assert "Bay 51<" not in page
    (following,) = (link for link in links(page) if "after=" in link)
    assert "Bay 51<" in someone.get(following)
    assert "Bay 7<" in someone.get("/devices?q=bay+7")
    assert someone.client.get("/devices?q=860000000000009").headers["location"] == (
        "/devices/860000000000009"
    )
    assert "No device is like that" in someone.get("/devices?q=nothing")
    someone.get("/devices/860000000000999", 404)
    someone.get("/devices/12", 400)
    someone.get("/devices/860000000000001/explode", 400)
    someone.get("/devices/860000000000001?day=2026-13-45&command=", 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404), ("GET", "/devices/1/2/3", 404), ("POST", "/nowhere", 404),
        ("GET", "/static/nothing.css", 404), ("GET", "/logout", 405),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere(
    someone: Visitor, method: str, path: str, status: int
) -> None:
    response = someone.client.request(method, path, headers={"Accept-Language": "zh"})
    assert (response.status_code, response.headers.get("allow")) == (
        status,
        "POST" if status == 405 else None,
    )
    assert '<html lang="zh-CN"' in response.text
    assert "没有这个页面" in response.text
    assert "/" in links(response.text)
    other = someone.client.request(method, path, headers={"Accept": "*/*"})
    assert (other.status_code, other.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    api = someone.client.get(f"/api{path}")
    assert (api.status_code, api.headers["content-type"]) == (404, "application/problem+json")


def test_a_visitor_at_an_address_that_leads_nowhere(served: Site) -> None:
    with visitor(served.url) as peer:
        assert "There is no such page" in peer.get("/static/nothing.css", 404)
        assert peer.client.get("/nowhere").headers["location"] == "/login?next=%2Fnowhere"


def test_a_day_of_another_time(someone: Visitor) -> None:
    someone.client.cookies.set("devgate_zone", "Asia/Shanghai")
    page = someone.get("/devices/860000000000001?day=2024-02-29")
    assert 'datetime="2024-02-28T16:00:00.000Z"' in page
    assert {
        "/devices/860000000000001?day=2024-02-28",
        "/devices/860000000000001?day=2024-03-01",
    } <= (links(page))


def test_labels_of_a_site_and_of_some(someone: Visitor) -> None:
    page = someone.get(f"/labels?site={SITE.replace('&', '%26')}&size=65&cut=0")
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg" class="sheet"') == 1
    assert page.count("<g><title>") == 60
    assert "stroke-dasharray" not in page
    some = someone.get("/labels?imei=860000000000002&imei=860000000000001&size=2")
    assert some.index("860000000000002: http") < some.index("860000000000001: http")


def test_language_and_theme_are_remembered(served: Site) -> None:
    with visitor(served.url) as peer:
        fields = peer.fields("/login?next=/orders", "/preferences")
        assert peer.post("/preferences", {**fields, "language": "zh", "theme": "dark"}) == (
            "/login?next=/orders"
        )
        page = peer.get("/login")
        assert 'lang="zh-CN" data-theme="dark"' in page
        assert "登录" in page
        peer.post("/preferences", {**fields, "language": "xx", "theme": "pink"})
        assert 'lang="zh-CN" data-theme="dark"' in peer.get("/login")


def test_one_box_leads_to_what_is_meant(served: Site, someone: Visitor) -> None:
    def led(words: str) -> str:
        answer = someone.client.get("/find", params={"q": words})
        assert answer.status_code == 303
        return answer.headers["location"]

    served.ask({"type": "start", "imei": "860000000000009", "long": 60, "key": "M-4711/7"})
    assert led("M-4711/7") == "/orders?key=M-4711%2F7"
    assert led("860000000000009") == led("9") == "/devices/860000000000009"
    assert led("Bay 9") == "/devices?q=Bay+9"
    assert led("") == "/devices"


def test_orders_are_narrowed_and_paged(served: Site, someone: Visitor) -> None:
    for n in range(52):
        order = {"type": "start", "imei": f"8600000000000{n + 1:02}", "long": 60}
        served.ask({**order, "key": f"many-{n}"})
    first = someone.get("/orders?outcome=refused&kind=start")
    assert "many-51<" in first
    (following,) = (link for link in links(first) if "after=" in link)
    second = someone.get(unescape(following))
    assert "many-0<" in second
    (back,) = (link for link in links(second) if "before=" in link)
    assert "many-51<" in someone.get(unescape(back))
    (file,) = (link for link in links(first) if link.startswith("/api/commands/export"))
    answer = someone.client.get(unescape(file))
    assert answer.headers["content-disposition"] == 'attachment; filename="commands.csv"'
    assert answer.text.count("many-") == 52
    assert "No command is like that" in someone.get("/orders?outcome=done&until=2020-01-01")


def test_a_day_has_its_commands_and_an_offline_device_no_buttons(
    served: Site, someone: Visitor
) -> None:
    imei = "860000000000012"
    served.ask({"type": "start", "imei": imei, "long": 60, "key": "of-today"})
    now = someone.get(f"/devices/{imei}")
    assert "First page" not in now, "it is the first"
    assert "of-today<" in now
    assert "nothing can be sent to it" in now
    assert f'href="/devices/{imei}/start' not in now
    assert "of-today<" not in someone.get(f"/devices/{imei}?day=2026-01-02")
    with served.register(imei):
        assert f'href="/devices/{imei}/start?long=15m"' in someone.get(f"/devices/{imei}")
