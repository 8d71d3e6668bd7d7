"""Users, their sessions, and how often one may try."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devgate.access import users
from devgate.access.tokens import Tokens
from devgate.access.tokens import add as add_token
from devgate.access.users import Users
from devgate.errors import SetupError
from devgate.http import sessions
from devgate.http.login_limit import LoginLimit
from devgate.http.sessions import SESSION_COOKIE, Sessions
from devgate.net.addresses import network
from tests.e2e.harness import run

PASSWORD = "correct horse battery"


async def test_a_user_is_known_by_the_right_password(tmp_path: Path) -> None:
    path = tmp_path / "users"
    known = Users(path)
    users.add(path, "wang", "read", PASSWORD)
    found = await known.check("wang", PASSWORD)
    assert found is not None
    assert (found.name, found.role) == ("wang", "read")
    assert PASSWORD not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    for name, password in (("wang", "wrong"), ("li", PASSWORD), ("wang", "\ud800"), ("", "")):
        assert await known.check(name, password) is None


@pytest.mark.parametrize(
    ("name", "role", "password", "words"),
    [
        ("a  b", "read", PASSWORD, "a user's name is"),
        ("a\u202eb", "read", PASSWORD, "a user's name is"),
        ("li", "king", PASSWORD, "one of read, command, admin"),
        ("li", "read", "elevenchars", "12 to 256 characters, not 11"),
        ("wang", "read", PASSWORD, "already"),
    ],
)
def test_what_cannot_be_added(
    tmp_path: Path, name: str, role: str, password: str, words: str
) -> None:
    users.add(tmp_path / "users", "wang", "read", PASSWORD)
    with pytest.raises(SetupError, match=words):
        users.add(tmp_path / "users", name, role, password)
    assert [user.name for user in users.entries(tmp_path / "users")] == ["wang"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "users"
    users.add(path, "wang", "read", PASSWORD)
    path.write_text(path.read_text() + "li read\n")
    with pytest.raises(SetupError, match=r"users line 3: NAME ROLE"):
        Users(path)


async def test_a_session_ends_with_its_user(tmp_path: Path) -> None:
    path, secret = tmp_path / "users", b"s" * 32
    users.add(path, "wang", "admin", PASSWORD)
    known = Sessions(secret, Users(path), None)
    cookie = await known.by_password("wang", PASSWORD)
    assert cookie is not None
    jar = {SESSION_COOKIE: cookie}
    session = known.of(jar)
    assert session is not None
    assert (session.name, session.role, session.kind) == ("wang", "admin", "user")
    assert Sessions(secret, Users(path), None).of(jar) is not None, "it outlives a restart"
    assert Sessions(b"t" * 32, Users(path), None).of(jar) is None
    for broken in (
        "",
        "x",
        cookie[:-9] + ("A" if cookie[-9] != "A" else "B") + cookie[-8:],
        "a" * 3000,
    ):
        assert known.of({SESSION_COOKIE: broken}) is None
    users.add(path, "wang", "read", PASSWORD + "!", replace=True)
    assert known.of(jar) is None, "another password ends it"
    again = await known.by_password("wang", PASSWORD + "!")
    users.remove(path, "wang")
    assert known.of({SESSION_COOKIE: str(again)}) is None
    with pytest.raises(SetupError, match="no user named wang"):
        users.remove(path, "wang")


def test_a_session_of_a_token_and_of_a_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = add_token(tmp_path / "tokens", "screen", "read")
    known = Sessions(b"s" * 32, None, Tokens(tmp_path / "tokens"))
    cookie = known.by_token(token)
    session = known.of({SESSION_COOKIE: str(cookie)})
    assert session is not None
    assert not session.who.may("start")
    assert known.by_token("wrong") is None
    word = known.invite("command")
    guest = known.by_invitation(word)
    assert known.by_invitation(word) is None, "once"
    found = known.of({SESSION_COOKIE: str(guest)})
    assert found is not None
    assert found.who.may("start")
    assert not found.who.may("remove")
    assert Sessions(b"s" * 32, None, None).of({SESSION_COOKIE: str(guest)}) is None, (
        "of this run alone"
    )
    late = known.invite()
    monkeypatch.setattr(sessions, "monotonic", lambda: float("inf"))
    assert known.by_invitation(late) is None


def test_a_form_belongs_to_its_session_and_visitor(tmp_path: Path) -> None:
    known = Sessions(b"s" * 32, None, None)
    one = known.of({SESSION_COOKIE: str(known.by_invitation(known.invite()))})
    two = known.of({SESSION_COOKIE: str(known.by_invitation(known.invite()))})
    token = known.form_token(one, "v")
    assert known.is_own_form(one, "v", token)
    for session, visitor, given in ((two, "v", token), (None, "v", token), (one, "w", token),
                                    (one, "v", ""), (one, "v", "\udfff")):  # fmt: skip
        assert not known.is_own_form(session, visitor, given)


def test_only_so_many_failures() -> None:
    limit = LoginLimit(tries=3, within=100)
    for now in (0, 10, 20):
        assert limit.wait("10.0.0.1", "li", now) == 0
        limit.failed("10.0.0.1", "li", now)
    assert limit.wait("10.0.0.1", "li", 30) == 70
    assert limit.wait("10.0.0.1", "wang", 30) == 0, "another name of the same address"
    assert limit.wait("10.0.0.2", "li", 30) == 0
    assert limit.wait("10.0.0.1", "li", 101) == 0
    limit.failed("10.0.0.1", "li", 101)
    assert limit.wait("10.0.0.1", "li", 105) == 5
    limit.succeeded("10.0.0.1", "li")
    assert limit.wait("10.0.0.1", "li", 105) == 0


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_whose_failures_they_are(address: str, one: str) -> None:
    assert network(address) == one


def test_the_command_keeps_the_file(tmp_path: Path) -> None:
    def user(*words: str, text: str = "") -> CompletedProcess[str]:
        return run(tmp_path, "user", *words, "--file", "who", text=text)

    done = user("add", "wang", "--role", "admin", text=PASSWORD + "\n")
    assert (done.returncode, done.stdout) == (0, "user wang is known with the role admin\n")
    assert user("add", "wang", text=PASSWORD).returncode == 2
    assert user("add", "wang", "--replace", text=PASSWORD).returncode == 0
    row = json.loads(user("list", "--json").stdout)
    assert (row["name"], row["role"]) == ("wang", "command")
    assert "NAME" in user("list").stdout
    assert user("remove", "wang", "--yes").returncode == 0
    assert "no users" in user("list").stderr
