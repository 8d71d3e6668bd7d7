"""A database that is not the one that was opened, or has lost rows. SQLite and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from devgate.errors import StoreError
from devgate.store import history, ownership, recent
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.opening import claim_database
from devgate.store.ownership import CLAIMING, confirm_loss
from tests.store.commands import command_row, event
from tests.store.plain import connect, run
from tests.stores import with_tables


@pytest.fixture
def owned(database_url: str) -> Iterator[Database]:
    database = claim_database(with_tables(database_url))
    yield database
    database.close()


def events(database: Database) -> list[tuple[float, int]]:
    with database.read() as conn:
        return [(row[0], row[-1]) for row in history.events_after(conn, 0, 1000)]


def lose(url: str, behind: int, *more: str) -> None:
    """What a failover to a replica that is behind does."""
    run(url, f"DELETE FROM event WHERE n > {behind}", *more)


LOST = "the database lost the events 3 to 5, and their commands. What the"


def test_f6_what_is_lost_is_written_again_with_its_numbers(
    owned: Database, database_url: str
) -> None:
    """F6: noticed on a new connection; published numbers stay the same."""
    journal = Journal(owned)
    for n in range(1, 6):
        journal.commit([command_row(str(n), key=f"k{n}", spent=f"k{n}"), event(at=float(n))])
    before = events(owned)
    lose(database_url, 2, "DELETE FROM command WHERE id > '2'")
    journal.close()
    with pytest.raises(StoreError, match=LOST):
        journal.commit([command_row("6"), event(at=6.0)])
    assert events(owned) == before
    with owned.read() as conn:
        assert [history.by_key(conn, f"k{n}") is not None for n in range(1, 6)] == [True] * 5
        assert history.by_id(conn, "6") is None, "the batch itself was refused"
        assert conn.scalar(text("SELECT lost FROM owner")).startswith(LOST)
    assert owned.loss is not None
    assert owned.loss.startswith(LOST)
    assert [row[-1] for row in journal.commit([event(at=7.0)])] == [6], "and outcomes go on"
    journal.close()


def test_f6_a_loss_survives_a_restart_until_it_is_confirmed(
    owned: Database, database_url: str
) -> None:
    journal = Journal(owned)
    for n in range(1, 6):
        journal.commit([event(at=float(n))])
    lose(database_url, 2)
    journal.close()
    with pytest.raises(StoreError):
        journal.commit([])
    journal.close()
    owned.close()
    again = claim_database(database_url)
    assert again.loss is not None
    with again.write() as conn:
        assert confirm_loss(conn) == again.loss
        assert confirm_loss(conn) is None
    again.close()


def test_f6_the_takeover_itself_may_be_lost(owned: Database, database_url: str) -> None:
    """F6: a replica that does not know this gateway has no other owner."""
    journal = Journal(owned)
    for n in range(1, 6):
        journal.commit([event(at=float(n))])
    lose(database_url, 2, "UPDATE owner SET epoch = epoch - 1, taken_at = 0")
    journal.close()
    with pytest.raises(StoreError, match=LOST):
        journal.commit([])
    assert [row[-1] for row in journal.commit([event()])] == [6]
    journal.close()


def test_f6_the_lock_may_still_be_held_when_the_takeover_is_lost(
    owned: Database,
    database_url: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F6: PostgreSQL ends a closed session later than the client: the journal waits for it.

    It ended in `AssertionError: it has just been asked`, and nothing was written again.
    """
    if owned.dialect == "sqlite":
        pytest.skip("SQLite has no session that could outlive its connection")
    journal = Journal(owned)
    for n in range(1, 6):
        journal.commit([event(at=float(n))])
    before = events(owned)
    lose(database_url, 2, "UPDATE owner SET epoch = epoch - 1, taken_at = 0")
    journal.close()
    session = connect(database_url)
    request.addfinalizer(session.close)
    # Waits until the server has ended the journal's.
    session.execute(f"SELECT pg_advisory_lock(hashtext(current_schema()), {CLAIMING})")
    session.commit()
    waits: list[float] = []

    def ended(seconds: float) -> None:
        waits.append(seconds)
        session.close()
        time.sleep(seconds)

    monkeypatch.setattr(ownership, "sleep", ended)
    monkeypatch.setattr(ownership, "CLOSE_SECONDS", 60.0)
    with pytest.raises(StoreError, match=LOST):
        journal.commit([])
    assert waits, "the lock was held"
    assert events(owned) == before
    assert [row[-1] for row in journal.commit([event()])] == [6]
    journal.close()


