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

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from devgate.errors import Fenced, StoreError
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.node_rows import (
    STATE,
    CommandRow,
    Fate,
    NodeBatch,
    PresenceRow,
    gathered,
    insert_fresh,
    update_known,
    upsert,
    write_presence,
)
from devgate.store.nodes import TRUST_SECONDS, Member, add_events, boottime, set_up_session
from devgate.store.numbering import Values

if TYPE_CHECKING:
    from devgate.config.settings import StoreSettings

BELIEVED_SECONDS = 30.0  # a registration so far in the future is one of a wrong clock
TRIES = 3  # of a transaction that ended in a deadlock or waited too long for a lock
ROLLED_BACK = ("40P01", "55P03", "40001")  # deadlock, lock_timeout, serialization failure
MOVED, KEY_SPENT, WRITTEN = "moved", "key", "id"  # why a row was refused

_BEAT = text(
    "UPDATE node SET beat = beat + 1, devices = :devices, running = :running, "
    "in_flight = :in_flight, pid = pg_backend_pid() "
    "WHERE id = :id AND incarnation = :incarnation AND alive RETURNING beat, draining, "
    "extract(epoch FROM clock_timestamp())::float8 AS now, (SELECT lost FROM owner) AS lost"
)
_LOCKED = text(
    "SELECT imei, online, since, address, running_until, generation, node, incarnation "
    "FROM presence WHERE imei = ANY(:imeis) ORDER BY imei FOR NO KEY UPDATE"
)
_MISSING = text(
    "INSERT INTO presence (imei) SELECT unnest(CAST(:imeis AS text[])) ON CONFLICT DO NOTHING"
)
_ALIVE = text("SELECT incarnation FROM node WHERE alive")
_OPEN = text(
    "SELECT id FROM command WHERE state <> 'ended' AND imei = ANY(:imeis) ORDER BY id "
    "FOR NO KEY UPDATE"
)
_TAKE = text(
    "UPDATE command SET incarnation = :incarnation WHERE state <> 'ended' AND imei = ANY(:imeis)"
)
_THEIRS = text(
    "SELECT * FROM command WHERE imei = ANY(:imeis) AND state <> 'ended' UNION ALL "
    "SELECT * FROM command WHERE imei = ANY(:imeis) AND status = '408' AND ended_at >= :since"
)
_NOBODYS = text("UPDATE presence SET node = NULL, incarnation = NULL WHERE imei = ANY(:imeis)")
_HELD = text("SELECT id, detail FROM open_results WHERE id = ANY(:ids) AND detail <> ''")
log = logging.getLogger("devgate.store")


class Claim(NamedTuple):
    """What became of a registration."""

    imei: str
    generation: int
    won: bool  # False: the device has registered at another node since
    # This node has had the device last: what it knows of its commands is right.
    current: bool = True
    other: int | None = None  # the incarnation of the living node that had it online
    commands: Sequence[dict[str, Any]] = ()  # its open commands, and 408s of the late window
    held: Sequence[tuple[str, str]] = ()  # its rows of open_results
    running_until: float | None = None


@dataclass(slots=True)
class Committed:
    """What one commit has done."""

    events: list[Values] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # by id of the command: why
    claims: list[Claim] = field(default_factory=list)
    moved: list[tuple[str, int]] = field(default_factory=list)  # devices that are another node's
    # Commands that another node has changed, by id, with what was handed over with the row.
    foreign: dict[str, Any] = field(default_factory=dict)
    fates: list[tuple[Fate, str]] = field(default_factory=list)  # of the refused rows, and why
    draining: bool = False


class Lost(Exception):
    """The database has lost a commit of this node that it had confirmed."""


