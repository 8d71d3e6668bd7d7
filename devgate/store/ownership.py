"""Who may write into a database: a lock that refuses a second gateway, and an epoch that fences
the first.

The lock refuses a second gateway early, with a clear message. Its holder can lose it without
noticing (a server is restarted, a file is removed, a session is ended), so nothing relies on it.
The row `owner` decides: a takeover raises its epoch by one. Each commit of a gateway reads the
epoch within its own transaction; if it has changed, this and all further commits fail.

The nodes of a cluster have an incarnation each, in place of one epoch for the database: see
`nodes`. A gateway that works alone and nodes of a cluster exclude one another here.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Row, case, select, text, update

from devgate.errors import Fenced, StoreError
from devgate.model import iso
from devgate.store.modes import lock_file
from devgate.store.node_tables import node, owner

if TYPE_CHECKING:
    from devgate.store.trips import Trips

CLOSE_SECONDS = 0.5  # that PostgreSQL may take to end a session that this process has closed
CLAIMING = 0x64657668  # the second key of PostgreSQL's advisory lock; the first is the schema

# Server-side keep-alives of the session that holds the lock: PostgreSQL's default is that of the
# kernel, two hours. For so long a gateway that lost its power would block the next one.
KEEPALIVES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

_TRY = text("SELECT pg_try_advisory_lock(hashtext(current_schema()), :number)")
_SET = text(
    "SELECT " + ", ".join(f"set_config('{k}', '{v}', false)" for k, v in KEEPALIVES.items())
)
_WHO = text("""
    SELECT a.pid, host(a.client_addr) AS address, a.backend_start FROM pg_locks l
    JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.objid = :number
      AND l.classid = hashtext(current_schema())::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


class LockHeld(Exception):
    """Another gateway holds the lock; the text says which one."""


class Behind(Exception):
    """The database does not have the takeover of this gateway: it lost its newest rows."""


class Owner(NamedTuple):
    """The owner of a database, after a takeover."""

    epoch: int
    taken_at: float  # with the epoch it is unique: a database that lost rows may count twice
    database: str  # the database's own id, 32 hexadecimal digits
    lost: str | None  # why no start is accepted until an operator has confirmed it


