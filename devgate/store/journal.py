"""What must be kept, as rows, and the one transaction that writes a batch of them."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store.engine import Database
from devgate.store.files import Files
from devgate.store.ownership import Behind
from devgate.store.recent import Recent
from devgate.store.schema import command, event, open_results, presence, webhook_target

# How many rows a statement takes: every small number, for that is the usual case, and some
# large ones. 256 rows of the widest table are 4,608 values; SQLite takes 32,766 and
# PostgreSQL 65,535.
SIZES = (*range(1, 17), 24, 32, 48, 64, 128, 256)


log = logging.getLogger("devgate.store")


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
    "open_results": Kind(open_results, ("id", "detail"), "id"),
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
    open_results  which results are held, and for which commands; "" if there are none
    target    how far a webhook has come
    event     without its last column: the number comes when it is written
    """

    kind: str
    values: tuple[Any, ...]


_EVENTS = select(*(event.c[name] for name in KINDS["event"].columns))


class _Lost(Exception):
    """The newest event that was committed is not there."""


def _loss(there: int, last: int, events: Sequence[tuple[Any, ...]]) -> str:
    """What the database has lost, for an operator."""
    first = events[0][-1] if events else last + 1
    gone = (
        f"; the events {there + 1} to {first - 1} are lost for good" if first > there + 1 else ""
    )
    return (
        f"the database lost the events {there + 1} to {last}, and their commands{gone}. What the "
        "gateway knew of them is written again; no start is accepted until `devgate db "
        "confirm-loss`"
    )


def disposable(row: Row) -> bool:
    return row.kind in DISPOSABLE


class Journal:
    """Writes batches of rows. Only one thread at a time may use it.

    Few statements, each for many rows: between two of them a thread needs the
    interpreter's lock again, and the loop is busiest when most is to be written.
    """

    def __init__(self, database: Database) -> None:
        # After a loss, go on without an operator's word once it is written again.
        self.resume = False
        self._database = database
        self._fence = database.fence
        self._conn: Connection | None = None
        self._committing = False  # COMMIT may have been sent: it may have been carried out
        self._mark = "?" if database.dialect == "sqlite" else "%s"
        self._statement = lru_cache(maxsize=128)(self._make)
        with database.read() as conn:
            newest = conn.execute(_EVENTS.order_by(event.c.n.desc()).limit(1)).first()
        self._recent = Recent(None if newest is None else tuple(newest))
        self.last: int = 0 if newest is None else newest.n

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
            if self._database.files is not None:
                self._check_files(self._database.files, fresh)
            with conn.begin():
                if self._fence is not None:
                    self._fence.check(conn, first=fresh)
                    if not rows and fresh:  # it failed before: an answer does for nothing
                        self._fence.touch(conn)
                if fresh:
                    self._check_newest(conn)
                    found = self._beyond(conn)
                    there = {values[:-1] for values in found}
                    told = [values for values in told if values not in there]
                first = self.last + len(found) + 1
                events = [(*values, number) for number, values in enumerate(told, first)]
                for kind, values in (*by_kind.items(), ("event", events)):
                    self._write(conn, kind, values)
                self._committing = True
            if fresh and self._database.files is not None:
                self._database.files.opened_log()
        except (Behind, _Lost):
            raise self._written_again() from None
        except BaseException:
            self.close()  # another connection may find the database in better health
            raise
        self.last += len(found) + len(events)
        self._recent.add(by_kind, found + events, self.last)
        return found + events

    def _check_files(self, files: Files, fresh: bool) -> None:
        """Raises StoreError if SQLite's files are not those that were opened."""
        files.check()
        if not fresh:
            try:
                files.check_log()
            except StoreError:
                # With the last connection what the log holds goes into the database's file.
                self.close()
                self._database.drop_connections()
                raise

    def _check_newest(self, conn: Connection) -> None:
        """A database that answers on a new connection may be another one: a replica that took
        over, a copy that was restored. Raises _Lost if the newest event is not the last one
        that was committed here."""
        newest = self._recent.newest
        if newest is not None:
            row = conn.execute(_EVENTS.where(event.c.n == newest[-1])).first()
            if row is None or tuple(row) != newest:
                raise _Lost

    def _written_again(self) -> Exception:
        """The database lost rows. What is known of them is written again, with the numbers that
        were told. Returns what to raise: the batch at hand is tried again behind that."""
        try:
            conn = self._conn
            assert conn is not None, "it has just been asked"
            with conn.begin():
                known = self._common(conn)
                if known > self.last:
                    return Fenced("the database holds events of another gateway, and lost ours")
                rows, events = self._recent.since(known)
                words = _loss(known, self.last, events)
                if self._fence is not None:
                    self._fence.restore(conn, None if self.resume else words)
                for kind, values in (*rows.items(), ("event", events)):
                    self._write(conn, kind, values)
        except BaseException:
            self.close()
            raise
        self.close()
        log.error("the database lost rows, and they were written again reason=%s", words)
        if not self.resume:
            self._database.loss = words
        return StoreError(words)

    def _common(self, conn: Connection) -> int:
        """The number of the newest event that is there."""
        return conn.scalar(select(func.coalesce(func.max(event.c.n), 0))) or 0

    def close(self) -> None:
        """Give the connection back. The journal may be used again all the same."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(SQLAlchemyError):  # it may have been broken before
                conn.close()

    def _beyond(self, conn: Connection) -> list[tuple[Any, ...]]:
        """Events that are on disk and that nobody here knows of."""
        query = _EVENTS.where(event.c.n > self.last).order_by(event.c.n)
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
