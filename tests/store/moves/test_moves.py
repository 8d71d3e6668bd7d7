"""A move from SQLite to PostgreSQL: what changes while it copies, and wherever it ends."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.migrating import MOVING, version_of
from devgate.store.mover import move
from devgate.store.moves import arrival, copying, notes, source, target
from devgate.store.moves.tables import TABLES
from devgate.store.opening import claim_database
from tests.stores import with_tables

COUNT = 60
NOBODY = 65534


class Stop(Exception):
    """Ends a move, as Ctrl-C does."""


@pytest.fixture
def served(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database with rows that a gateway works with."""
    monkeypatch.setattr(copying, "SLICE_ROWS", 7)
    monkeypatch.setattr(copying, "STATEMENT_KEYS", 5)
    monkeypatch.setattr(copying, "MAX_PAUSE_SECONDS", 0.0)
    database = claim_database(with_tables(sqlite_url))
    with closing(plain(database)) as conn:
        for number in range(COUNT):
            add(conn, number)
        conn.commit()
    yield database
    database.close()


def plain(database: Database) -> sqlite3.Connection:
    """As another program opens it."""
    assert database.file is not None
    return sqlite3.connect(database.file, timeout=30)


def add(conn: sqlite3.Connection, number: int) -> None:
    imei = f"86{number:013}"
    conn.execute("INSERT INTO device (imei, id) VALUES (?, ?)", (imei, number))
    conn.execute(
        "INSERT INTO command (id, imei, type, status, state, message, source, accepted_at, spent) "
        "VALUES (?, ?, 'start', '200', 'ended', '', 's', 0.5, ?)",
        (f"{number:026}", imei, f"key {number}"),
    )
    conn.execute("INSERT INTO event (n, at, type) VALUES (?, 1.5, 'x')", (number + 1,))
    conn.execute("INSERT INTO usage_day (day, imei) VALUES (?, ?)", (number % 3, imei))


def change(conn: sqlite3.Connection, chance: random.Random, number: int) -> None:
    """Something that another program, or a gateway, does."""
    some, other = (f"86{chance.randrange(number):013}" for _ in "12")
    kind = chance.randrange(9)
    if kind == 0:
        add(conn, number)
    elif kind == 1:
        conn.execute("UPDATE device SET name = name || 'x', enabled = 0 WHERE imei = ?", (some,))
    elif kind == 2:
        conn.execute("DELETE FROM device WHERE imei = ?", (some,))
    elif kind == 3:  # takes the number of another one, which is gone without a word
        conn.execute(
            "INSERT OR REPLACE INTO device (imei, id) SELECT ?, id FROM device WHERE imei = ?",
            (some, other),
        )
    elif kind == 4:  # a key goes from one command to another
        conn.execute("UPDATE command SET spent = NULL, late = 1 WHERE imei = ?", (some,))
        conn.execute(
            "UPDATE command SET spent = ? WHERE imei = ? AND NOT EXISTS "
            "(SELECT 1 FROM command WHERE spent = ?)",
            (f"key {int(some[2:])}", other, f"key {int(some[2:])}"),
        )
    elif kind == 5:
        conn.execute("DELETE FROM event WHERE n IN (SELECT min(n) FROM event)")
    elif kind == 6:
        conn.execute("UPDATE command SET id = 'n' || substr(id, 2) WHERE imei = ?", (some,))
    elif kind == 7:
        conn.execute("UPDATE usage_day SET day = day + 10 WHERE imei = ?", (some,))
    else:
        conn.execute(
            "UPDATE presence SET online = NOT online, heard = 2.5 WHERE imei = ?", (some,)
        )
    conn.commit()


