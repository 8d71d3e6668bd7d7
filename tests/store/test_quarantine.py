"""The rows of a quarantine, in both databases."""

from __future__ import annotations

from time import time
from typing import Any

import pytest
from sqlalchemy import insert, text

from devgate.errors import CallerError
from devgate.store import quarantine
from devgate.store.batch import KINDS
from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.schema import command
from tests.store.commands import command_row


def test_begun_listed_and_lifted(database: Database) -> None:
    with database.write() as conn:
        assert quarantine.read(conn) is None
        with pytest.raises(CallerError, match="there is no quarantine"):
            quarantine.allow(conn, ["order-1"])
        assert quarantine.begin(conn, "a copy", 12.5) == 0
        held = quarantine.read(conn)
        assert held is not None
        assert (held.copied_at, held.reason) == (12.5, "a copy")
        assert quarantine.allow(conn, ["order-1", "order-2", "order-1"]) == 2
        assert quarantine.allow(conn, ["order-2", "order-3"]) == 3
        assert quarantine.untried(conn) == {"order-1", "order-2", "order-3"}
        assert quarantine.lift(conn) == held
        assert (quarantine.read(conn), quarantine.untried(conn)) == (None, frozenset())
        with pytest.raises(CallerError, match="there is no quarantine"):
            quarantine.lift(conn)


def test_the_list_has_a_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_KEYS", 3)
    with database.write() as conn:
        quarantine.begin(conn, "a copy", None)
    with pytest.raises(CallerError, match="at most 3 keys"), database.write() as conn:
        quarantine.allow(conn, map(str, range(4)))
    with database.read() as conn:
        assert quarantine.untried(conn) == frozenset(), "all or none"


def test_starts_that_wait_may_have_been_sent(database: Database) -> None:
    """They are `sent`, with their key spent and an event each; stops and ended ones stay."""
    waiting: dict[str, Any] = {
        "state": "waiting",
        "status": "000",
        "spent": None,
        "ended_at": None,
    }
    with database.write() as conn:
        conn.execute(text("INSERT INTO event (n, at, type) VALUES (41, :at, 'x')"), {"at": 2e9})
        for number, more in enumerate(
            ({**waiting, "key": "k1"}, {**waiting, "key": "k2", "type": "stop"}, {"key": "k3"})
        ):
            row = command_row(f"{number:026}", **more)
            values = dict(zip(KINDS["command"].columns, row.values, strict=True))
            conn.execute(insert(command).values(values))
        assert quarantine.begin(conn, "a copy", time()) == 1
        found = {row.key: row for row in conn.execute(command.select())}
        assert (found["k1"].state, found["k1"].spent) == ("sent", "k1")
        assert found["k2"].state == "waiting"
        assert found["k3"].state == "ended"
        told = conn.execute(event.select().where(event.c.n > 41)).all()
        assert [(one.n, one.type, one.at) for one in told] == [(42, "command.sent", 2e9)]
        assert found["k1"].sent_at == 2e9, "no time goes back"
