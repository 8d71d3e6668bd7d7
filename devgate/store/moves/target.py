"""The PostgreSQL database that rows are moved to. Until it has all rows its version is "moving",
and no devgate serves with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import time
from typing import Any, NamedTuple

from psycopg import Error as PostgresError
from psycopg.errors import UndefinedTable
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from devgate.errors import SetupError
from devgate.store.migrating import MOVING, version_of
from devgate.store.moves.tables import MOVED, Key, MovedTable, Values
from devgate.store.outage import one_line, outage
from devgate.store.schema import SCHEMA, VERSION_TABLE

MOVER = 0x64657669  # the second key of PostgreSQL's advisory lock: one process moves at a time
CHANGER = 0x6465766D  # of another one: one transaction at a time changes the progress of the move
CURSOR_ROWS = 2_000  # rows of a cursor on the server

COPYING, FOLLOWING, COMPARED = "copying", "following", "compared"

_NAMES = [one.name for one in MOVED]
_MAKE = text("""
    CREATE TABLE devgate_move (
        id text NOT NULL, state text NOT NULL, source text NOT NULL, host text NOT NULL,
        change bigint NOT NULL, event bigint NOT NULL, at double precision NOT NULL,
        later text NOT NULL
    )
""")
# An index that is made after all rows costs a tenth of one that each insert updates.
_INDEXES = text("""
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = ANY(:tables)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
""")
_UNIQUE = text("""
    SELECT k.conname AS name, c.relname AS relation, pg_get_constraintdef(k.oid) AS made
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = ANY(:tables) AND k.contype = 'u'
""")
_LOCK = text("SELECT pg_try_advisory_lock(hashtext(current_schema()), :number)")
_WAIT = text("SELECT pg_advisory_xact_lock(hashtext(current_schema()), :number)")


class Move(NamedTuple):
    """How far a move has come."""

    id: str
    state: str
    source: str  # the file of SQLite, on `host`
    host: str
    change: int  # the number of the newest note that is carried out
    event: int  # the number of the newest event
    at: float  # when that was


@contextmanager
def in_sentences() -> Iterator[None]:
    """Raises SetupError for errors of either database in this block."""
    try:
        yield
    except (sqlite3.Error, PostgresError, SQLAlchemyError) as err:
        which = "SQLite" if isinstance(err, sqlite3.Error) else "PostgreSQL"
        why = outage(err) or str(getattr(err, "orig", None) or err)
        raise SetupError(f"the move was interrupted, {which}: {one_line(why)}", "503") from err


def lock(conn: Connection) -> bool:
    """Lock the move for this process, as long as this session lives. False: another has the
    lock."""
    locked = bool(conn.scalar(_LOCK, {"number": MOVER}))
    conn.commit()
    return locked


def state(conn: Connection, *, lock: bool = False) -> Move | None:
    """The move that is under way; None: there is none. `lock`: nobody else can change it until
    this transaction ends."""
    if lock:
        # Before any lock of the table: a session that waits for its row would stop complete()
        # from dropping the table, and PostgreSQL ends one of two sessions that wait for each
        # other.
        conn.execute(_WAIT, {"number": CHANGER})
    if version_of(conn) != MOVING:
        return None
    how = " FOR UPDATE" if lock else ""
    try:
        with conn.begin_nested():  # an error leaves the transaction as it was
            row = conn.execute(
                text(f"SELECT id, state, source, host, change, event, at FROM devgate_move{how}")
            ).first()
    except ProgrammingError as err:
        if not isinstance(err.orig, UndefinedTable):
            raise
        return None  # complete() was committed after this read of the version
    return None if row is None else Move(*row)


def begin(conn: Connection, id: str, source: str, host: str) -> None:
    """Make this the empty target of a move, also if another move has begun here."""
    if version_of(conn) == MOVING:
        later = conn.scalar(text("SELECT later FROM devgate_move"))
        conn.execute(text("DELETE FROM devgate_move"))
        conn.execute(text(f"TRUNCATE {', '.join(_NAMES)}"))
        _drop(conn, json.loads(later))
    else:
        parts = {"tables": _NAMES}
        made = [["INDEX", row.name, "", row.made] for row in conn.execute(_INDEXES, parts)]
        made += [
            ["CONSTRAINT", row.name, row.relation, row.made]
            for row in conn.execute(_UNIQUE, parts)
        ]
        later = json.dumps(made)
        conn.execute(_MAKE)
        conn.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{MOVING}'"))
        for name in _NAMES:
            conn.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
            conn.execute(text(f"DELETE FROM {name}"))
        _drop(conn, made)
    conn.execute(
        text("INSERT INTO devgate_move VALUES (:id, :state, :source, :host, 1, 0, :at, :later)"),
        {"id": id, "state": COPYING, "source": source, "host": host, "at": time(), "later": later},
    )


def _drop(conn: Connection, made: Iterable[Sequence[str]]) -> None:
    for kind, name, relation, _ in made:
        if kind == "INDEX":
            conn.execute(text(f"DROP INDEX IF EXISTS {name}"))
        else:
            conn.execute(text(f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {name}"))


def make_indexes(conn: Connection) -> None:
    """Make the indexes and constraints that were left out while rows were copied."""
    conn.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
    for kind, name, relation, how in json.loads(
        conn.scalar(text("SELECT later FROM devgate_move")) or "[]"
    ):
        if kind == "INDEX":
            conn.exec_driver_sql(how)
        else:
            conn.exec_driver_sql(f"ALTER TABLE {relation} ADD CONSTRAINT {name} {how}")


def analyze(conn: Connection) -> None:
    """Update the planner's statistics of the new tables."""
    for name in _NAMES:
        conn.execute(text(f"ANALYZE {name}"))


