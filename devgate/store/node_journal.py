"""The one transaction of a node: all that waited, each row under its condition, events last.

The rows decide, and nothing else: messages between nodes, clocks and leases only save time. Locks
are taken in the same order by every node: its own row of `node`, devices by IMEI, commands by id,
the row `cluster` with the number of the newest event.

- A command becomes `sent` only while the row of its device names this incarnation and the
  connection that it is for; that row is locked until the commit.
- A device is claimed by whoever registered it last. The claim brings the device's open commands:
  from then on they are this node's.
- What another node has changed is not overwritten, and has no event: the caller is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.node_commits import KEY_SPENT, MOVED, WRITTEN, Committed
from devgate.store.node_devices import Devices, asks
from devgate.store.node_losses import Losses
from devgate.store.node_rows import (
    STATE,
    NodeBatch,
    ends,
    gathered,
    insert_fresh,
    update_known,
    upsert,
)
from devgate.store.nodes import TRUST_SECONDS, Member, add_events, boottime, set_up_session
from devgate.store.numbering import Values
from devgate.store.verdicts import resolve

if TYPE_CHECKING:
    from devgate.config.settings import StoreSettings

TRIES = 3  # of a transaction that ended in a deadlock or waited too long for a lock
ROLLED_BACK = ("40P01", "55P03", "40001")  # deadlock, lock_timeout, serialization failure

_BEAT = text(
    "UPDATE node SET beat = beat + 1, devices = :devices, running = :running, "
    "in_flight = :in_flight, pid = pg_backend_pid() "
    "WHERE id = :id AND incarnation = :incarnation AND alive RETURNING beat, draining, "
    "extract(epoch FROM clock_timestamp())::float8 AS now, (SELECT lost FROM owner) AS lost"
)
_NOBODYS = text("UPDATE presence SET node = NULL, incarnation = NULL WHERE imei = ANY(:imeis)")


class Lost(Exception):
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
    ) -> None:
        """`seen`: the number of the newest event of all nodes that this one has seen."""
        self.member = member
        self.trusted_until = boottime() + TRUST_SECONDS  # by boottime()
        self.clock_ahead = 0.0  # seconds by which the database's clock is ahead of this one's
        self.devices = self.running = self.in_flight = 0  # what the node's row says of its load
        self._devices = Devices(member, late_window)
        self._losses = Losses(database, member, seen)
        self._database = database
        self._conn: Connection | None = None
        self._beat = 0  # of the last commit that was confirmed
        # The rows of a commit of which nobody knows whether it was carried out.
        self._doubtful: Sequence[Row] = ()
        self._committing = False
        with database.read() as conn:
            self.last = conn.scalar(text("SELECT coalesce(max(n), 0) FROM event")) or 0

    def apply(self, settings: StoreSettings) -> None:
        """Nothing of a node's journal depends on them."""

    def trusted(self) -> bool:
        """Whether nobody can have declared this node dead yet."""
        return boottime() < self.trusted_until

    def commit(self, rows: Sequence[Row]) -> Committed:
        """Write those rows whose conditions hold, or raise and have written none, as far as that
        can be known. Raises Fenced once this incarnation was declared dead."""
        for attempt in range(1, TRIES + 1):
            fresh = self._conn is None
            try:
                return self._commit(rows)
            except DBAPIError as err:
                self.close()
                if self._committing:
                    self._doubtful = rows
                    raise
                again = getattr(err.orig, "sqlstate", None) in ROLLED_BACK
                # A server that was restarted while nothing was written is found out here.
                again = again or (err.connection_invalidated and not fresh and attempt == 1)
                if not again or attempt == TRIES:
                    raise
            except Lost:
                self.close()
                raise self._loss() from None
            except BaseException:
                self.close()
                if self._committing:
                    self._doubtful = rows
                raise
        raise AssertionError("the last try has returned or raised")

    def _commit(self, rows: Sequence[Row]) -> Committed:
        began = boottime()
        self._committing = False
        conn = self._conn = self._conn or self._connect()
        done = Committed()
        with conn.begin():
            beat, lost = self._prove(conn, done)
            if self._doubtful and beat == self._beat + 2:
                rows = list(_not_written(rows, {id(row) for row in self._doubtful}))
            batch = gathered(rows)
            self._write(conn, batch, lost, done)
            self._committing = True
        self._committing = False
        self._doubtful = ()
        self._beat = beat
        self.trusted_until = began + TRUST_SECONDS
        if done.events:
            self.last = done.events[-1][-1]
        self._losses.committed(batch, done, self.clock_ahead, beat)
        return done

    def _connect(self) -> Connection:
        conn = self._database.connected()
        try:
            set_up_session(conn, self.member.id)
            conn.commit()
            self._look(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def _look(self, conn: Connection) -> None:
        """On a new session. Raises StoreError where rows were lost, or nothing may be written
        before other nodes have looked."""
        began = boottime()
        found = self._losses.look(conn, self._beat, doubtful=bool(self._doubtful))
        if found is not None:  # else the beat finds out why
            self._beat, self.trusted_until = found.beat, began + TRUST_SECONDS
            if found.why is not None:
                raise found.why

    def _prove(self, conn: Connection, done: Committed) -> tuple[int, str | None]:
        """Beat: with this row locked nobody can declare this node dead. Raises Fenced and Lost."""
        values = {
            "id": self.member.id, "incarnation": self.member.incarnation,
            "devices": self.devices, "running": self.running, "in_flight": self.in_flight,
        }  # fmt: skip
        asked = time()
        row = conn.execute(_BEAT, values).first()
        if row is None:
            raise self._fenced(conn)
        if row.beat <= self._beat:
            raise Lost
        if (took := time() - asked) < 0.2:  # a longer one says too little of the clock
            self.clock_ahead = row.now - asked - took / 2
        done.draining = row.draining
        self._database.loss = row.lost
        return row.beat, row.lost

    def _fenced(self, conn: Connection) -> Exception:
        row = conn.execute(
            text("SELECT incarnation, alive FROM node WHERE id = :id"), {"id": self.member.id}
        ).first()
        if row is None or row.incarnation < self.member.incarnation:
            return Lost()
        return Fenced(
            f"the node {self.member.id} was declared dead by the others, for its commits came "
            "too late; it sends nothing more and ends"
        )

    def _loss(self) -> Exception:
        """The beat has gone back. It is seen on a new session what that means."""
        try:
            self._connect().close()
        except (StoreError, SQLAlchemyError) as err:
            return err
        return self._losses.end()

    def close(self) -> None:
        """Give the connection back. The journal can be used again."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(SQLAlchemyError):
                conn.close()

    # What one transaction does, in the order of its locks

    def _write(
        self, conn: Connection, batch: NodeBatch, lost: str | None, done: Committed
    ) -> None:
        events = list(batch.events)
        held = self._devices.write(conn, batch, events, done, self.clock_ahead)
        events += resolve(conn, batch.verdicts)  # by what the rows were before this commit
        self._commands(conn, batch, held, lost, events, done)
        for kind, rows in batch.plain.items():
            upsert(conn, kind, list(rows.values()))
        if events:
            done.events = add_events(
                conn, events, set(batch.commands), lambda rows: upsert(conn, "event", rows)
            )

    def _commands(
        self,
        conn: Connection,
        batch: NodeBatch,
        held: dict[str, tuple[bool, int | None, int]],
        lost: str | None,
        events: list[Values],
        done: Committed,
    ) -> None:
        fresh: list[Values] = []
        known: list[Values] = []
        for id, row in batch.commands.items():
            if (why := self._refusal(row, held, lost)) is not None:
                done.refused[id] = why
            else:
                (fresh if row.fresh else known).append(row.values)
        there = insert_fresh(conn, fresh, self.member.incarnation) if fresh else set()
        waiting = {
            values[1] for values in fresh
            if values[0] in there and values[STATE] == "waiting"
            and held[values[1]][1] != self.member.incarnation
        }  # fmt: skip
        if waiting:
            # Whoever had the device before does not know of this, and this node not of what that
            # one has under way: whichever claims it next has to look.
            conn.execute(_NOBODYS, {"imeis": sorted(waiting)})
        if known:
            ending = {id for id, row in batch.commands.items() if ends(row)}
            there |= update_known(conn, known, ending, self.member.incarnation)
        for id, row in batch.commands.items():
            if id in there:
                events += row.events
            elif id not in done.refused:
                if row.fresh:
                    done.refused[id] = WRITTEN if row.values[STATE] == "ended" else KEY_SPENT
                else:
                    done.foreign[id] = row.ended
                    done.refused[id] = MOVED
            if (refused := done.refused.get(id)) is not None:
                done.fates += [(fate, refused) for fate in row.fates]

    def _refusal(
        self, row: Any, held: dict[str, tuple[bool, int | None, int]], lost: str | None
    ) -> str | None:
        """Why a command may not be written as it stands."""
        if not asks(row):
            return None
        online, incarnation, generation = held[row.values[1]]
        if row.values[STATE] == "sent":
            if lost is not None:
                return lost
            mine = online and incarnation == self.member.incarnation
            return None if mine and generation == row.generation else MOVED
        # It waits here: not while another node has the device.
        return MOVED if online and incarnation != self.member.incarnation else None


def _not_written(rows: Sequence[Row], there: Set[int]) -> Iterator[Row]:
    """Without those that are on disk, by their id(). What became of a claim is still asked."""
    for row in rows:
        if id(row) not in there:
            yield row
        elif row.kind == "device":
            yield row._replace(values=(row.values[0], []))
