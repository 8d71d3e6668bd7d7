"""The journal: one transaction writes a batch of rows."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store import sqlite_commit
from devgate.store.batch import EVENT_COLUMNS, Batch, Numbering, Row, Statements, make_batch
from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.files import FilesChanged
from devgate.store.json_rows import write_plain
from devgate.store.numbering import Values
from devgate.store.ownership import DISOWNED, Behind, Fence
from devgate.store.recent import Recent
from devgate.store.succession import unlock
from devgate.store.verdicts import VERDICT, as_rows, resolve, write_again

if TYPE_CHECKING:
    from devgate.config.store import StoreSettings
    from devgate.store.trips import Trips

log = logging.getLogger("devgate.store")


_EVENTS = select(*EVENT_COLUMNS)


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


def _newest(database: Database) -> Recent:
    with database.read() as conn:
        newest = conn.execute(_EVENTS.order_by(event.c.n.desc()).limit(1)).first()
    return Recent(None if newest is None else tuple(newest))


def resume_of(settings: StoreSettings) -> bool:
    """`resume` of a Journal."""
    return settings.after_loss == "resume"


class Journal:
    """Writes batches of rows. Only one thread at a time may use it.

    It uses few statements, each for many rows: after each one the thread must wait for the
    interpreter's lock, and the loop is busy when there are many rows.
    """

    def __init__(self, database: Database, *, resume: bool = False) -> None:
        """`resume`: after a loss, go on once it is written again, without an operator."""
        self._resume = resume
        self._database = database
        self._fence = database.fence
        self._conn: Connection | None = None
        self._trips: Trips | None = None  # on that connection; of PostgreSQL only
        self._committing = False  # COMMIT may have been sent: it may have been carried out
        self._one_trip = False  # ... with all that was before it
        self._sql = Statements(database.dialect)
        self._numbering = Numbering()
        self._recent = _newest(database)

    def apply(self, settings: StoreSettings) -> None:
        """Act on a loss as these settings say, from the next one on."""
        self._resume = resume_of(settings)

    @property
    def last(self) -> int:
        """The number of the newest event that is known to be on disk; 0 if there never was one."""
        newest = self._recent.newest
        return 0 if newest is None else int(newest[-1])

    def begin_again(self) -> int:
        """Another gateway has written until now: continue after its last event. Returns the number
        of that event."""
        self._numbering = Numbering()
        self._recent = _newest(self._database)
        return self.last

    def unlock(self) -> None:
        """PostgreSQL: give up the lock, which this journal's session holds, to the gateway that
        waits for it. The next commit takes it again, if nobody has it."""
        conn = self._conn = self._conn or self._database.held()
        try:
            unlock(conn)
        finally:
            self.close()

    def commit(self, rows: Sequence[Row]) -> list[Values]:
        """Write all of them, or raise and have written none. Returns the events, numbered.

        If a connection breaks during COMMIT, it is not known whether that was carried out. So
        after an error, events that were found in the database come first in the result, and are
        not written again. Raises Fenced if another gateway owns the database by now.
        """
        reused = self._conn is not None
        try:
            return self._commit(rows)
        except DBAPIError as err:
            # A server that was restarted while nothing was written is found out here. A new
            # connection is as good as the old one was, and sees what has become of a trip. It
            # also says who owns the database, where this gateway does not any more.
            known = self._one_trip or not self._committing
            disowned = getattr(err.orig, "sqlstate", None) == DISOWNED
            if not (reused and known and (err.connection_invalidated or disowned)):
                raise
        return self._commit(rows)

    def _commit(self, rows: Sequence[Row]) -> list[Values]:
        batch = make_batch(rows)
        self._committing = self._one_trip = False
        files = self._database.files
        try:
            fresh = self._conn is None
            conn = self._conn = self._conn or self._database.held()
            if fresh or not rows or batch.verdicts or self._fence is None:
                events = self._step_by_step(conn, batch, fresh, empty=not rows)
            else:
                events = self._numbering.number(batch.events, self._recent.newest)
                if self._database.dialect == "postgresql":
                    self._in_one_trip(conn, self._fence, batch, events)
                else:
                    statements = self._sql.of(batch.written(events))
                    sqlite_commit.commit(conn, self._fence, files, statements)
        except (Behind, _Lost):
            raise self._written_again() from None
        except FilesChanged:
            # SQLite makes its log and the index of it anew only after the last connection ended.
            self._database.drop_connections()
            self.close()
            raise
        except BaseException as err:
            # Another connection may find the database in better health.
            try:
                if files is not None and isinstance(err, (DBAPIError, sqlite3.Error)):
                    files.look_after(err)
            except FilesChanged:
                self._database.drop_connections()
                raise
            finally:
                self.close()
            raise
        self._recent.add(batch.by_kind, events, events[-1][-1] if events else self.last)
        return events

    def _step_by_step(
        self, conn: Connection, batch: Batch, fresh: bool, empty: bool
    ) -> list[Values]:
        """A commit that must read first: on a new connection (`fresh`), of no rows (`empty`), or
        with verdicts. Returns its events, behind those that were there already."""
        files, found = self._database.files, list[Values]()
        with conn.begin():
            if files is not None:  # under the writer's lock
                files.opened() if fresh else files.look()
            if self._fence is not None:
                self._fence.check(conn, first=fresh)
                if empty and fresh:  # it failed before: reading is not enough as a test
                    self._fence.touch(conn)
            if fresh:
                self._check_newest(conn)
                found = self._beyond(conn)
            written = batch.events
            if batch.verdicts:  # by what the rows were before this commit: so they come first
                written = resolve(conn, batch.verdicts) + written
                batch.by_kind[VERDICT] = as_rows(batch.verdicts)
            events = self._numbering.number(written, self._recent.newest, found)
            self._write(conn, batch, events)
            self._committing = True
        return found + events

    def _in_one_trip(
        self, conn: Connection, fence: Fence, batch: Batch, events: list[Values]
    ) -> None:
        """The usual commit, to PostgreSQL: half of the CPU time of one statement by statement."""
        self._one_trip = True
        trips = self._trips
        if trips is None:
            # With it comes psycopg, which a gateway with SQLite need not load.
            from devgate.store.trips import Trips

            trips = self._trips = Trips(conn, shared=True)
        trips.ask("BEGIN")
        fence.guard(trips)
        for kind, rows in batch.written(events):
            write_plain(trips, kind, rows)
        trips.ask("COMMIT")
        trips.go()

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
        """Write remembered rows that the database has lost, with the same event numbers. Returns
        the error to raise: then the current batch is tried again."""
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
                    self._fence.restore(conn, None if self._resume else words)
                self._write(conn, Batch([], rows), events)
                write_again(conn, rows.get(VERDICT, {}))
        except BaseException:
            self.close()
            raise
        self.close()
        log.error("the database lost rows, and they were written again reason=%s", words)
        if not self._resume:
            self._database.loss = words
        return StoreError(words)

    def _common(self, conn: Connection) -> int:
        """The number of the newest event that is there."""
        return conn.scalar(select(func.coalesce(func.max(event.c.n), 0))) or 0

    def close(self) -> None:
        """Give the connection back. The journal can be used again."""
        conn, self._conn = self._conn, None
        trips, self._trips = self._trips, None
        if conn is not None:
            with suppress(SQLAlchemyError):  # it may have been broken before
                if trips is not None:  # it may be in the middle of one
                    trips.close()
                    conn.invalidate()
                conn.close()

    def _beyond(self, conn: Connection) -> list[Values]:
        """Events that are on disk and unknown to this process."""
        query = _EVENTS.where(event.c.n > self.last).order_by(event.c.n)
        return [tuple(row) for row in conn.execute(query)]

    def _write(self, conn: Connection, batch: Batch, events: list[Values]) -> None:
        for sql, values in self._sql.of(batch.written(events)):
            conn.exec_driver_sql(sql, values)
