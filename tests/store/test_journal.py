"""The one transaction that writes a batch: on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from devgate.access.names import MAX_NAME
from devgate.store import history
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.opening import open_database
from devgate.store.outage import outage
from tests.postgres import Postgres
from tests.store.commands import EPOCH, command_row, event
from tests.store.plain import A, B, run
from tests.stores import with_tables


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    journal = Journal(database)
    yield journal
    journal.close()


def numbers(database: Database) -> list[int]:
    with database.read() as conn:
        return [row[-1] for row in history.events_after(conn, 0, 10_000)]


def command(database: Database, id: str) -> history.Record | None:
    with database.read() as conn:
        return history.by_id(conn, id)


def presence(database: Database, imei: str) -> history.Record:
    with database.read() as conn:
        return history.presence_of(conn, [imei])[imei]


def test_events_are_numbered_in_order(database: Database, journal: Journal) -> None:
    first = journal.commit([event("device.online"), event("device.offline")])
    second = journal.commit([event("device.online")])
    assert [(row[1], row[-1]) for row in first + second] == [
        ("device.online", 1), ("device.offline", 2), ("device.online", 3),
    ]  # fmt: skip
    assert numbers(database) == [1, 2, 3]


def test_the_numbers_go_on_after_a_restart(database: Database, journal: Journal) -> None:
    journal.commit([event()] * 3)
    journal.close()
    again = Journal(database)
    assert again.last == 3
    assert [row[-1] for row in again.commit([event()])] == [4]
    again.close()


def test_a_commit_without_events_tells_of_none(database: Database, journal: Journal) -> None:
    assert journal.commit([command_row("1")]) == []
    assert journal.commit([]) == []
    assert journal.last == 0


def test_who_has_the_longest_name_may_ask(database: Database, journal: Journal) -> None:
    """PostgreSQL refused the row, and from then on the gateway every start of anybody."""
    source = f"http:{'店' * MAX_NAME}"
    journal.commit([command_row("1", source=source)])
    found = command(database, "1")
    assert found is not None
    assert found["source"] == source


def test_a_command_replaces_what_was_written_of_it(database: Database, journal: Journal) -> None:
    sent = command_row("1", state="sent", status="000", ended_at=None, key="k", spent="k")
    journal.commit([sent])
    assert command(database, "1") == {
        "id": "1", "imei": A, "type": "start", "long": 500, "key": "k", "spent": "k",
        "status": "000", "state": "sent",
        "message": "started", "late": False, "source": "socket",
        "accepted_at": EPOCH, "sent_at": EPOCH + 1,
        "ended_at": None, "late_at": None, "expires_at": None, "timeout": None, "running": False,
        "sequence": None, "ambiguous": False, "why": None, "new_address": False,
        "group_id": None, "incarnation": None, "verdict": None, "note": None,
        "resolved_by": None, "resolved_at": None, "resolved_status": None,
    }  # fmt: skip
    journal.commit([command_row("1", key="k", spent="k", late=True)])
    after = command(database, "1")
    assert after is not None
    assert (after["status"], after["state"], after["late"]) == ("200", "ended", True)


def test_of_two_rows_in_one_batch_the_later_counts(database: Database, journal: Journal) -> None:
    waiting = command_row("1", state="waiting", status="000")
    journal.commit([waiting, command_row("2"), command_row("1", status="201")])
    after = command(database, "1")
    assert after is not None
    assert after["status"] == "201"


def test_the_kinds_of_presence_leave_one_another_alone(
    database: Database, journal: Journal
) -> None:
    online = (A, True, EPOCH, EPOCH + 5, "1.2.3.4:5", 7)
    journal.commit([Row("presence", online), Row("running", (A, EPOCH + 500))])
    assert presence(database, A) == {
        "imei": A, "online": True, "since": EPOCH, "heard": EPOCH + 5, "address": "1.2.3.4:5",
        "running_until": EPOCH + 500, "generation": 7, "node": None, "incarnation": None,
    }  # fmt: skip
    journal.commit([Row("offline", (A, False, EPOCH + 9)), Row("running", (B, None))])
    after = presence(database, A)
    assert (after["online"], after["since"], after["address"]) == (False, EPOCH + 9, "1.2.3.4:5")
    assert after["running_until"] == EPOCH + 500
    assert presence(database, B)["online"] is False


def test_many_rows_are_one_commit(database: Database, journal: Journal) -> None:
    rows = [command_row(f"{n:05}") for n in range(1000)] + [event()] * 1000
    assert [row[-1] for row in journal.commit(rows)] == list(range(1, 1001))
    with database.read() as conn:
        assert len(history.page(conn, limit=2000)) == 1000


def test_a_key_is_spent_once(database: Database, journal: Journal) -> None:
    """The database itself refuses a second command under a key that is spent."""
    journal.commit([command_row("1", key="order", spent="order"), event()])
    with pytest.raises(IntegrityError):
        journal.commit([event(), command_row("2", key="order", spent="order")])
    assert command(database, "2") is None
    assert numbers(database) == [1], "all of a batch or nothing"
    journal.commit([command_row("3", key="order", spent=None, status="404"), event()])
    assert numbers(database) == [1, 2], "and no number is left out for it"


def test_a_refused_command_gives_its_key_free(database: Database, journal: Journal) -> None:
    """Whichever rows of it and of others are written together."""
    refused = {"key": "order", "spent": None, "status": "404"}
    waiting = {"key": "order", "spent": "order", "state": "waiting", "status": "000"}
    journal.commit([command_row("1", **waiting), command_row("9", key="x", spent="x")])
    journal.commit([command_row("0", key="y", status="404"), command_row("1", **refused)])
    journal.commit([command_row("2", **waiting), command_row("2", **refused)])
    journal.commit([command_row("3", key="order", spent="order")])
    with database.read() as conn:
        by_key = history.page(conn, key="order", limit=9)
        found = history.by_key(conn, "order")
        older = history.page(conn, key="order", after="3", limit=1)
    assert [(row["id"], row["spent"]) for row in by_key] == [
        ("3", "order"), ("2", None), ("1", None),
    ]  # fmt: skip
    assert found is not None
    assert found["id"] == "3"
    assert [row["id"] for row in older] == ["2"]


def test_numbers_have_no_gap_across_failures(
    database: Database, journal: Journal, database_url: str
) -> None:
    journal.commit([event()])
    run(database_url, "ALTER TABLE command RENAME TO elsewhere")
    for _ in range(3):
        with pytest.raises(DBAPIError):
            journal.commit([event(), command_row("1"), event()])
    run(database_url, "ALTER TABLE elsewhere RENAME TO command")
    assert [row[-1] for row in journal.commit([event(), command_row("1")])] == [2]
    assert numbers(database) == [1, 2]


def test_a_locked_database_is_an_outage_and_passes(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devgate.store.engines.LOCK_SECONDS", 0.05)
    database = open_database(with_tables(sqlite_url))
    journal = Journal(database)
    journal.commit([event()])
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DBAPIError) as caught:
        journal.commit([event()])
    assert outage(caught.value) == "the database is locked by another program"
    other.execute("ROLLBACK")
    other.close()
    assert [row[-1] for row in journal.commit([event()])] == [2]
    journal.close()
    database.close()


def test_a_server_that_was_restarted_is_an_outage_and_passes(
    postgres: Postgres, postgres_url: str
) -> None:
    database = open_database(with_tables(postgres_url))
    journal = Journal(database)
    journal.commit([event()])
    postgres.stop()
    with pytest.raises(DBAPIError) as caught:
        journal.commit([event()])
    assert outage(caught.value) is not None
    postgres.start()
    assert [row[-1] for row in journal.commit([event()])] == [2]
    assert numbers(database) == [1, 2]
    journal.close()
    database.close()


class Breaking(Database):
    """A database whose connection breaks just after a COMMIT was carried out."""

    breaks = False

    def held(self) -> Connection:
        conn = super().held()
        begin = conn.begin

        @contextmanager
        def begin_and_break() -> Iterator[Any]:
            with begin() as transaction:
                yield transaction
            if self.breaks:
                lost = psycopg.OperationalError("server closed the connection unexpectedly")
                raise DBAPIError("COMMIT", None, lost, connection_invalidated=True)

        conn.begin = begin_and_break  # type: ignore[method-assign, assignment]
        return conn


def test_a_commit_that_was_carried_out_unseen_is_found_again(database: Database) -> None:
    """Its events are published once, before those that come after them."""
    breaking = Breaking(database._engine)
    journal = Journal(breaking)
    journal.commit([event("device.online")])
    breaking.breaks = True
    kept = [event("device.offline", EPOCH + 1), event("device.online", EPOCH + 2)]
    with pytest.raises(DBAPIError) as caught:
        journal.commit([command_row("1"), *kept])
    assert outage(caught.value) is not None
    breaking.breaks = False
    told = journal.commit([command_row("1"), *kept, event("device.offline", EPOCH + 3)])
    assert [(row[0] - EPOCH, row[-1]) for row in told] == [(1, 2), (2, 3), (3, 4)]
    assert numbers(database) == [1, 2, 3, 4]
    journal.close()
