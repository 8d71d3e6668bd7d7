"""The settings: what stands in gateway.toml, an examination, receivers of events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from devgate.config.settings import Settings
from devgate.config.table import Table, table_of, tables_of
from devgate.http.pages.i18n import WORDS
from devgate.http.pages.webhooks import PATH
from devgate.language.messages import said
from tests.http.harness import Json, Site, problem, site
from tests.http.visitor import Visitor, visitor

PASSWORD = "hunter2"
RECEIVER = "http://127.0.0.1:9/"  # nobody listens there


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    settings: dict[str, dict[str, object]] = {
        "command": {"ack_timeout": 1.5, "keep_keys": "90d"},
        "control": {"private_webhooks": True},
    }
    with site(settings) as running:
        yield running


def keys(client: httpx.Client) -> dict[str, Json]:
    return {one["key"]: one for one in client.get("/api/settings").json()["items"]}


def test_the_configuration_is_told_without_secrets(served: Site) -> None:
    with served.client() as client:
        reply = client.get("/api/settings").json()
        found = {one["key"]: one for one in reply["items"]}
        assert reply["file"] == str(served.folder / "gateway.toml")
        assert found["command.ack_timeout"]["value"] == 1.5
        assert found["command.ack_timeout"]["from"] == "file"
        assert found["command.keep_keys"]["value"] == 90 * 86400
        assert found["command.max_long"]["from"] == "default"
        assert found["control.mode"]["value"].startswith("0")
        assert found["store.url"]["restart"] is True
        assert not any(key.startswith("webhook") for key in found)
    with served.client("command") as client:
        problem(client.get("/api/settings"), 403, "401")


def test_a_password_in_the_url_is_not_told(database_url: str) -> None:
    given = database_url.replace("@", f":{PASSWORD}@", 1)  # PostgreSQL's may have one
    with site({"store": {"url": given}}) as running, running.client() as client:
        url = keys(client)["store.url"]["value"]
        assert url.partition(":")[0].partition("+")[0] in given
        assert PASSWORD not in url


def test_the_page_shows_what_is_set_and_says_where(served: Site, admin: Visitor) -> None:
    assert admin.client.get("/settings").headers["location"] == "/settings/configuration"
    page = unescape(admin.get("/settings/configuration"))
    assert str(served.folder / "gateway.toml") in page
    assert "ack_timeout" in page
    assert "max_long" not in page
    assert "<input" not in page.partition('class="section"')[2], "it is read-only"
    assert "max_long" in admin.get("/settings/configuration?all=1")
    texts = unescape(admin.get("/settings/texts"))
    assert "400-500-5620" in texts
    assert "/1024" in texts, "what {id} becomes"


def test_sections_are_for_those_who_may(served: Site) -> None:
    with visitor(served.url) as peer:
        peer.log_in(token=served.tokens["read"])
        assert peer.client.get("/settings").headers["location"] == "/settings/zones"
        page = peer.get(PATH)
        assert "/settings/configuration" not in page
        assert 'name="add"' not in page
        peer.get("/settings/configuration", 403)
        peer.get("/settings/doctor", 403)


def test_an_examination_says_what_is_wrong_and_what_to_do(served: Site, admin: Visitor) -> None:
    with served.client() as client:
        reply = client.get("/api/doctor").json()
        order = [one["severity"] for one in reply["items"]]
        assert order == sorted(order, key=["error", "warning", "ok"].index)
        checks = {one["check"] for one in reply["items"]}
        assert {"configuration", "gateway", "database", "disk", "descriptors"} <= checks
        assert all(one["action"] for one in reply["items"] if one["severity"] != "ok")
        # A second request at once gets the same examination.
        assert client.get("/api/doctor").json()["at"] == reply["at"]
        problem_of = {one["message"] for one in reply["items"] if one["severity"] != "ok"}
    page = unescape(admin.get("/settings/doctor"))
    assert all(message in page for message in problem_of)


def test_a_webhook_is_added_tested_paused_resumed_and_removed(
    served: Site, admin: Visitor
) -> None:
    form = {"form": admin.fields(PATH, PATH)["form"]}
    added = admin.post(
        PATH, {**form, "name": "shop", "url": RECEIVER, "group.command": "1", "add": "1"}, 200
    )
    assert re.search(r"whsec_[A-Za-z0-9+/]{40,}", added), "the secret, this once"
    assert "whsec_" not in admin.get(PATH)
    webhook = served.ask({"type": "webhooks"})["items"][0]
    assert (webhook["name"], webhook["events"]) == ("shop", ["command"])
    assert "did not take the test" in unescape(admin.post(PATH, {**form, "test": "shop"}, 503))
    done = admin.post(PATH, {**form, "pause": "shop"})
    assert "gets nothing until it is resumed" in admin.get(done)
    assert served.ask({"type": "webhooks"})["items"][0]["state"] == "disabled"
    admin.post(PATH, {**form, "resume": "shop"})
    assert served.ask({"type": "webhooks"})["items"][0]["state"] != "disabled"
    twice = admin.post(PATH, {**form, "name": "shop", "url": RECEIVER, "add": "1"}, 409)
    assert 'value="shop"' in twice, "what was typed is kept"
    assert "Remove shop?" in admin.get(f"{PATH}/shop/remove")
    assert "done=removed" in admin.post(PATH, {**form, "remove": "shop"})
    assert served.ask({"type": "webhooks"})["items"] == []
    admin.get(f"{PATH}/shop/remove", 400)
    admin.post(PATH, form, 400)


def described(table: type[Table]) -> Iterator[str]:
    for field in table.model_fields.values():
        if inner := table_of(field):
            yield from described(inner)
        elif not tables_of(field):
            yield str(field.description)


def test_each_key_is_described_in_chinese() -> None:
    assert not {text for text in described(Settings) if text not in WORDS["zh"]}


FOUND = (
    "127 GB are free in /var/lib/devgate",
    "1.7 GB are free in /srv/data: no start is accepted once it is full",
    "the slowest of 60 fsyncs took 1.2 ms",
    "SQLite 3.46.1, schema 0013, 12.5 MB, 1,200,000 events, 3,000 devices",
    "the gateway's limit of 1,048,576 open files is enough for 1,040,000 devices",
    "16.5 GB; 3,000 devices take some 21 MB",
    "[http.tls]: /etc/tls/web.pem is valid until 2027-01-02: 12 days are left",
    "the webhook shop is failing, 1,204 events behind: it answered 500",
    "the receiver of the webhook shop, shop.example:443, cannot be reached: connection refused",
    "http.users has no effect: http.listen is empty: HTTP is off",
    "net.core.somaxconn is 128: connections are dropped when all devices come back at once",
)


@pytest.mark.parametrize("sentence", FOUND)
def test_what_an_examination_finds_is_said_in_chinese(sentence: str) -> None:
    assert not re.search(r"\b[a-z]+ [a-z]+ [a-z]+\b", said("zh", sentence))
