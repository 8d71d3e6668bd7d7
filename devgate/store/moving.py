"""Moves what SQLite has to PostgreSQL: devices, commands with their keys, events, webhooks.

No gateway may work with either. The rows go over in one transaction of PostgreSQL: they are all
there, or none is. They are compared before it is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Boolean, Connection, Table, func, select, text

from devgate.errors import SetupError
from devgate.store.engine import Database, opened
from devgate.store.event_tables import event
from devgate.store.metadata import metadata
from devgate.store.migrating import prepare, version_of
from devgate.store.node_tables import cluster, node
from devgate.store.outage import in_words
from devgate.store.ownership import note_loss
from devgate.store.schema import command, device

# Nodes of a cluster are PostgreSQL's alone, and the new database has none yet.
TABLES = tuple(one for one in metadata.sorted_tables if one not in (cluster, node))
EVERY = 10_000  # rows between two calls of `told`
MASK = (1 << 64) - 1

Told = Callable[[str, int, int], None]

_INDEXES = text("""
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = ANY(:tables)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
""")


def move(source: str, target: str, told: Told = lambda *_: None) -> Mapping[str, int]:
    """Copy all rows of the SQLite database into the PostgreSQL one, which is empty but for its
    tables, or has none. Returns how many rows each table has.

    The old database stays, and says that it was moved: no start is accepted there any more.
    `told` is called with a table, rows that are copied, and rows in all. Raises SetupError, and
    then nothing is changed in either.
    """
    if not source.startswith("sqlite") or not target.startswith("postgres"):
        raise SetupError(
            "a database is moved from SQLite (the configured one) to postgresql://...",
            status="400",
        )
    counts: Mapping[str, int] = {}

    def work(old: Database, new: Database) -> None:
        nonlocal counts
        new.lock()
        _must_be_empty(new)
        prepare(new, upgrade=True)
        with in_words():
            with old.read() as reads, new.write() as writes:
                counts = _all_rows(reads, writes, told)
            with old.write() as conn:
                note_loss(conn, f"this database was moved to {new.url_shown}")

    def behind_the_lock(old: Database) -> None:
        old.lock()
        prepare(old, upgrade=True)
        opened(target, partial(work, old)).close()

    opened(source, behind_the_lock).close()
    _analyze(target)
    return counts


def _must_be_empty(database: Database) -> None:
    with database.read() as conn:
        if version_of(conn) is None:
            return
        for table in (command, event, device):
            if conn.scalar(select(func.count()).select_from(select(table).limit(1).subquery())):
                raise SetupError(
                    f"{database.url_shown} has rows in the table {table.name}; a database is "
                    "moved into an empty one: make another (createdb)",
                    status="400",
                )


def _all_rows(old: Connection, new: Connection, told: Told) -> Mapping[str, int]:
    """What is built after the rows costs a tenth of what is kept with each of them."""
    indexes = new.execute(_INDEXES, {"tables": [one.name for one in TABLES]}).all()
    new.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
    for table in TABLES:
        new.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER USER"))
        new.execute(table.delete())
    for index in indexes:
        new.execute(text(f"DROP INDEX {index.name}"))
    found = {table.name: _rows(old, new, table, told) for table in TABLES}
    for index in indexes:
        new.exec_driver_sql(index.made)
    for table in TABLES:
        new.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER USER"))
    return found


def _rows(old: Connection, new: Connection, table: Table, told: Told) -> int:
    rows = old.scalar(select(func.count()).select_from(table)) or 0
    seen = _Sum()
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    driver = new.connection.driver_connection
    assert driver is not None
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy,
    ):
        for number, row in enumerate(seen.of(_read_sqlite(old, table, columns)), 1):
            copy.write_row(row)
            if not number % EVERY:
                told(table.name, number, rows)
    there = _Sum()
    for _ in there.of(_read_postgres(new, table, columns)):
        pass
    if (there.count, there.sum) != (seen.count, seen.sum) or seen.count != rows:
        raise SetupError(
            f"the rows of the table {table.name} are not what they were: {seen.count} were read, "
            f"{there.count} are there; nothing was moved"
        )
    told(table.name, rows, rows)
    return rows


def _read_sqlite(conn: Connection, table: Table, columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows, with truth values in place of SQLite's numbers."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the dialect is sqlite"
    flags = [isinstance(column.type, Boolean) for column in table.columns]
    rows: Iterable[tuple[Any, ...]] = driver.execute(f"SELECT {columns} FROM {table.name}")
    if not any(flags):
        yield from rows
        return
    for row in rows:
        yield tuple(
            bool(value) if flag and value is not None else value
            for flag, value in zip(flags, row, strict=True)
        )


def _read_postgres(conn: Connection, table: Table, columns: str) -> Iterator[Sequence[Any]]:
    """The rows, with a cursor on the server: they need no memory here."""
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor(name="devgate_moved") as cursor:
        cursor.itersize = EVERY
        yield from cursor.execute(f"SELECT {columns} FROM {table.name}")


class _Sum:
    """Rows as they pass, in any order: how many, and the sum of their hashes."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def of(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The same rows."""
        for row in rows:
            self.count += 1
            self.sum = self.sum + hash(tuple(row)) & MASK
            yield row


def _analyze(url: str) -> None:
    """PostgreSQL's planner knows the new tables at once."""

    def work(database: Database) -> None:
        conn = database.connected()
        try:
            for table in TABLES:
                conn.execute(text(f"ANALYZE {table.name}"))
            conn.commit()
        finally:
            conn.close()

    opened(url, work).close()