class NodeJournal:
    """Writes batches of a node. Only one thread at a time may use it."""

    def __init__(self, database: Database, member: Member, *, late_window: float) -> None:
        self.member = member
        self.trusted_until = boottime() + TRUST_SECONDS  # by boottime()
        self.clock_ahead = 0.0  # seconds by which the database's clock is ahead of this one's
        self.devices = self.running = self.in_flight = 0  # what the node's row says of its load
        self.late_window = late_window
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
                there = {id(row) for row in self._doubtful}
                rows = [row for row in rows if id(row) not in there or row.kind == "device"]
            self._write(conn, gathered(rows), lost, done)
            self._committing = True
        self._committing = False
        self._doubtful = ()
        self._beat = beat
        self.trusted_until = began + TRUST_SECONDS
        if done.events:
            self.last = done.events[-1][-1]
        return done

    def _connect(self) -> Connection:
        conn = self._database.connected()
        try:
            set_up_session(conn, self.member.id)
            conn.commit()
        except BaseException:
            conn.close()
            raise
        return conn

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
        """The fleet takes no starts until an operator has confirmed it: what was lost may say that
        a start was sent, or that its key is spent."""
        words = (
            f"the database lost commits of the node {self.member.id} that it had confirmed; no "
            "start is accepted until `devgate db confirm-loss`"
        )
        self._database.loss = words
        try:
            with self._database.write() as conn:
                conn.execute(text("UPDATE owner SET lost = :words WHERE lost IS NULL"),
                             {"words": words})  # fmt: skip
        except (StoreError, SQLAlchemyError) as err:
            return StoreError(f"{words} ({err})")
        log.error("the database lost rows reason=%s", words)
        return Fenced(words)

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
        held = self._devices(conn, batch, events, done)
        self._commands(conn, batch, held, lost, events, done)
        for kind, rows in batch.plain.items():
            upsert(conn, kind, list(rows.values()))
        if events:
            done.events = add_events(
                conn, events, set(batch.commands), lambda rows: upsert(conn, "event", rows)
            )

    def _devices(
        self, conn: Connection, batch: NodeBatch, events: list[Values], done: Committed
    ) -> dict[str, tuple[bool, int | None, int]]:
        """Lock the devices that the batch is about, and claim those that have registered.

        Returns by IMEI: whether it is online, the incarnation that has it, the generation.
        """
        asking = {row.values[1] for row in batch.commands.values() if _asks(row)}
        imeis = sorted({*batch.devices, *asking})
        if not imeis:
            return {}
        rows = {row.imei: row for row in conn.execute(_LOCKED, {"imeis": imeis})}
        if missing := [imei for imei in imeis if imei not in rows]:
            # A row that is not there cannot be locked, and two nodes would both be the first.
            conn.execute(_MISSING, {"imeis": missing})
            rows |= {row.imei: row for row in conn.execute(_LOCKED, {"imeis": missing})}
        mine = self.member.incarnation
        held = {imei: (row.online, row.incarnation, row.generation) for imei, row in rows.items()}
        alive: set[int] | None = None
        written, claims = [], []
        for imei, device in batch.devices.items():
            row, values = rows[imei], device.values
            online, generation = values[1], values[5]
            same = row.incarnation == mine and row.generation == generation
            if not online:
                if row.incarnation not in (mine, None):
                    done.moved.append((imei, generation))
                elif row.online and row.generation <= generation:
                    # An older one: the connection has come and gone since the last commit.
                    written.append(values)
                    events += _alternating(device, row, mine)
                continue
            since = values[2] + self.clock_ahead
            values = (imei, True, since, *values[3:])
            if same and row.online:
                written.append(values)
                claims.append((Claim(imei, generation, True), row))
                continue
            other = None
            if row.online and row.incarnation != mine and row.incarnation is not None:
                if alive is None:
                    alive = set(conn.scalars(_ALIVE))
                if row.incarnation in alive:
                    other = row.incarnation
            believed = time() + self.clock_ahead + BELIEVED_SECONDS
            if other is not None and since < (row.since or 0.0) < believed:
                done.claims.append(Claim(imei, generation, False, other=other))
                continue
            written.append(values)
            current = row.incarnation == mine
            claims.append((Claim(imei, generation, True, current, other), row))
            events += _alternating(device, row, mine)
        if written:
            write_presence(conn, written, self.member.id, mine)
            for values in written:
                held[values[0]] = (values[1], mine, values[5])
        self._adopt(conn, claims, done)
        return held

    def _adopt(
        self, conn: Connection, claims: Iterable[tuple[Claim, Any]], done: Committed
    ) -> None:
        """Bring what is under way for devices that another node had before: with their rows
        locked no other node can add to it."""
        adopted = {claim.imei: (claim, row) for claim, row in claims if not claim.current}
        done.claims += [claim for claim, _ in claims if claim.current]
        if not adopted:
            return
        imeis = sorted(adopted)
        conn.execute(_OPEN, {"imeis": imeis})
        conn.execute(_TAKE, {"imeis": imeis, "incarnation": self.member.incarnation})
        since = time() + self.clock_ahead - self.late_window
        commands: dict[str, list[dict[str, Any]]] = {}
        for found in conn.execute(_THEIRS, {"imeis": imeis, "since": since}):
            commands.setdefault(found.imei, []).append(found._asdict())
        ids = [f"{imei}:{kind}" for imei in imeis for kind in ("QD", "ST")]
        results: dict[str, list[tuple[str, str]]] = {}
        for id, detail in conn.execute(_HELD, {"ids": ids}):
            results.setdefault(id.partition(":")[0], []).append((id, detail))
        for imei, (claim, row) in adopted.items():
            done.claims.append(
                claim._replace(
                    commands=commands.get(imei, ()),
                    held=results.get(imei, ()),
                    running_until=row.running_until,
                )
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
            ends = {id for id, row in batch.commands.items() if _ends(row)}
            there |= update_known(conn, known, ends, self.member.incarnation)
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
        if not _asks(row):
            return None
        online, incarnation, generation = held[row.values[1]]
        if row.values[STATE] == "sent":
            if lost is not None:
                return lost
            mine = online and incarnation == self.member.incarnation
            return None if mine and generation == row.generation else MOVED
        # It waits here: not while another node has the device.
        return MOVED if online and incarnation != self.member.incarnation else None


def _asks(row: Any) -> bool:
    """Whether a command's row depends on where its device is."""
    state = row.values[STATE]
    return (state == "sent" and row.generation is not None) or (state == "waiting" and row.fresh)


def _ends(row: CommandRow) -> bool:
    return any(event[1] == "command.ended" for event in row.events)


def _alternating(device: PresenceRow, row: Any, mine: int) -> list[Values]:
    """The events of this node about a device, so that online and offline alternate among those of
    all nodes. `row` is what the database says of the device."""
    found: list[Values] = []
    online, here = row.online, row.incarnation == mine
    for at, type, imei, command, detail in device.events:
        if type == "device.offline":
            if not (online and here):
                continue  # another node has told what became of that connection
            online = False
        else:
            more = json.loads(detail)
            if online and type == "device.online":
                type, more["displaced"] = "device.taken_over", row.address
            elif not online and type == "device.taken_over":
                type = "device.online"
                more.pop("displaced", None)
            detail = _compact(more)
            online = here = True
        found.append((at, type, imei, command, detail))
    imei, is_online, since, _, address, generation = device.values
    if is_online and not online and not here:
        # It was told when the connection began, and has been another node's since.
        detail = _compact({"address": address, "connection": generation})
        found.append((since, "device.online", imei, None, detail))
    return found


def _compact(detail: dict[str, Any]) -> str:
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
