"""Guessing passwords, copied cookies, and what is known of both afterwards."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import argon2
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devgate import __version__
from devgate.access import users
from devgate.access.users import MAX_HASHING, MAX_WAITING, MAX_WAITING_OF_ADDRESS, Busy, Users
from devgate.errors import SetupError
from devgate.http.login_limit import (
    MAX_DELAY_SECONDS,
    MAX_FAILURES_OF_ADDRESS,
    MAX_FREE_FAILURES,
    MAX_KEYS,
    Failures,
    LoginLimit,
)
from devgate.http.sessions import MAX_SLOWED, Sessions
from tests import hashing
from tests.e2e import harness
from tests.http.harness import Site, site
from tests.http.test_metrics import look
from tests.http.visitor import NAME, PASSWORD, Visitor, visitor

SETTINGS = {"http": {"users": "users", "proxies": ["127.0.0.1"]}}


@pytest.fixture
def production_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords take as long as in production, here and in what is started: so several wait at
    once."""
    monkeypatch.setattr(harness, "forks", False)
    monkeypatch.setattr(users, "_hasher", hashing.PRODUCTION)


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site(SETTINGS) as running:
        users.add(running.folder / "users", NAME, "command", PASSWORD)
        yield running


def codes(someone: Visitor, times: int, **fields: str) -> list[int]:
    form = {**someone.fields("/login", "/login"), **fields}
    return [someone.client.post("/login", data=form).status_code for _ in range(times)]


def test_one_address_locks_nobody_else_out(served: Site) -> None:
    """M5, D5: behind a proxy everybody had its address: ten wrong guesses of one, and the right
    password was 429 for all. Now the client's address counts, together with the name."""
    one = {"X-Forwarded-For": "203.0.113.1"}
    with visitor(served.url, **one) as guessing:
        assert codes(guessing, 11, name=NAME, password="wrong wrong wrong") == [403] * 10 + [429]
        assert codes(guessing, 1, name="other", password="wrong wrong wrong") == [403]
    with visitor(served.url, **{"X-Forwarded-For": "203.0.113.2"}) as owner:
        assert owner.log_in() == "/"


def test_a_refused_login_keeps_the_name(served: Site) -> None:
    """D21: after a wrong password the name had to be typed again."""
    with visitor(served.url, **{"X-Forwarded-For": "203.0.113.3"}) as someone:
        fields = {**someone.fields("/login", "/login"), "name": 'o"brien', "password": "x"}
        assert 'name="name" ' in (page := someone.post("/login", fields, 403))
        assert 'value="o&#34;brien"' in page
        for status in [403] * 9 + [429]:  # nor where one has to wait
            page = someone.post("/login", fields, status)
        assert 'value="o&#34;brien"' in page


def test_logins_are_in_the_log(served: Site) -> None:
    """M7, D17: good logins, refused ones with the name of a user, and logouts; what was typed
    for a name that nobody has is not written, since it may be a password."""
    with served.client() as admin:
        before = look(admin)
        with visitor(served.url, **{"X-Forwarded-For": "203.0.113.4"}) as someone:
            codes(someone, 1, name=NAME, password="not the password")
            someone.log_in()
            someone.post("/logout", someone.fields("/", "/logout"))
        with visitor(served.url, **{"X-Forwarded-For": "203.0.113.5"}) as someone:
            codes(someone, 1, name="hunter2 hunter2", password="x")
        more = look(admin)("refused_total", door="http", why="login")
        assert more - before("refused_total", door="http", why="login") == 2
    said = [line for line in served.log().splitlines() if "203.0.113.4" in line]
    assert [re.findall(r'"event": "(\w+)"', line) for line in said] == [
        ["refused"], ["login"], ["logout"],
    ]  # fmt: skip
    assert all(f"web:{NAME}" in line for line in said), said
    assert "hunter2" not in served.log()
    assert PASSWORD not in served.log()


