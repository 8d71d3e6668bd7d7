"""The commit of a node: one transaction with all waiting rows, each under its condition.

Only the rows in the database decide. Messages between nodes, clocks and leases only save time. All
nodes take locks in the same order: their own row of `node`, devices by IMEI, commands by id, the
row `cluster` with the number of the newest event.

- A command becomes `sent` only if the row of its device has this incarnation and the connection
  that the command is for. That row is locked until the commit.
- A device is claimed by whoever registered it last. The claim brings the device's open commands:
  from then on they are this node's.
- A row that another node has changed is not overwritten, and gets no event. The caller is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store.batch import Row
from devgate.store.clock_ahead import RIGHT_SECONDS, ClockAhead
from devgate.store.engine import Database
from devgate.store.json_rows import write_plain
from devgate.store.node_commands import NodeCommands
from devgate.store.node_commits import MOVED, Committed
from devgate.store.node_devices import NodeDevices, found, held_of
from devgate.store.node_losses import Losses
from devgate.store.node_rows import NodeBatch, earlier, gathered, not_written
from devgate.store.node_statements import DISAGREED, write_events
from devgate.store.nodes import TRUST_SECONDS, Member, boottime, set_up_session
from devgate.store.numbering import Values
from devgate.store.trips import TripAnswer, Trips
from devgate.store.verdicts import resolve

if TYPE_CHECKING:
    from devgate.config.store import StoreSettings

TRIES = 3  # of a transaction that ended in a deadlock or waited too long for a lock
ROLLED_BACK = ("40P01", "55P03", "40001")  # deadlock, lock_timeout, serialization failure

_BEAT = (
    "UPDATE node SET beat = beat + 1, devices = $3, running = $4, in_flight = $5, "
    "pid = pg_backend_pid() WHERE id = $1 AND incarnation = $2 AND alive RETURNING beat, "
    "draining, extract(epoch FROM clock_timestamp())::float8, (SELECT lost FROM owner)"
)


class CommitLost(Exception):
    """The database has lost a commit of this node that it had confirmed."""


class NodeJournal:
    """Writes batches of a node. Only one thread at a time may use it."""

    def __init__(
        self,
        database: Database,
        member: Member,
        *,
        late_window: float,
        seen: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time,
    ) -> None:
        """`seen`: the number of the newest event of all nodes that this one has seen. `clock`:
        the one that the times of the rows are of."""
        self.member = member
        self.trusted_until = boottime() + TRUST_SECONDS  # by boottime()
        self.devices = self.running = self.in_flight = 0  # what the node's row says of its load
        self._devices = NodeDevices(member, late_window, clock)
        self._commands = NodeCommands(member)
        self._losses = Losses(database, member, seen)
        self._database = database
        self._conn: Connection | None = None
        self._trips: Trips | None = None  # on that connection
        self._time, self._clock = clock, ClockAhead(clock)
        self._beat = 0  # of the last commit that was confirmed
        # The rows of a commit that may or may not have been carried out.
        self._doubtful: Sequence[Row] = ()
        self._committing = False
        with database.read() as conn:
            self.last = conn.scalar(text("SELECT coalesce(max(n), 0) FROM event")) or 0

    def apply(self, settings: StoreSettings) -> None:
        """Nothing of a node's journal depends on them."""

    @property
    def clock_ahead(self) -> float:
        """Seconds by which the database's clock is ahead of this gateway's."""
        return self._clock.seconds

    def here(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command's row as it was read, with its times by this node's clock: as they are in
        memory, and from where commit() turns them into the database's again."""
        return earlier(row, self._clock.wrong)

    def trusted(self) -> bool:
        """Whether nobody can have declared this node dead yet."""
        return boottime() < self.trusted_until

    def commit(self, rows: Sequence[Row]) -> Committed:
        """Write the rows whose conditions hold. If it raises, none is written, unless the
        connection broke during COMMIT. Raises Fenced once this incarnation was declared dead."""
        for attempt in range(1, TRIES + 1):
            fresh = self._trips is None
            try:
                return self._commit(rows)
            except DBAPIError as err:
                self.close()
                if self._committing:
                    self._doubtful = rows
                    raise
                may_retry = getattr(err.orig, "sqlstate", None) in ROLLED_BACK
                # A server that was restarted while nothing was written is found out here.
                may_retry = may_retry or (
                    err.connection_invalidated and not fresh and attempt == 1
                )
                if not may_retry or attempt == TRIES:
                    raise
            except CommitLost:
                self.close()
                raise self._loss() from None
            except BaseException:
                self.close()
                if self._committing:
                    self._doubtful = rows
                raise
        raise AssertionError("the last try has returned or raised")

    def _commit(self, rows: Sequence[Row]) -> Committed:
        self._committing = False
        trips = self._trips = self._trips or self._connect()
        batch = gathered(rows)
        done = None
        if not self._doubtful and not batch.devices and not batch.verdicts:
            done = self._presuming(trips, batch)
        return done or self._step_by_step(trips, rows, batch)

    def _presuming(self, trips: Trips, batch: NodeBatch) -> Committed | None:
        """The usual case, in two trips: the rows are sent together with the checks of their
        conditions. None if a condition does not hold; then nothing is written."""
        began, done, events = boottime(), Committed(), list(batch.events)
        beat, locked = self._begin(trips), self._devices.lock(trips, batch)
        wrong = self._clock.wrong
        orders = self._commands.ask(trips, batch.commands.values(), wrong)
        for kind, rows in batch.plain.items():
            write_plain(trips, kind, rows.values())
        trips.go()
        number, lost = self._proven(trips, beat, done)
        held = held_of(found(locked))
        was_set = abs(self._clock.wrong - wrong) > RIGHT_SECONDS  # this node's clock
        if was_set or not all(
            self._commands.allowed(row, held, lost) for row in batch.commands.values()
        ):
            trips.rows("ROLLBACK")
            return None
        self._commands.finish(trips, batch, orders, held, events, done)
        return self._end(trips, batch, events, began, number, done)

    def _step_by_step(self, trips: Trips, rows: Sequence[Row], batch: NodeBatch) -> Committed:
        """Write step by step: each condition is checked before the statements that depend on
        it."""
        began, done, events = boottime(), Committed(), list(batch.events)
        beat, locked = self._begin(trips), self._devices.lock(trips, batch)
        trips.go()
        number, lost = self._proven(trips, beat, done)
        if self._doubtful and number == self._beat + 2:
            batch = gathered(not_written(rows, {id(row) for row in self._doubtful}))
            events = list(batch.events)
        held = self._devices.claim(trips, batch, locked, events, done, self.clock_ahead)
        if batch.verdicts and self._conn is not None:
            events += resolve(self._conn, batch.verdicts)  # by what the rows were before this
        for command, row in batch.commands.items():
            if (why := self._commands.refusal(row, held, lost)) is not None:
                done.refused[command] = why
        allowed = [row for one, row in batch.commands.items() if one not in done.refused]
        orders = self._commands.ask(trips, allowed, self._clock.wrong)
        for kind, plain in batch.plain.items():
            write_plain(trips, kind, plain.values())
        trips.go()
        self._commands.finish(trips, batch, orders, held, events, done)
        return self._end(trips, batch, events, began, number, done)

    def _connect(self) -> Trips:
        conn = self._conn = self._database.connected()
        set_up_session(conn, self.member.id)
        conn.commit()
        self._look(conn)
        return Trips(conn)

    def _look(self, conn: Connection) -> None:
        """Look for lost rows on a new session. Raises StoreError if rows were lost, or if nothing
        may be written before other nodes have looked."""
        began = boottime()
        found = self._losses.look(conn, self._beat, doubtful=bool(self._doubtful))
        if found is not None:  # else the beat finds out why
            self._beat, self.trusted_until = found.beat, began + TRUST_SECONDS
            if found.why is not None:
                raise found.why

    def _begin(self, trips: Trips) -> TripAnswer:
        """Begin with the beat: with this row locked nobody can declare this node dead."""
        trips.ask("BEGIN")
        self._clock.ask()
        return trips.ask(
            _BEAT, self.member.id, self.member.incarnation,
            self.devices, self.running, self.in_flight,
        )  # fmt: skip

    def _proven(self, trips: Trips, beat: TripAnswer, done: Committed) -> tuple[int, str | None]:
        """The beat's number, and why no start is accepted. Raises Fenced and CommitLost."""
        if not beat.rows:
            raise self._fenced(trips)
        number, draining, now, lost = beat.rows[0]
        if number <= self._beat:
            raise CommitLost
        self._clock.answered(now)
        done.draining, done.lost = draining, lost
        self._database.loss = lost
        return number, lost

    def _fenced(self, trips: Trips) -> Exception:
        rows = trips.rows("SELECT incarnation FROM node WHERE id = $1", self.member.id)
        if not rows or rows[0][0] < self.member.incarnation:
            return CommitLost()
        return Fenced(
            f"the node {self.member.id} was declared dead by the others, for its commits came "
            "too late; it sends nothing more and ends"
        )

    def _end(
        self,
        trips: Trips,
        batch: NodeBatch,
        events: Sequence[Values],
        began: float,
        number: int,
        done: Committed,
    ) -> Committed:
        """The events, with their numbers, and COMMIT."""
        if wrong := self._clock.wrong:
            events = [(values[0] + wrong, *values[1:]) for values in events]
        answer = write_events(trips, events, batch.commands.keys()) if events else TripAnswer()
        self._committing = True
        try:
            self._commits(trips)
        except DBAPIError as err:
            self._committing = not trips.skipped
            if trips.skipped and getattr(err.orig, "sqlstate", None) == DISAGREED:
                raise StoreError(
                    "the database has failed over, and not all nodes have looked yet"
                ) from None
            raise
        self._committing = False
        if batch.verdicts and self._conn is not None:
            self._conn.commit()  # for SQLAlchemy: the session is in no transaction by now
        self._doubtful = ()
        self._beat = number
        self.trusted_until = began + TRUST_SECONDS
        if events:
            done.events = [
                (at, *values[1:], n)
                for values, (n, at) in zip(events, sorted(answer.rows), strict=True)
            ]
            self.last = done.events[-1][-1]
        done.fates += [(fate, MOVED) for fate in batch.stale]
        self._losses.committed(batch, done, self.clock_ahead, number)
        return done

    def _commits(self, trips: Trips) -> None:
        trips.rows("COMMIT")

    def _loss(self) -> Exception:
        """The error for a beat that has gone back. A new session then finds out why."""
        try:
            self._connect()
        except (StoreError, SQLAlchemyError) as err:
            return err
        finally:
            self.close()
        return self._losses.end()

    def close(self) -> None:
        """Give the connection back. The journal can be used again."""
        trips, self._trips = self._trips, None
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(SQLAlchemyError):
                if trips is not None:
                    trips.close()
                    conn.invalidate()
                conn.close()
