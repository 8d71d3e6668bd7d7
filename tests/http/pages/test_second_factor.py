"""The second factor of users, as a browser without a script uses it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from devgate.gateway.operations.second_factor import STEP_SECONDS, _totp
from devgate.store import accounts
from devgate.store.opening import open_database
from tests.http.harness import Site, site
from tests.http.visitor import PASSWORD, Visitor, visitor

OWN, SECOND = "/settings/account", "/settings/account/second-factor"


@pytest.fixture
def served() -> Iterator[Site]:
    with site() as running:
        running.ask({"type": "user_add", "name": "anna", "role": "read", "password": PASSWORD})
        yield running


def code_of(secret: str, steps: int = 0) -> str:
    return str(_totp(secret).generate(int(time.time()) + steps * STEP_SECONDS).decode())


def turned_on(anna: Visitor) -> tuple[str, list[str]]:
    """The secret of the second factor, and the codes for when it is lost."""
    fields = {**anna.fields(SECOND, SECOND), "password": PASSWORD}
    wrong = anna.post(SECOND, {**fields, "code": "000000"}, 403)
    assert "not the code of now" in wrong
    assert fields["secret"] in wrong
    for secret in ("", "AAAA", "1", "门"):
        assert "base32 expected" in anna.post(SECOND, {**fields, "secret": secret}, 400)
    page = anna.post(SECOND, {**fields, "code": code_of(fields["secret"], -1)}, 200)
    codes = re.findall(r"[0-9a-f]{6}-[0-9a-f]{6}", page)
    assert len(codes) == 10
    return fields["secret"], codes


def password(visitor: Visitor) -> dict[str, str]:
    """The fields of the form that asks for a code, once the password was right."""
    fields = visitor.fields("/login", "/login")
    page = visitor.post("/login", {**fields, "name": "anna", "password": PASSWORD}, 200)
    pending = re.search(r'name="second" value="([^"]+)"', page)
    assert pending is not None
    return {**fields, "second": pending[1]}


def test_a_code_is_asked_for_and_counts_once(served: Site) -> None:
    with visitor(served.url) as anna, visitor(served.url) as other:
        anna.log_in(name="anna", password=PASSWORD)
        secret, codes = turned_on(anna)
        assert served.ask({"type": "users"})["items"][0]["second_factor"]
        form = password(other)
        assert other.client.get("/devices").status_code == 303, "a password is not enough"
        assert other.post("/login", {**form, "code": "1"}, 403)
        assert other.post("/login", {**form, "code": code_of(secret, -1)}, 403), "it was used"
        good = {**form, "code": code_of(secret)}
        assert other.post("/login", good) == "/"
        with visitor(served.url) as thief:
            again = {**password(thief), "code": good["code"]}
            assert thief.post("/login", again, 403), "each code counts once"
            lost = {**password(thief), "code": codes[0]}
            assert thief.post("/login", lost) == "/"
        with visitor(served.url) as thief:
            assert thief.post("/login", {**password(thief), "code": codes[0]}, 403)
            forged = {**password(thief), "second": "x" * 40, "code": codes[1]}
            assert "That took too long" in thief.post("/login", forged, 403)
        off = anna.fields(OWN, OWN)
        assert anna.post(OWN, {**off, "off": "1", "code": codes[1]}) == f"{OWN}?done=off"
        with visitor(served.url) as last:
            assert last.log_in(name="anna", password=PASSWORD) == "/"
    url = f"sqlite:///{served.folder / 'devgate.db'}"
    with closing(open_database(url)) as database, database.read() as conn:
        anna_row = accounts.one(conn, "user", "anna")
        assert (anna_row.totp, anna_row.recovery) == (None, None)


def test_who_finds_an_open_page_turns_it_on_for_nobody(served: Site) -> None:
    """The password is asked for, and guesses are braked as at the login."""
    with visitor(served.url) as anna:
        anna.log_in(name="anna", password=PASSWORD)
        fields = anna.fields(SECOND, SECOND)
        good = {**fields, "code": code_of(fields["secret"])}
        assert "your password expected" in anna.post(SECOND, good, 400)
        guesses = [anna.client.post(SECOND, data={**good, "password": f"guess {n}"}).status_code
                   for n in range(10)]  # fmt: skip
        assert guesses == [403] * 9 + [429], "one without a password counts"
        assert anna.post(SECOND, {**good, "password": PASSWORD}, 429)
        assert not served.ask({"type": "users"})["items"][0]["second_factor"]


def test_codes_are_not_guessed_and_an_admin_turns_it_off(served: Site) -> None:
    with visitor(served.url) as anna, visitor(served.url) as thief:
        anna.log_in(name="anna", password=PASSWORD)
        secret, _ = turned_on(anna)
        url = f"sqlite:///{served.folder / 'devgate.db'}"
        with closing(open_database(url)) as database, database.read() as conn:
            assert secret not in str(accounts.one(conn, "user", "anna"))
        form = password(thief)
        found = [thief.client.post("/login", data={**form, "code": f"{n:06}"}).status_code
                 for n in range(12)]  # fmt: skip
        assert found == [403] * 10 + [429] * 2
        done = served.cli("user", "edit", "anna", "--no-second-factor")
        assert done.returncode == 0, done.stderr
        assert thief.log_in(name="anna", password=PASSWORD) == "/"