def rows_of(database: Database) -> dict[str, set[tuple[object, ...]]]:
    with database.read() as conn:
        return {
            one.name: {tuple(row) for row in conn.execute(select(one))}
            for one in TABLES if one.name != "owner"
        }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_the_copy_is_what_the_database_is_whatever_changes_meanwhile(
    served: Database, sqlite_url: str, postgres_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    numbers = iter(range(COUNT, 100_000))
    with closing(plain(served)) as conn:

        def told(table: str, done: int, rows: int) -> None:
            for _ in range(3):
                change(conn, chance, next(numbers))

        def follows() -> None:
            for _ in range(20):
                change(conn, chance, next(numbers))
            raise Stop

        with pytest.raises(Stop):
            move(sqlite_url, postgres_url, told, follows)
    expected = rows_of(served)
    served.close()
    new = claim_database(postgres_url)  # makes the last step
    try:
        assert rows_of(new) == expected
        with new.write() as writes:  # its triggers and indexes are there
            writes.exec_driver_sql("UPDATE device SET name = 'new'")
            assert version_of(writes) != MOVING
    finally:
        new.close()
    with pytest.raises(SetupError, match="has rows in the table"):
        move(sqlite_url, postgres_url)


def to_the_last_step(url: str, to: str) -> None:
    def follows() -> None:
        raise Stop

    with pytest.raises(Stop):
        move(url, to, follows=follows)


def broken(*_: object) -> None:
    raise SetupError("it dies")


@pytest.mark.parametrize("where", ["catch_up", "complete"])
def test_a_gateway_that_dies_in_the_last_step_is_followed_by_one_that_makes_it(
    served: Database,
    sqlite_url: str,
    postgres_url: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    to_the_last_step(sqlite_url, postgres_url)
    with pytest.raises(SetupError, match=r"a gateway works with .* of which postgresql"):
        claim_database(postgres_url)
    expected = rows_of(served)
    served.close()
    with monkeypatch.context() as patched:
        patched.setattr(arrival if where == "catch_up" else target, where, broken)
        with pytest.raises(SetupError, match="it dies"):
            claim_database(postgres_url)
    old = claim_database(sqlite_url)
    try:
        assert (old.loss is not None) == (where == "complete"), "the row of its owner decides"
    finally:
        old.close()
    if where == "catch_up":  # that one has removed the notes, and goes on
        with pytest.raises(SetupError, match="not every change of"):
            claim_database(postgres_url)
        move(sqlite_url, postgres_url)
    new = claim_database(postgres_url)
    try:
        assert rows_of(new) == expected
        assert new.loss is None
    finally:
        new.close()


def test_changes_that_nobody_reads_are_bounded_and_noticed(
    served: Database, sqlite_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (notes, source):
        monkeypatch.setattr(one, "MAX_NOTES", 10)
    to_the_last_step(sqlite_url, postgres_url)
    with closing(plain(served)) as conn:
        for number in range(COUNT, COUNT + 30):
            add(conn, number)
        conn.commit()
        assert conn.execute("SELECT max(n) FROM move_change").fetchone()[0] < 20
        expected = rows_of(served)
        served.close()
        with pytest.raises(SetupError, match=r"more than .* changes were not read"):
            claim_database(postgres_url)
        monkeypatch.undo()
        claim_database(sqlite_url).close()
        assert notes.names(conn, "trigger") == notes.names(conn, "table") == [], "removed"
    move(sqlite_url, postgres_url)  # begins again
    new = claim_database(postgres_url)
    assert rows_of(new) == expected
    new.close()


WRONG = {
    "other": "UPDATE command SET message = 'x' WHERE id = '00000000000000000000000003'",
    "gone": "DELETE FROM command WHERE id = '00000000000000000000000003'",
    "more": "INSERT INTO command (id, imei, type, status, state, message, source, accepted_at) "
    "VALUES ('x', '860000000000003', 'start', '200', 'ended', '', '', 1)",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_row_that_is_not_the_same_is_found(
    served: Database, sqlite_url: str, postgres_url: str, what: str
) -> None:
    statements = iter([WRONG[what]])

    def told(table: str, done: int, rows: int) -> None:
        # The last table is copied, and is compared next.
        if table == "webhook_target" and (statement := next(statements, None)):
            opened = Database(make_engine(postgres_url))
            with opened.write() as conn:
                conn.exec_driver_sql(statement)
            opened.close()

    with pytest.raises(SetupError, match="1 rows of the table command are not what they were"):
        move(sqlite_url, postgres_url, told)
    expected = rows_of(served)
    served.close()
    with pytest.raises(SetupError, match="has not all rows"):
        claim_database(postgres_url)
    move(sqlite_url, postgres_url)
    new = claim_database(postgres_url)
    assert rows_of(new) == expected
    new.close()


def left_behind(file: Path) -> None:
    """What a move leaves that was killed."""
    lock = notes.MoverLock(file)
    assert lock.acquire()
    with closing(sqlite3.connect(file)) as conn:
        notes.make(conn, "m")
        conn.commit()
    lock.release()


def noted(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as conn:
        return bool(notes.names(conn, "trigger"))


def test_what_a_move_by_root_has_left_behind_is_removed_by_the_gateways_own_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, which may make files of two users")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        file = Path(name, "devgate.db")
        os.chown(name, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            claim_database(f"sqlite:///{file}").close()
            os.seteuid(0)
            left_behind(file)
            os.seteuid(NOBODY)
            claim_database(f"sqlite:///{file}").close()
            assert not noted(file)
        finally:
            os.seteuid(0)


def test_notes_that_cannot_be_removed_keep_no_gateway_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = tmp_path / "devgate.db", tmp_path / "other"
    claim_database(f"sqlite:///{file}").close()
    left_behind(file)
    file.with_name("devgate.db.move").unlink()
    file.with_name("devgate.db.move").symlink_to(other)
    claim_database(f"sqlite:///{file}").close()
    assert noted(file)
    assert "notes of a move that has ended cannot be removed" in caplog.text
    with pytest.raises(SetupError, match=r"devgate\.db: it cannot be locked for a move: "):
        move(f"sqlite:///{file}", "postgresql://devgate@127.0.0.1:1/none")
    assert not other.exists(), "a link leads nobody to another file"
