"""Who gets in, and what for."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from devgate.access.secret_file import secret_of
from devgate.access.tokens import ROLES, Tokens, may, remove
from devgate.errors import SetupError
from devgate.http.api.endpoints import CALLS, Call
from devgate.http.sessions import SESSION_COOKIE, Sessions
from tests.e2e.harness import gateway
from tests.http.harness import Site, problem, site


def path_of(call: Call) -> str:
    return call.path.format(imei="860000000000059", id="0" * 26, name="none")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_nothing_is_open_without_a_token(served: Site, call: Call) -> None:
    with served.client(None) as client:
        response = client.request(call.method, path_of(call), content=b"{}")
        assert response.headers["www-authenticate"].startswith("Bearer")
        problem(response, 401, "401")


def test_nothing_is_learnt_without_a_token(served: Site) -> None:
    with served.client(None) as client:
        for path in ("/", "/api", "/api/docs", "/api/openapi.json", "/metrics", "/nothing", "//"):
            problem(client.get(path), 401, "401")
        for given in ("Bearer wrong", "Basic eDp4", "Bearer", "", "Bearer " + "x" * 9000):
            response = client.get("/api/status", headers={"Authorization": given})
            problem(response, 401, "401")
        browser = client.get("/api/docs?a=b", headers={"Accept": "text/html,*/*"})
        assert browser.status_code == 303
        assert browser.headers["location"] == "/login?next=%2Fapi%2Fdocs%3Fa%3Db"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_decides(served: Site, role: str, call: Call) -> None:
    if call.stream == "events" and may(role, call.operation):
        return  # it would go on; that readers may read is tested elsewhere
    if not call.operation:
        return
    with served.client(role) as client:
        # A body that no operation takes: what is allowed comes as far as being refused for it.
        response = client.request(call.method, path_of(call), content=b"[]")
        refused = response.status_code == 403 and f"may {role} only" in response.text
        assert refused is not may(role, call.operation)


def test_a_role_decides_on_old_words_too(served: Site) -> None:
    with served.client("read") as client:
        refresh = client.post("/api/command", content='command{"type":"refresh"}')
        assert (refresh.status_code, refresh.json()["status"]) == (403, "401")
        status = client.post("/api/command", content='command{"type":"status"}')
        assert status.status_code == 200


def test_a_token_that_was_removed_is_refused_at_once() -> None:
    with site() as running, running.client("read") as client:
        assert client.get("/api/status").status_code == 200
        remove(running.folder / "tokens", "read")
        problem(client.get("/api/status"), 401, "401")


def test_without_tokens_nobody_gets_in() -> None:
    with gateway({"http": {"listen": "127.0.0.1:0"}}) as running:
        at = running.ask({"type": "status"})["listen"]["http"][0]
        with httpx.Client(base_url=f"http://{at}", verify=False) as client:
            problem(client.get("/api/status"), 401, "401")
            head = {"Authorization": "Bearer dg_x"}
            problem(client.get("/api/status", headers=head), 401, "401")


def test_a_session_looks_and_does_nothing(served: Site) -> None:
    """A browser also sends the cookie with requests that another site causes."""
    tokens = Tokens(served.folder / "tokens")
    sessions = Sessions(secret_of(str(served.folder / "secret")), None, tokens)
    cookie = sessions.by_token(served.tokens["admin"])
    assert cookie is not None
    with served.client(None, cookies={SESSION_COOKIE: cookie}) as client:
        assert client.get("/api/status").status_code == 200
        found = problem(client.post("/api/refresh"), 401, "401")
        assert "a session may only look" in found["detail"]
    with served.client(None, cookies={SESSION_COOKIE: cookie[:-1]}) as client:
        problem(client.get("/api/status"), 401, "401")


def test_the_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "secret"
    secret = secret_of(str(file))
    assert len(secret) >= 32
    assert secret_of(str(file)) == secret
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("abc")
    with pytest.raises(SetupError, match="holds no secret of at least 32 bytes"):
        secret_of(str(file))
    with pytest.raises(SetupError, match="cannot be used"):
        secret_of(str(tmp_path))


def test_every_answer_has_its_headers(client: httpx.Client) -> None:
    for path in ("/api/status", "/nothing"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