def note(conn: Connection, **values: Any) -> None:
    """Store how far the move has come."""
    changes = ", ".join(f"{name} = :{name}" for name in values)
    conn.execute(text(f"UPDATE devgate_move SET {changes}, at = :now"), {**values, "now": time()})


def complete(conn: Connection, owner: dict[str, Any] | None) -> None:
    """Make it a normal database. `owner`: who has it from now on."""
    if owner is not None:
        conn.execute(
            text("UPDATE owner SET epoch = :epoch, taken_at = :taken_at, holder = :holder"), owner
        )
    for name in _NAMES:
        conn.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))
    conn.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{SCHEMA}'"))
    conn.execute(text("DROP TABLE devgate_move"))


# Rows


def copy(conn: Connection, table: MovedTable, rows: Iterable[Values]) -> int:
    """Add rows. Returns how many."""
    count = 0
    with (
        _driver(conn).cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({table.columns}) FROM STDIN") as writer,
    ):
        for row in rows:
            writer.write_row(row)
            count += 1
    return count


def delete(conn: Connection, table: MovedTable, keys: Sequence[Key]) -> None:
    """Remove the rows with these keys."""
    _driver(conn).execute(f"DELETE FROM {table.name} WHERE {_among(table)}", _arrays(table, keys))


def rows(conn: Connection, table: MovedTable, keys: Sequence[Key]) -> dict[Key, Values]:
    """The rows with these keys."""
    found = _driver(conn).execute(
        f"SELECT {table.columns} FROM {table.name} WHERE {_among(table)}", _arrays(table, keys)
    )
    return {table.key_of(row): row for row in found}


def all_rows(conn: Connection, table: MovedTable) -> list[Values]:
    """All rows of a table that has few."""
    return list(_driver(conn).execute(f"SELECT {table.columns} FROM {table.name}"))


def count(conn: Connection, table: MovedTable) -> int:
    """How many rows a table has."""
    return int(conn.scalar(text(f"SELECT count(*) FROM {table.name}")) or 0)


def keys(conn: Connection, table: MovedTable) -> Iterator[Key]:
    """All keys, through a cursor on the server: they need little memory here."""
    with _driver(conn).cursor(name="devgate_moved") as cursor:
        cursor.itersize = CURSOR_ROWS
        yield from cursor.execute(f"SELECT {', '.join(table.key)} FROM {table.name}")


def _among(table: MovedTable) -> str:
    arrays = ", ".join(f"%s::{one}" for one in table.array_types)
    return f"({', '.join(table.key)}) IN (SELECT * FROM unnest({arrays}))"


def _arrays(table: MovedTable, keys: Sequence[Key]) -> list[list[Any]]:
    return [[key[place] for key in keys] for place in range(len(table.key))]


def _driver(conn: Connection) -> Any:
    driver = conn.connection.driver_connection
    assert driver is not None
    return driver
