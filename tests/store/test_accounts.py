"""Users and tokens in the database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devgate.errors import CallerError
from devgate.store import accounts
from devgate.store.accounts import Account
from devgate.store.engine import Database

ANNA = Account("user", "王芳", "command", frozenset({"North", "a,b"}), "hash", True, 1.5)
SHOP = Account("token", "shop", "read", None, "digest", True, 2.0)


def test_what_is_added_is_there_with_a_new_revision(database: Database) -> None:
    with database.write() as conn:
        before = accounts.revision(conn)
        accounts.add(conn, ANNA)
        accounts.add(conn, SHOP)
        accounts.add(conn, replace(SHOP, kind="user"))  # a name for each kind
    with database.read() as conn:
        n, everyone = accounts.everyone(conn)
        assert n == accounts.revision(conn) == before + 3
        assert everyone == [SHOP, replace(SHOP, kind="user"), ANNA]
        assert accounts.get(conn, "user", "王芳") == ANNA
    with database.write() as conn, pytest.raises(CallerError, match="a user named 王芳 already"):
        accounts.add(conn, ANNA)


def test_a_change_says_what_was_before(database: Database) -> None:
    with database.write() as conn:
        accounts.add(conn, ANNA)
        before = accounts.change(conn, "user", "王芳", {"sites": None, "enabled": False})
        assert before == ANNA
        now = accounts.get(conn, "user", "王芳")
        assert now == replace(ANNA, sites=None, enabled=False)
        for wrong in (accounts.change, accounts.remove):
            with pytest.raises(CallerError, match="there is no token named 王芳"):
                wrong(conn, "token", "王芳", *([{}] if wrong is accounts.change else []))


def test_a_line_is_taken_once(database: Database) -> None:
    line = replace(SHOP, line="1")
    with database.write() as conn:
        assert accounts.import_lines(conn, [line]) == [line]
        accounts.change(conn, "token", "shop", {"role": "admin"})
        assert accounts.import_lines(conn, [line]) == [], "the database decides by now"
        accounts.remove(conn, "token", "shop")
        assert accounts.get(conn, "token", "shop") is None
        assert accounts.import_lines(conn, [line]) == [], "what was removed does not come back"
        changed = replace(line, line="2", proof="other")
        assert accounts.import_lines(conn, [changed]) == [changed]
        assert accounts.get(conn, "token", "shop") == changed
        accounts.remove(conn, "token", "shop")
        accounts.add(conn, SHOP)
        assert accounts.get(conn, "token", "shop") == replace(SHOP, line="2")


def test_there_are_only_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MAX_ACCOUNTS", 1)
    with database.write() as conn:
        accounts.add(conn, SHOP)
    with database.write() as conn, pytest.raises(CallerError, match="remove one"):
        accounts.add(conn, replace(SHOP, name="other"))
    with pytest.raises(CallerError, match="too many tokens"), database.write() as conn:
        accounts.import_lines(conn, [replace(SHOP, name="other", line="1")])
    with database.read() as conn:
        assert accounts.get(conn, "token", "other") is None


def test_whom_a_provider_means(database: Database) -> None:
    fang = replace(ANNA, proof="", provider=True, subject="https://sso 7")
    with database.write() as conn:
        assert accounts.by_provider(conn, "https://sso 7", "王芳", None) == (None, None)
        assert accounts.by_provider(conn, "https://sso 7", "王芳", fang) == (fang, None)
        assert accounts.by_provider(conn, "https://sso 7", "other", None) == (fang, fang)
        more = replace(fang, role="admin", sites=None)
        assert accounts.by_provider(conn, "https://sso 7", "王芳", more) == (more, fang)
        assert accounts.get(conn, "user", "王芳") == more
        accounts.add(conn, replace(fang, name="li", subject=None))
        now, before = accounts.by_provider(conn, "https://sso 8", "li", None)
        assert (now and now.subject, before and before.subject) == ("https://sso 8", None)
    with database.write() as conn, pytest.raises(CallerError, match="another user named li"):
        accounts.by_provider(conn, "https://sso 9", "li", fang)
    with database.write() as conn:
        accounts.remove(conn, "user", "li")
        assert accounts.by_provider(conn, "https://sso 8", "li", None) == (None, None)