def this_process() -> str:
    """This process as the holder of a database: its number and the name of its host."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def take_over(conn: Connection, above: int = 0) -> Owner:
    """Make this process the owner. The caller commits.

    Waits for a commit that is under way; every later commit of another gateway fails. `above`: the
    highest epoch that was ever seen in this database. The new epoch is higher, even if the
    database lost the newest takeover: otherwise the gateway of that takeover would not be fenced.
    """
    holder = {"holder": this_process(), "taken_at": time()}
    if conn.dialect.name == "postgresql":
        conn.execute(update(node).where(node.c.alive).values(alive=False))  # fences nodes, too
    o = owner.c
    highest = case((o.epoch < above, above), else_=o.epoch)
    conn.execute(update(owner).values(epoch=highest + 1, **holder))
    return Owner(*conn.execute(select(o.epoch, o.taken_at, o.database, o.lost)).one())


# Without a row it divides by zero, so that the statements after it in the trip are not carried
# out.
DISOWNED = "22012"
_GUARD = (
    "SELECT 1 / count(*) FROM (SELECT 1 FROM owner "
    "WHERE epoch = $1::bigint AND taken_at = $2::float8 FOR SHARE) AS own"
)


_HOLDER = "SELECT epoch, holder, taken_at FROM owner"


class Fence:
    """Compares the epoch of one gateway with the database's, inside a commit's transaction."""

    def __init__(self, owner: Owner, dialect: str) -> None:
        self.owner = owner
        query = "SELECT epoch, taken_at FROM owner"
        # SQLite has one writer at a time. PostgreSQL: a takeover waits for the commits that have
        # read the row; the first commit on a connection also waits for one whose connection broke.
        locked = dialect == "postgresql"
        self._usual = f"{query} FOR SHARE" if locked else query
        self._first = f"{query} FOR UPDATE" if locked else query
        self._expected = (owner.epoch, owner.taken_at)

    def guard(self, trips: Trips) -> None:
        """check() as a statement of this trip, which fails with DISOWNED where check() raises an
        error."""
        trips.ask(_GUARD, *self._expected)

    def check(self, conn: Connection, *, first: bool) -> None:
        """Raises Fenced if another gateway has taken over. `first`: on a new connection.

        Raises Behind if the database does not know this gateway's takeover.
        """
        row = conn.exec_driver_sql(self._first if first else self._usual).first()
        if row != self._expected:
            raise self._not_ours(conn.exec_driver_sql(_HOLDER).first())

    def check_sqlite(self, session: sqlite3.Connection) -> None:
        """check() on a raw connection of SQLite that is not new."""
        if session.execute(self._usual).fetchone() != self._expected:
            raise self._not_ours(session.execute(_HOLDER).fetchone())

    def restore(self, conn: Connection, lost: str | None) -> None:
        """Own a database that has lost rows, and note that there."""
        values = {"epoch": self.owner.epoch, "taken_at": self.owner.taken_at, "lost": lost}
        conn.execute(update(owner).values(holder=this_process(), **values))

    def touch(self, conn: Connection) -> None:
        """Write a row without a change, to test whether rows can be written."""
        conn.exec_driver_sql("UPDATE owner SET epoch = epoch")

    def _not_ours(self, row: Row[Any] | tuple[Any, ...] | None) -> Behind | Fenced:
        who = "the row of its owner is gone"
        if row is not None:
            epoch, holder, taken_at = row
            if epoch < self.owner.epoch:
                return Behind()
            who = f"{holder} took it over at {iso(taken_at)} (epoch {epoch})"
        return Fenced(
            f"the database has another owner: {who}, and this gateway's epoch is "
            f"{self.owner.epoch}; it sends nothing more and ends"
        )


class FileLock:
    """SQLite: the file `<database>.lock`, locked while this process lives; it names its holder."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._file = -1

    def acquire(self) -> None:
        """Lock the file, without waiting. Raises LockHeld if another process has it, with its
        name."""
        self._file = lock_file(self._path, 0o660)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = os.pread(self._file, 200, 0).decode("utf-8", "replace").strip()
            self.release()
            raise LockHeld(who or "a process that does not name itself") from None
        self.name_holder()

    @property
    def file(self) -> int:
        """The descriptor that holds the lock. A process that receives it holds the lock, too."""
        return self._file

    def adopt(self, file: int) -> None:
        """Hold the lock by a descriptor that another process had."""
        self._file = file

    def name_holder(self) -> None:
        """Write into the file who has the lock."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, this_process().encode() + b"\n", 0)

    def release(self) -> None:
        """Give the lock up; the second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def lock_session(conn: Connection) -> None:
    """PostgreSQL: the advisory lock, held while this session lives. Raises LockHeld."""
    keep_alive(conn)
    locked = conn.scalar(_TRY, {"number": CLAIMING})
    holder = None if locked else holding_session(conn)
    conn.commit()
    if not locked:
        raise LockHeld(holder or "a session that has just ended")


def lock_again(conn: Connection, fence: Fence) -> None:
    """Lock again, because the session that held the lock is gone. Raises StoreError if another
    gateway has the lock, and Fenced if that one owns the database by now."""
    until = monotonic() + CLOSE_SECONDS
    while True:
        try:
            return lock_session(conn)
        except LockHeld as held:
            # If the database lost the takeover, its epoch decides nothing: the lock may still be
            # held by this gateway's own session, which the server has not ended yet.
            with suppress(Behind), conn.begin():
                fence.check(conn, first=True)
            if monotonic() > until:
                raise StoreError(f"another gateway works with this database ({held})") from None
        sleep(0.02)


def keep_alive(conn: Connection) -> None:
    """PostgreSQL: let the server notice soon that this session is gone."""
    conn.execute(_SET)


def holding_session(conn: Connection) -> str | None:
    """PostgreSQL: a text that names the session with the advisory lock; None if none has it."""
    row = conn.execute(_WHO, {"number": CLAIMING}).first()
    if row is None:
        return None
    return (
        f"a session from {row.address or 'a local socket'}, "
        f"PostgreSQL's process {row.pid}, since {iso(row.backend_start.timestamp())}"
    )


def note_loss(conn: Connection, words: str) -> None:
    """The database lost rows: no start is accepted until an operator has confirmed it."""
    conn.execute(update(owner).values(lost=words))


def confirm_loss(conn: Connection) -> str | None:
    """An operator confirms that the database lost rows: starts are accepted again. Returns what
    was lost; None if there was nothing to confirm."""
    lost: str | None = conn.scalar(select(owner.c.lost))
    conn.execute(update(owner).values(lost=None))
    return lost
