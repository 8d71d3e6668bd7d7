"""Pages of users, tokens, one's own account and the audit, as a browser without a script uses
them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.http.harness import Site, site
from tests.http.visitor import PASSWORD, Visitor, visitor

PEOPLE, TOKENS = "/settings/people", "/settings/tokens"
AUDIT, OWN = "/settings/audit", "/settings/account"
OTHER = "another good password"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    rows = [{"imei": "860000000000001", "site": "North"}]
    with site({"http": {"public": ""}}, devices=rows) as running:
        running.ask({"type": "user_add", "name": "boss", "role": "admin", "password": PASSWORD})
        yield running


@pytest.fixture
def boss(served: Site) -> Iterator[Visitor]:
    with visitor(served.url) as opened:
        opened.log_in(name="boss", password=PASSWORD)
        yield opened


def test_somebody_is_invited_and_chooses_a_password(served: Site, boss: Visitor) -> None:
    fields = boss.fields(PEOPLE, PEOPLE)
    given = {"name": "王芳", "role": "command", "scope": "some", "sites": "North\r\n\r\nWest"}
    wrong = boss.post(PEOPLE, {**fields, **given, "sites": " "}, 400)
    assert "at least one site expected" in wrong
    assert 'value="王芳"' in wrong
    page = unescape(boss.post(PEOPLE, {**fields, **given}, 200))
    link = re.search(r"http://[^<]*/invitation\?word=[\w-]+", page)
    assert link is not None
    path = link[0].partition(served.url)[2]
    assert "North, West" in boss.get(PEOPLE)
    with visitor(served.url) as wang:
        assert "王芳" in wang.get(path)
        fields = wang.fields(path, "/invitation")
        assert "12 to 256" in wang.post("/invitation", {**fields, "password": "short"}, 400)
        assert wang.post("/invitation", {**fields, "password": PASSWORD}) == "/"
        assert "860000000000001" in wang.get("/devices")
        assert wang.client.get(PEOPLE).status_code == 403
        assert "used already" in wang.get(path, 403)
        again = {**wang.fields(OWN, OWN), "word": fields["word"], "password": OTHER}
        assert "used already" in wang.post("/invitation", again, 403)
        edit = f"{PEOPLE}/edit"
        form = boss.fields(f"{edit}?name=王芳", edit)
        assert boss.post(edit, {**form, "enable": "0"}).startswith(f"{PEOPLE}?done=changed")
        assert wang.client.get("/devices").status_code == 303
        assert "disabled" in boss.get(f"{edit}?name=王芳")
    removed = boss.fields(f"{PEOPLE}/remove?name=王芳", edit)
    boss.post(edit, {**removed, "remove": "1"})
    assert "<b>王芳</b>" not in boss.get(PEOPLE)


def test_a_token_is_shown_once(served: Site, boss: Visitor) -> None:
    fields = boss.fields(TOKENS, TOKENS)
    page = boss.post(TOKENS, {**fields, "name": "shop", "role": "read", "scope": "all"}, 200)
    secret = re.search(r"dg_[\w-]{43}", page)
    assert secret is not None
    assert secret[0] not in boss.get(TOKENS)

    def status(token: str) -> int:
        head = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{served.url}/api/devices", headers=head, verify=False).status_code

    assert status(secret[0]) == 200
    edit = f"{TOKENS}/edit"
    form = boss.fields(f"{edit}?name=shop", edit)
    changed = {**form, "role": "command", "scope": "some", "sites": "North"}
    boss.post(edit, changed)
    assert served.ask({"type": "tokens"})["items"][-1]["sites"] == ["North"]
    new = re.search(r"dg_[\w-]{43}", boss.post(edit, {**form, "new_secret": "1"}, 200))
    assert new is not None
    assert (status(secret[0]), status(new[0])) == (401, 200)
    assert boss.post(TOKENS, {**fields, "name": "shop", "scope": "all"}, 409)
    boss.get(f"{edit}?name=nobody", 400)


def test_ones_own_password_and_sessions(served: Site, boss: Visitor) -> None:
    served.ask({"type": "user_add", "name": "li", "role": "read", "password": PASSWORD})
    with visitor(served.url) as here, visitor(served.url, **{"User-Agent": "Kiosk"}) as there:
        for one in (here, there):
            one.log_in(name="li", password=PASSWORD)
        page = here.get(OWN)
        assert "Kiosk" in page
        other = re.search(r'name="end" value="(\w+)"', page)
        assert other is not None
        form = here.fields(OWN, OWN)
        here.post(OWN, {**form, "end": other[1]})
        assert there.client.get("/").status_code == 303
        wrong = here.post(OWN, {**form, "password": "1", "old": OTHER, "new": OTHER}, 403)
        assert "that is not the password" in wrong
        changed = {**form, "password": "1", "old": PASSWORD, "new": OTHER}
        assert here.post(OWN, changed) == f"{OWN}?done=password"
        assert "Your password is changed" in here.get(f"{OWN}?done=password")
        there.log_in(name="li", password=OTHER)
        foreign = boss.get(OWN)
        ids = re.findall(r'name="end" value="(\w+)"', foreign)
        again = {**here.fields(OWN, OWN), "end": (ids or ["0" * 16])[0]}
        assert here.post(OWN, again, 400)
        here.post(OWN, {**here.fields(OWN, OWN), "others": "1"})
        assert there.client.get("/").status_code == 303
        assert here.client.get("/").status_code == 200


def test_the_audit_says_who_did_what(served: Site, boss: Visitor) -> None:
    with visitor(served.url) as stranger:
        fields = stranger.fields("/login", "/login")
        stranger.post("/login", {**fields, "name": "boss", "password": "wrong"}, 403)
    edit = "/devices/860000000000001/edit"
    boss.post(edit, {**boss.fields(edit, edit), "name": "Chair 1", "site": "North"})
    served.ask({"type": "webhook_add", "name": "w", "url": "https://a.example/secret-path"})
    served.ask({"type": "webhook_edit", "name": "w", "enabled": False})
    page = unescape(boss.get(AUDIT))
    for text in ("name: - -> Chair 1", "web:boss", "127.0.0.1", "Login refused", "Logged in",
                 "enabled: yes -> no"):  # fmt: skip
        assert text in page, text
    assert "secret-path" not in page
    served.ask({"type": "maintenance_on", "site": "North", "until": 4073544000})
    page = boss.get(f"{AUDIT}?events=operation")
    assert '<time datetime="2099-01-31T12:00:00.000Z" data-form="full">' in page
    assert "4073544000" not in page
    served.ask({"type": "maintenance_off", "site": "North"})
    served.ask({"type": "maintenance_off", "imeis": ["860000000000001"]})
    assert "imeis: 860000000000001; count: 1" in boss.get(f"{AUDIT}?events=operation")
    boss.get("/settings/configuration")
    boss.get("/settings/doctor")
    assert "Settings changed" not in boss.get(f"{AUDIT}?source=boss&events=operation"), "looked at"
    only = unescape(boss.get(f"{AUDIT}?source=boss&events=device")).partition("<main")[2]
    assert "Chair 1" in only
    assert "Webhook added" not in only
    assert "Nothing is like that" in boss.get(f"{AUDIT}?source=nobody")
    text = boss.client.get("/api/audit/export?source=boss&events=device").text
    header, row, *_ = text.splitlines()
    assert header == "at,event,type,source,address,about,detail"
    assert row.split(",")[2:5] == ["device.changed", "web:boss", "127.0.0.1"]
    lines = served.cli("audit", "--by", "boss", "--events", "device", "--csv").stdout
    assert lines == text
    assert "Chair 1" in served.cli("audit", "--events", "device").stdout
    with served.client("read") as reader:
        assert reader.get("/api/audit").status_code == 403
        types = {one["type"] for one in reader.get("/api/events?limit=1000").json()["items"]}
        assert types
        assert not [one for one in types if one.startswith(("account", "session", "operation"))]
        assert reader.get("/api/events?events=session").status_code == 403


PATHS = (
    PEOPLE, TOKENS, AUDIT, OWN, f"{PEOPLE}/edit?name=boss", f"{PEOPLE}/remove?name=boss",
    f"{TOKENS}/edit?name=admin",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_chinese_for_who_reads_that(boss: Visitor, path: str) -> None:
    boss.client.headers["Accept-Language"] = "zh"
    page = boss.get(path)
    assert '<html lang="zh-CN"' in page
    assert " style=" not in page
    main = re.sub(r"<[^>]*>", " ", page.partition("<main")[2].partition("</main")[0])
    assert not re.search(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+", main), main
