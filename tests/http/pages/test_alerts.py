"""The page of alerts, as a browser without a script uses it; the mail that it sends is real."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape

import pytest

from tests.alerts.mail import mailroom
from tests.e2e.caller import eventually
from tests.e2e.harness import SAMPLE
from tests.http.harness import Site, site
from tests.http.visitor import Visitor, links, visitor

RULE, RECEIVER = "/alerts/add-rule", "/alerts/add-receiver"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site(
        {"control": {"private_webhooks": True}},
        devices=[{"imei": SAMPLE, "name": "Bay <16>", "site": "East"}],
    ) as running:
        yield running


def test_from_an_empty_page_to_a_mail(served: Site, admin: Visitor) -> None:
    page = admin.get("/alerts")
    assert {RULE, RECEIVER} <= set(links(page))
    assert "Nothing fires." in page
    with mailroom() as room:
        fields = {**admin.fields(RECEIVER, RECEIVER), "name": "ops", "language": "zh"}
        wrong = admin.post(RECEIVER, {**fields, "url": "syslog://hushhush"}, 400)
        assert "no receiver can have a URL of that scheme" in unescape(wrong)
        assert "hushhush" not in wrong
        filled = {**fields, "url": room.url, "enabled": "1"}
        assert admin.post(RECEIVER, filled) == "/alerts?done=ops"
        assert "anna@example.com" not in admin.get("/alerts?done=ops")
        act = admin.fields("/alerts", "/alerts")
        assert "ops took the test" in admin.post("/alerts", {**act, "test": "ops"}, 200)
        assert room.subjects() == ["devgate 测试消息"]

        fields = {**admin.fields(RULE, RULE), "name": "away", "kind": "offline", "minutes": "0"}
        wrong = admin.post(RULE, {**fields, "quiet": "22-7", "to.ops": "1"}, 400)
        assert 'value="22-7"' in wrong
        assert "checked" in wrong
        filled = {**fields, "to.ops": "1", "all_clear": "1", "enabled": "1", "site": "East"}
        with served.register(SAMPLE):
            assert admin.post(RULE, filled) == "/alerts?done=away"
        served.until(SAMPLE, "online", False)
        edit = "/alerts/rules/away"
        fields = {**admin.fields(edit, edit), "to.ops": "1", "enabled": "1", "repeat": "60"}
        assert admin.post(edit, fields) == "/alerts?done=away"
        room.wait(2)
        assert room.subjects()[1].startswith("设备离线")
        eventually(lambda: admin.get("/alerts"), lambda page: page.count(">Sent<") == 2)
        for path in ("/", "/alerts"):
            page = admin.get(path)
            assert f'href="/devices/{SAMPLE}">Bay &lt;16&gt;</a>' in page
        act = admin.fields("/alerts", "/alerts")
        assert admin.post("/alerts", {**act, "disable": "away"}) == "/alerts"
        assert "Nothing fires." in admin.get("/alerts")

        receiver = "/alerts/receivers/ops"
        fields = {**admin.fields(receiver, receiver), "remove": "1"}
        assert "tell ops: change them first" in unescape(admin.post(receiver, fields, 409))
        fields = {**admin.fields(edit, edit), "remove": "1"}
        assert admin.post(edit, fields) == "/alerts?done=away"
        fields = {**admin.fields(receiver, receiver), "remove": "1"}
        assert admin.post(receiver, fields) == "/alerts?done=ops"


def test_a_webhooks_secret_is_shown_once(admin: Visitor) -> None:
    fields = {**admin.fields(RECEIVER, RECEIVER), "name": "hook", "url": "http://127.0.0.1:9/x"}
    page = admin.post(RECEIVER, fields, 200)
    assert page.count("whsec_") == 1
    path = "/alerts/receivers/hook"
    assert "whsec_" not in admin.get(path) + admin.get("/alerts")
    admin.post(path, {**admin.fields(path, path), "remove": "1"})


def test_others_may_only_look(served: Site) -> None:
    with visitor(served.url) as peer:
        peer.log_in(token=served.tokens["command"])
        page = peer.get("/alerts")
        assert not {RULE, RECEIVER} & set(links(page))
        peer.get(RULE, 403)
        peer.get("/alerts/receivers/ops", 403)


def test_a_rule_and_a_receiver_may_be_called_add(served: Site, admin: Visitor) -> None:
    """The forms had these paths in former versions. A bookmark of them still leads there."""
    rule, receiver = "/alerts/rules/add", "/alerts/receivers/add"
    for path, form in ((rule, RULE), (receiver, RECEIVER)):
        assert admin.client.get(path).headers["location"] == form
    hook = {"name": "add", "url": "http://127.0.0.1:9/", "enabled": "1", "language": "en"}
    fields = admin.fields(RECEIVER, RECEIVER)
    assert "add" in admin.post(RECEIVER, {**fields, **hook}, 200)
    fields = {**admin.fields(RULE, RULE), "name": "add", "kind": "offline", "minutes": "5"}
    admin.post(RULE, {**fields, "to.add": "1", "all_clear": "1"})
    for path in (rule, receiver):
        assert "Edit add" in admin.get(path)
        assert admin.post(path, {**admin.fields(path, path), "remove": "1"}) == "/alerts?done=add"
        assert admin.client.get(path).status_code == 303
