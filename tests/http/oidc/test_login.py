"""Logging in through a real provider, Canaille."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import urljoin

import httpx
import pytest

from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import Site, site
from tests.http.oidc.canaille import PASSWORD, free_port
from tests.http.oidc.gateway import gateway_with_provider
from tests.http.visitor import FIELD, visitor

CALLBACK = "/login/oidc/callback"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with gateway_with_provider() as running:
        yield running


@contextmanager
def browser() -> Iterator[httpx.Client]:
    """It has the cookies of both, and follows no redirect by itself."""
    head = {"Accept": "text/html"}
    with httpx.Client(headers=head, timeout=WAIT_SECONDS, verify=False) as opened:
        yield opened


def at_provider(client: httpx.Client, served: Site, person: str, path: str = "/orders") -> str:
    """Begin a login, and show the provider who it is. Returns the address of the callback."""
    response = client.get(f"{served.url}/login/oidc", params={"next": path})
    for _ in range(12):
        if response.is_redirect:
            to = urljoin(str(response.url), response.headers["location"])
            if to.startswith(served.url + CALLBACK):
                return to
            response = client.get(to)
            continue
        assert response.status_code == 200, response.text
        form = re.search(r"(?is)<form[^>]*method=.post.*?</form>", response.text)
        assert form, response.text
        fields = {name: unescape(value) for name, value in FIELD.findall(form[0])}
        fields |= {"login": person, "password": PASSWORD}
        response = client.post(str(response.url), data=fields)
    raise AssertionError(response.text)


def logged_in(client: httpx.Client, served: Site, person: str, path: str = "/orders") -> str:
    """The whole way. Returns where it leads."""
    response = client.get(at_provider(client, served, person, path))
    assert response.status_code == 303, response.text
    return str(response.headers["location"])


def test_a_user_of_the_provider_comes_in(served: Site) -> None:
    with browser() as client:
        assert logged_in(client, served, "fang", "/orders?day=1") == "/orders?day=1"
        assert client.get(f"{served.url}/orders").status_code == 200
        assert client.get(f"{served.url}/settings/people").status_code == 403, "the role command"
        account_page = client.get(f"{served.url}/settings/account").text
        assert "You log in through the provider" in account_page
        assert 'type="password"' not in account_page
    [fang] = [one for one in served.ask({"type": "users"})["items"] if one["name"] == "王芳"]
    assert (fang["role"], fang["sites"], fang["provider"]) == ("command", None, True)
    assert (fang["has_password"], fang["invited_until"]) == (False, None)
    events = served.ask({"type": "audit", "events": ["account.added", "session.began"]})["items"]
    began, added = [one for one in events if one["name"] == "王芳"][:2]
    assert (began["source"], began["address"]) == ("web:王芳", "127.0.0.1")
    assert (added["type"], added["role"], added["provider"]) == ("account.added", "command", True)
    listed = served.ask({"type": "sessions", "user": "王芳"})["items"]
    served.ask({"type": "session_end", "session": listed[0]["session"]})


def test_an_admin_is_told_whose_word_counts(served: Site) -> None:
    with browser() as client:
        logged_in(client, served, "anna")
        logged_in(client, served, "fang")
        logged_in(client, served, "anna")
        page = client.get(f"{served.url}/settings/people/edit", params={"name": "王芳"}).text
    assert "decides about role and sites, anew at each login" in page
    assert "The old password is good until then" not in page


def test_who_has_no_role_is_told_so(served: Site) -> None:
    with browser() as client:
        response = client.get(at_provider(client, served, "otto"))
        assert response.status_code == 403
        assert "otto: nothing at the provider gives you a role at this gateway" in response.text
        assert client.get(f"{served.url}/orders").status_code == 303
    assert "otto" not in [one["name"] for one in served.ask({"type": "users"})["items"]]
    [event, *_] = served.ask({"type": "audit", "events": ["session.refused"]})["items"]
    assert "gives you a role" in event["reason"]


def test_who_comes_from_the_provider_has_no_password(served: Site) -> None:
    with browser() as client:
        logged_in(client, served, "fang")
        fields = {"form": "", "old": PASSWORD, "new": PASSWORD + "!"}
        assert client.post(f"{served.url}/settings/account", data=fields).status_code == 400
        page = client.get(f"{served.url}/settings/account").text
        fields["form"] = re.findall(r'name="form" value="([^"]+)"', page)[0]
        refused = client.post(f"{served.url}/settings/account", data=fields)
        assert refused.status_code == 409
        assert "password and second factor are kept there" in refused.text
    with visitor(served.url) as somebody:
        given = somebody.fields("/login", "/login")
        somebody.post("/login", {**given, "name": "王芳", "password": PASSWORD}, 403)


def test_a_callback_is_good_once_and_in_its_browser(served: Site) -> None:
    with browser() as client, browser() as other:
        callback = at_provider(client, served, "anna", "//evil.example/")
        assert other.get(callback).status_code == 403, "another browser has not begun it"
        cookies = dict(client.cookies)
        response = client.get(callback)
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert client.get(f"{served.url}/settings/people").status_code == 200, "an admin"
        assert client.get(callback).status_code == 403, "the cookie has gone"
        other.cookies.update({"devgate_oidc": cookies["devgate_oidc"]})
        again = other.get(callback)
        assert again.status_code == 403, "the provider takes a code once"
        assert "The answer of SSO is not good" in again.text
        assert "devgate_session" not in other.cookies
        forged = callback.replace("state=", "state=x")
        assert client.get(forged).status_code == 403


def test_with_the_provider_away_passwords_work() -> None:
    port, nobody = free_port(), free_port()
    oidc = {"issuer": f"http://127.0.0.1:{nobody}", "client_id": "devgate"}
    public = f"http://127.0.0.1:{port}"
    http = {"listen": f"127.0.0.1:{port}", "public": public, "oidc": oidc}
    with site({"http": http}) as served, visitor(served.url) as somebody:
        name = f"127.0.0.1:{nobody}"
        assert f"Log in with {name}" in somebody.get("/login?next=/orders")
        assert f"{name} cannot be reached" in somebody.get("/login/oidc?next=/orders", 503)
        somebody.get(CALLBACK + "?code=1&state=2", 403)
        somebody.log_in(token=served.tokens["read"])
        somebody.get("/")
        assert f"nobody can log in through {name}" in served.cli("doctor").stdout
        assert served.logged("provider of logins is away", name)
        added = served.cli("user", "add", "anna", "--role", "admin", "--provider")
        assert added.returncode == 0, added.stderr
        [anna] = served.ask({"type": "users"})["items"]
        assert (anna["provider"], anna["has_password"], anna["invited_until"]) == (
            True, False, None,
        )  # fmt: skip
        given = {"type": "user_edit", "name": "anna", "provider": True, "invite": True}
        assert served.ask(given)["status"] == "400"
        assert served.ask({"type": "user_edit", "name": "anna", "invite": True})["invitation"]
        assert not served.ask({"type": "users"})["items"][0]["provider"]