def test_f6_what_memory_does_not_hold_is_lost_for_good(
    owned: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MAX_ROWS", 2)
    journal = Journal(owned)
    for n in range(1, 6):
        journal.commit([event(at=float(n))])
    lose(database_url, 2)
    journal.close()
    with pytest.raises(StoreError, match=r"the events 3 to 3 are lost for good"):
        journal.commit([])
    assert [n for _, n in events(owned)] == [1, 2, 4, 5]
    journal.close()


def test_f6_after_loss_resume_goes_on_by_itself(owned: Database, database_url: str) -> None:
    journal = Journal(owned, resume=True)
    for n in range(1, 6):
        journal.commit([event(at=float(n))])
    lose(database_url, 2)
    journal.close()
    with pytest.raises(StoreError):
        journal.commit([event()])
    assert owned.loss is None
    with owned.read() as conn:
        assert conn.scalar(text("SELECT lost FROM owner")) is None
    assert [row[-1] for row in journal.commit([event()])] == [6]
    journal.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "devgate.db"


def test_f5_nothing_is_written_beside_a_file_that_was_replaced(file: Path) -> None:
    """F5: a restore without a stop. The copy stays whole, and so does what was confirmed."""
    database = claim_database(f"sqlite:///{file}")
    journal = Journal(database)
    journal.commit([event(), command_row("1")])
    copy = file.with_name("copy.db")
    with sqlite3.connect(file) as other:
        other.execute(f"VACUUM INTO '{copy}'")
    other.close()
    journal.commit([event(), command_row("2")])
    copy.rename(file)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"devgate\.db was replaced .*restart the gateway"):
            journal.commit([event()])
        with pytest.raises(StoreError, match="was replaced"), database.read():
            pass
        with pytest.raises(StoreError, match="was replaced"), database.write():
            pass
    journal.close()
    database.close()
    again = claim_database(f"sqlite:///{file}")
    with again.read() as conn:
        assert conn.scalar(text("PRAGMA integrity_check")) == "ok"
        assert conn.scalar(text("SELECT count(*) FROM command")) == 1
    again.close()
    assert len(list(file.parent.glob("devgate.db-wal.of-replaced-*"))) == 1


@pytest.mark.parametrize("changed", [False, True])
def test_f5_a_file_that_comes_back_gets_its_log_back(file: Path, changed: bool) -> None:
    """F5: what was confirmed stands in the log that was set aside. Without it, the file that came
    back had lost its newest starts, and their keys were free."""
    database = claim_database(f"sqlite:///{file}")
    journal = Journal(database)
    journal.commit([event(), command_row("1", key="k", spent="k")])
    away = file.with_name("away.db")
    file.rename(away)
    with pytest.raises(StoreError, match="was replaced or removed"):
        journal.commit([event()])
    journal.close()
    database.close()
    if changed:  # the log is no longer that of these bytes
        os.utime(away)
    away.rename(file)
    again = claim_database(f"sqlite:///{file}")
    with again.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM command")) == (0 if changed else 1)
        assert conn.scalar(text("PRAGMA integrity_check")) == "ok"
    again.close()
    assert len(list(file.parent.glob("devgate.db-wal.of-replaced-*"))) == changed


def test_f5_a_file_that_was_removed(file: Path) -> None:
    database = claim_database(f"sqlite:///{file}")
    journal = Journal(database)
    journal.commit([event()])
    for name in file.parent.glob("devgate.db*"):
        name.unlink()
    with pytest.raises(StoreError, match="was replaced or removed"):
        journal.commit([event()])
    journal.close()
    database.close()
    assert not file.exists(), "none is made in its place"


def test_f5_a_log_that_was_removed_costs_nothing(file: Path) -> None:
    """F5: what the log held goes into the file with the last connection that has it open."""
    database = claim_database(f"sqlite:///{file}")
    journal = Journal(database)
    journal.commit([event(), command_row("1")])
    journal.commit([event(), command_row("2")])
    file.with_name("devgate.db-wal").unlink()
    with pytest.raises(StoreError, match=r"log .*-wal was removed"):
        journal.commit([event(), command_row("3")])
    journal.commit([event(), command_row("3")])
    journal.close()
    database.close()
    copy = file.with_name("copy.db")
    shutil.copy(file, copy)
    assert not os.path.exists(f"{copy}-wal")
    with sqlite3.connect(copy) as other:
        assert other.execute("SELECT count(*), max(n) FROM event").fetchone() == (3, 3)
        assert other.execute("SELECT count(*) FROM command").fetchone() == (3,)
    other.close()
