"""Cookies: copied ones, ended ones, and who may read them."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import pytest

from devgate.access import users
from devgate.http.logged_out import PRUNE_LINES, EndedSessions
from devgate.http.sessions import SESSION_COOKIE, SESSION_SECONDS, Sessions
from tests.http.harness import site
from tests.http.visitor import NAME, PASSWORD, visitor

SETTINGS = {"http": {"users": "users", "proxies": ["127.0.0.1"]}}


def test_a_logout_ends_the_session_and_survives_a_restart(tmp_path: Path) -> None:
    """M6: a cookie that was copied before the logout opened /devices for 12 h after it."""
    with site(SETTINGS) as running:
        users.add(running.folder / "users", NAME, "command", PASSWORD)
        with visitor(running.url) as someone, visitor(running.url) as thief:
            someone.log_in()
            thief.client.cookies.update(someone.client.cookies)
            thief.get("/devices")
            someone.post("/logout", someone.fields("/", "/logout"))
            assert thief.client.get("/devices").status_code == 303
            with visitor(running.url) as again:
                again.log_in()
                running.terminate()
                running.start()
                again.client.base_url = running.url
                again.get("/devices")  # other sessions outlive it
                thief.client.base_url = running.url
                assert thief.client.get("/devices").status_code == 303
        file = running.folder / "secret.ended"
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text().splitlines()) == 1


def test_ended_sessions_are_kept_as_long_as_they_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """M6: the file holds no more than what a cookie could still bring."""
    path = str(tmp_path / "ended")
    ended = EndedSessions(path, SESSION_SECONDS)
    for number in range(PRUNE_LINES + 5):
        ended.add(f"{number:016x}")
    ended.write("0" * 16)
    assert "0" * 16 in EndedSessions(path, SESSION_SECONDS)
    later = time.time() + SESSION_SECONDS + 10
    monkeypatch.setattr("devgate.http.logged_out.time", lambda: later)
    assert "0" * 16 not in EndedSessions(path, SESSION_SECONDS)
    assert Path(path).read_text() == ""
    (tmp_path / "folder").mkdir()
    # A file that cannot be used does not keep the gateway from starting.
    unusable = EndedSessions(str(tmp_path / "folder"), SESSION_SECONDS)
    assert "logouts are kept in the database alone" in caplog.text
    unusable.add("0" * 16)
    unusable.write("0" * 16)
    assert "0" * 16 in unusable


async def test_a_full_disk_ends_the_session_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """M6: where the file cannot be written, the session ends, and the log says for how long."""
    folder = tmp_path / "etc"
    folder.mkdir()
    known = Sessions(b"s" * 32, None, None, ended_file=str(folder / "ended"))
    cookie = known.by_invitation(known.invite())
    session = known.of({SESSION_COOKIE: str(cookie)})
    assert session is not None
    (folder / "ended").unlink()
    folder.rmdir()
    with caplog.at_level(logging.ERROR):
        await known.end(session)
    assert known.of({SESSION_COOKIE: str(cookie)}) is None
    assert "it ends with the gateway" in caplog.text


def test_cookies_of_https_belong_to_this_host_alone() -> None:
    """L4: a sibling host could plant `devgate_visitor`; with https the names are `__Host-`, and
    the old names count for nothing. HSTS also behind a proxy (ASVS 14.4.5)."""
    with site({"http": {"users": "users", "public": "https://gate.example"}}) as running:
        users.add(running.folder / "users", NAME, "command", PASSWORD)
        with visitor(running.url) as someone:
            page = someone.client.get("/login")
            assert "max-age" in page.headers["strict-transport-security"]
            set_cookie = page.headers["set-cookie"]
            assert set_cookie.startswith("__Host-devgate_visitor=")
            for word in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
                assert word in set_cookie
            jar = {"__Host-devgate_visitor": set_cookie.partition("=")[2].partition(";")[0]}
            head = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
            form = {"form": re.findall(r'name="form" value="(\w+)"', page.text)[0],
                    "name": NAME, "password": PASSWORD}  # fmt: skip
            planted = {"Cookie": head["Cookie"].replace("__Host-", "")}
            someone.client.cookies.clear()
            assert someone.client.post("/login", data=form, headers=planted).status_code == 400
            someone.client.cookies.clear()
            answer = someone.client.post("/login", data=form, headers=head)
            assert answer.headers["set-cookie"].startswith("__Host-devgate_session=")


def test_sessions_are_signed_with_sha256() -> None:
    """ASVS 3.2.4: itsdangerous signs with SHA-1, unless told otherwise."""
    known = Sessions(b"s" * 32, None, None)
    signature = str(known.by_invitation(known.invite())).rpartition(".")[2]
    assert len(signature) == 43