def test_an_account_that_is_tried_often_is_slow_and_never_locked() -> None:
    """M5: 400 guesses at one account from 40 addresses cost nothing; now each takes up to 8 s,
    and the owner, who has come from the same place before, waits for none of it."""
    limit = LoginLimit()
    limit.failed("192.0.2.99", "li", 0.0)
    limit.succeeded("192.0.2.99", "li")
    delays = []
    for number in range(40):
        address = f"192.0.2.{number % 40}"
        assert limit.wait(address, "li", 1.0) == 0
        delays.append(limit.delay(address, "li", 1.0))
        limit.failed(address, "li", 1.0)
    assert delays[:MAX_FREE_FAILURES] == [0.0] * MAX_FREE_FAILURES
    assert delays[MAX_FREE_FAILURES : MAX_FREE_FAILURES + 5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert set(delays[MAX_FREE_FAILURES + 5 :]) == {MAX_DELAY_SECONDS}
    assert limit.delay("192.0.2.99", "li", 1.0) == 0.0
    assert limit.delay("192.0.2.1", "wang", 1.0) == 0.0


def test_many_names_of_one_address_are_too_many() -> None:
    """M5: one password tried with every name: an address has 50 failures in 5 minutes."""
    limit = LoginLimit()
    for number in range(MAX_FAILURES_OF_ADDRESS):
        assert limit.wait("192.0.2.1", f"u{number}", 0.0) == 0
        limit.failed("192.0.2.1", f"u{number}", 0.0)
    assert limit.wait("192.0.2.1", "another", 0.0) > 0


def test_what_is_remembered_has_a_bound() -> None:
    """M5: names and addresses of failed logins are forgotten, the oldest first."""
    failures = Failures(10, 300.0)
    for number in range(MAX_KEYS + 10):
        failures.add(number, 0.0)
    assert len(failures._times) == MAX_KEYS


async def test_at_most_20_wait_for_their_password_to_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M5: the queue for Argon2 had no end, and an honest login no answer in 30 s. Now 20 wait,
    at most 10 of one address, and the next is told to come again."""
    known = Users(tmp_path / "users")
    done = trio.Event()

    async def slow(name: str, password: str) -> None:
        await done.wait()

    monkeypatch.setattr(known, "_check", slow)
    async with trio.open_nursery() as nursery:
        for number in range(MAX_HASHING + MAX_WAITING):
            address = f"192.0.2.{number // MAX_WAITING_OF_ADDRESS}"
            nursery.start_soon(known.check, "li", "x", address)
            await wait_all_tasks_blocked()
            if number == MAX_WAITING_OF_ADDRESS:
                with pytest.raises(Busy):
                    await known.check("li", "x", "192.0.2.0")
        with pytest.raises(Busy):
            await known.check("li", "x", "198.51.100.1")
        done.set()
    assert not known._here


@pytest.mark.usefixtures("production_cost")
def test_a_login_for_which_there_is_no_turn_is_a_503() -> None:
    """M5: 60 logins at once from one address: 10 have their turn, the rest get 503 with
    Retry-After or were tried too often, and none stays without an answer."""
    address = {"X-Forwarded-For": "203.0.113.6"}
    with site(SETTINGS) as running, visitor(running.url, **address) as someone:
        form = someone.fields("/login", "/login")

        def attempt(number: int) -> tuple[int, str]:
            fields = {**form, "name": f"u{number}", "password": "x"}
            with visitor(running.url, **address) as other:
                other.client.cookies.update(someone.client.cookies)
                response = other.client.post("/login", data=fields)
                return response.status_code, response.headers.get("retry-after", "")

        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(attempt, range(40)))
    assert set(answers) <= {(403, ""), (503, "5")}
    assert (503, "5") in answers


@pytest.mark.usefixtures("production_cost")
async def test_a_rising_cost_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASVS 6.2.4: a hash of a lower cost is made again at the next login, in place."""
    path = tmp_path / "users"
    with monkeypatch.context() as cheap:
        cheap.setattr(users, "_hasher", argon2.PasswordHasher(time_cost=1, memory_cost=8192))
        users.add(path, NAME, "read", PASSWORD)
    users.add(path, "li", "read", PASSWORD)
    before = {user.name: user for user in users.entries(path)}
    known = Users(path)
    assert await known.check(NAME, "wrong wrong wrong") is None
    found = await known.check(NAME, PASSWORD)
    after = {user.name: user for user in users.entries(path)}
    assert found == after[NAME]
    assert "m=65536,t=3" in after[NAME].hash
    assert after[NAME]._replace(hash="") == before[NAME]._replace(hash="")
    assert after["li"] == before["li"]
    assert await known.check(NAME, PASSWORD) == found, "and then stays"


async def test_a_name_is_any_text_of_one_line(tmp_path: Path) -> None:
    """D21: a user called 王芳 could not be added."""
    path = tmp_path / "users"
    for name in ("王芳", "José Núñez", "o'brien@example.org", "read admin"):
        users.add(path, name, "read", PASSWORD)
    known = Users(path)
    for name in ("王芳", "José Núñez", unicodedata.normalize("NFD", "José Núñez"), "read admin"):
        assert await known.check(name, PASSWORD), name
    users.remove(path, "王芳")
    assert await known.check("王芳", PASSWORD) is None
    for bad in ("", " a", "a ", "a  b", "#a", "a\tb", "a\nb", "a\u202eb", "a\u2066b", "x" * 65):
        with pytest.raises(SetupError, match="a user's name is"):
            users.add(path, bad, "read", PASSWORD)


def test_no_version_is_shown_without_a_token(served: Site) -> None:
    """L4, ASVS 14.3.3: the login page said which version runs."""
    with visitor(served.url, **{"X-Forwarded-For": "203.0.113.7"}) as someone:
        assert __version__ not in someone.get("/login")
        someone.log_in()
        assert __version__ in someone.get("/")


def test_answers_of_the_api_are_attachments(served: Site) -> None:
    """ASVS 14.4.2: a browser shows no answer of the API as a page."""
    with served.client() as client, served.client(None) as peer:
        for response in (client.get("/api/status"), client.get("/api/devices/1"),
                         peer.get("/api/status")):  # fmt: skip
            assert response.headers["content-disposition"] == 'attachment; filename="api.json"'
        csv = client.get("/api/devices/export").headers["content-disposition"]
        assert csv == 'attachment; filename="devices.csv"'


def test_attempts_that_are_kept_waiting_are_counted() -> None:
    """M5: what waits for its account is bounded, too."""
    known = Sessions(b"s" * 32, None, None)
    with ExitStack() as waiting:
        for _ in range(MAX_SLOWED):
            waiting.enter_context(known.slowed(1.0))
        with pytest.raises(Busy):
            waiting.enter_context(known.slowed(1.0))
        with known.slowed(0.0):
            pass
    with known.slowed(1.0):
        pass
