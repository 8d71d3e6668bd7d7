"""What must be kept, as rows, and the one transaction that writes a batch of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.store.engine import Database
from devgate.store.schema import command, event, presence, webhook_target

# How many rows a statement takes: every small number, for that is the usual case, and some
# large ones. 256 rows of the widest table are 4,608 values; SQLite takes 32,766 and
# PostgreSQL 65,535.
SIZES = (*range(1, 17), 24, 32, 48, 64, 128, 256)


class Kind(NamedTuple):
    """One kind of row: its table and columns, and what is done with a row that is there."""

    table: Table
    columns: tuple[str, ...]
    key: str | None  # its other columns are replaced where this one is equal; None: never equal
    # Columns that never change. SQLite writes an index anew for each column that is only named.
    fixed: Container[str] = ()


ORDERED = ("imei", "type", "long", "key", "source", "accepted_at", "expires_at", "timeout")

KINDS: Mapping[str, Kind] = {
    "command": Kind(command, tuple(c.name for c in command.columns), "id", ORDERED),
    "presence": Kind(
        presence, ("imei", "online", "since", "heard", "address", "generation"), "imei"
    ),
    "offline": Kind(presence, ("imei", "online", "since"), "imei"),
    "running": Kind(presence, ("imei", "running_until"), "imei"),
    "target": Kind(webhook_target, tuple(c.name for c in webhook_target.columns), "name"),
    "event": Kind(event, ("at", "type", "imei", "command", "detail", "n"), None),
}


# Kinds of rows that may be given up when the database refuses them alone: what they say is known
# in memory, and is written again soon.
DISPOSABLE = frozenset({"presence", "offline", "running", "target"})


class Row(NamedTuple):
    """One row to write; `values` are its kind's columns in their order.

    command   a command as it stands now: replaces what was written of it before
    presence  whether a device is online, and from where: replaces the device's last
    offline   that a device is offline, when no more is known of it
    running   until when a device runs
    target    how far a webhook has come
    event     without its last column: the number comes when it is written
    """

    kind: str
    values: tuple[Any, ...]


def disposable(row: Row) -> bool:
    return row.kind in DISPOSABLE


class Journal:
    """Writes batches of rows. Only one thread at a time may use it.

    Few statements, each for many rows: between two of them a thread needs the
    interpreter's lock again, and the loop is busiest when most is to be written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fence = database.fence
        self._conn: Connection | None = None
        self._committing = False  # COMMIT may have been sent: it may have been carried out
        self._mark = "?" if database.dialect == "sqlite" else "%s"
        self._statement = lru_cache(maxsize=128)(self._make)
        with database.read() as conn:
            self.last: int = conn.scalar(select(func.coalesce(func.max(event.c.n), 0))) or 0

    def commit(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Write all of them, or raise and have written none. Returns the events, numbered.

        A connection that breaks in the middle of a COMMIT leaves open whether that was
        carried out. So after an error the events that are there after all come first,
        and are not written again. Raises Fenced if another gateway owns the database by now.
        """
        kept = self._conn is not None
        try:
            return self._commit(rows)
        except DBAPIError as err:
            # A server that was restarted while nothing was written is found out here. Nothing of
            # this transaction can be there: a new connection is as good as the old one was.
            if not kept or self._committing or not err.connection_invalidated:
                raise
        return self._commit(rows)

    def _commit(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        by_kind: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_kind.setdefault(row.kind, []).append(row.values)
        told = by_kind.pop("event", [])
        found: list[tuple[Any, ...]] = []
        self._committing = False
        try:
            fresh = self._conn is None
            conn = self._conn = self._conn or self._database.held()
            with conn.begin():
                if self._fence is not None:
                    self._fence.check(conn, first=fresh)
                    if not rows and fresh:  # it failed before: an answer does for nothing
                        self._fence.touch(conn)
                if fresh:
                    found = self._beyond(conn)
                    there = {values[:-1] for values in found}
                    told = [values for values in told if values not in there]
                first = self.last + len(found) + 1
                events = [(*values, number) for number, values in enumerate(told, first)]
                for kind, values in (*by_kind.items(), ("event", events)):
                    self._write(conn, kind, values)
                self._committing = True
        except BaseException:
            self.close()  # another connection may find the database in better health
            raise
        self.last += len(found) + len(events)
        return found + events

    def close(self) -> None:
        """Give the connection back. The journal may be used again all the same."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(SQLAlchemyError):  # it may have been broken before
                conn.close()

    def _beyond(self, conn: Connection) -> list[tuple[Any, ...]]:
        """Events that are on disk and that nobody here knows of."""
        columns = [event.c[name] for name in KINDS["event"].columns]
        query = select(*columns).where(event.c.n > self.last).order_by(event.c.n)
        return [tuple(row) for row in conn.execute(query)]

    def _write(self, conn: Connection, kind: str, rows: list[tuple[Any, ...]]) -> None:
        if KINDS[kind].key is not None and len(rows) > 1:
            # A statement may not touch a row twice; of two, the later one counts.
            rows = list({row[0]: row for row in rows}.values())
        for some in _slices(rows):
            values = tuple(chain.from_iterable(some))
            conn.exec_driver_sql(self._statement(kind, len(some)), values)

    def _make(self, kind: str, rows: int) -> str:
        table, columns, key, fixed = KINDS[kind]
        one = "(" + ", ".join([self._mark] * len(columns)) + ")"
        names = ", ".join(f'"{name}"' for name in columns)
        statement = f"INSERT INTO {table.name} ({names}) VALUES {', '.join([one] * rows)}"
        if key is None:
            return statement
        changing = [name for name in columns if name != key and name not in fixed]
        replaced = ", ".join(f'"{name}" = excluded."{name}"' for name in changing)
        return f'{statement} ON CONFLICT ("{key}") DO UPDATE SET {replaced}'


def _slices(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in slices of SIZES, the longest first."""
    start = 0
    while left := len(rows) - start:
        size = SIZES[bisect_right(SIZES, left) - 1]
        yield rows[start : start + size]
        start += size
