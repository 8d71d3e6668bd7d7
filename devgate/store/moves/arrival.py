"""The last step of a move: a gateway continues with PostgreSQL where the one with SQLite ended.

The row `owner` of SQLite decides. As long as it names the gateway that works with SQLite, that one
goes on. Once it says that the database was moved, PostgreSQL has every row: the next gateway that
starts with it completes the move.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from devgate.errors import SetupError
from devgate.store.moves import target
from devgate.store.moves.copying import catch_up
from devgate.store.moves.source import MoveSource, NotesMissing
from devgate.store.moves.target import COMPARED, Move
from devgate.store.ownership import FileLock, LockHeld, Owner, this_process

if TYPE_CHECKING:
    from devgate.store.engine import Database

MOVE_AGAIN = (
    "run `devgate db move` again, and leave [store] url at the SQLite database until it is done"
)

log = logging.getLogger("devgate.store")


class Arrival:
    """Moves from SQLite to its copy in PostgreSQL, which lacks only the last changes."""

    def __init__(self, database: Database, move: Move) -> None:
        """Raises SetupError if the copy cannot be used yet."""
        self._database = database
        self._move = move
        self._lock: FileLock | int | None = None
        shown = database.url_shown
        if move.host != socket.gethostname() or not Path(move.source).exists():
            raise SetupError(
                f"{shown} is the copy of {move.source} on {move.host}, and not all rows are "
                f"there: its last step is made on that machine; {MOVE_AGAIN}"
            )
        self._source = MoveSource(Path(move.source))
        try:
            found = self._source.move()
            self._is_moved = found == (move.id, True)
            if not self._is_moved and move.state != COMPARED:
                raise SetupError(f"{shown} has not all rows of {move.source} as yet; {MOVE_AGAIN}")
        except BaseException:
            self._source.close()
            raise

    def must_be_of(self, former: Owner) -> None:
        """Raises SetupError unless that gateway works with the SQLite database."""
        if self._source.owner() != (former.epoch, former.taken_at, former.database):
            raise SetupError(
                f"{self._database.url_shown} is the copy of {self._move.source}, and the gateway "
                "that runs works with another database",
                status="409",
            )

    def lock(self) -> None:
        """Keep gateways from the SQLite database. Raises SetupError if one works with it."""
        lock = FileLock(self._source.file)
        try:
            lock.acquire()
        except LockHeld as held:
            raise SetupError(
                f"a gateway works with {self._source.file} ({held}), of which "
                f"{self._database.url_shown} is the copy: stop it first, or let it hand over by "
                "`devgate upgrade`",
            ) from None
        self._lock = lock

    def locked_by(self, file: int) -> None:
        """Use that lock by a descriptor of another process."""
        self._lock = file

    def catch_up(self) -> None:
        """Bring the copy up to date with the SQLite database. Raises SetupError."""
        with target.in_sentences(), self._target() as (conn, move), self._source.reading():
            self._caught_up(conn, move)

    def end(self, owner: Owner | None = None) -> None:
        """Complete the move: nothing is written into SQLite any more. `owner`: who has the copy
        from now on. Raises SetupError. Then SQLite is as it was, unless its row `owner` says that
        it was moved: in that case the next start completes the move."""
        with target.in_sentences():
            self._end(owner, this_process(), time())
        log.warning(
            "the database was moved from=%s to=%s", self._source.file, self._database.url_shown
        )

    def _end(self, owner: Owner | None, holder: str, now: float) -> None:
        if not self._is_moved:
            with self._source.writing():
                with self._target() as (conn, move):
                    self._caught_up(conn, move)
                epoch, _, _ = self._source.owner()
                self._source.give_away(epoch + 1, now, holder, self._database.url_shown)
            self._is_moved = True
        values: dict[str, Any] | None = None
        if owner is not None:
            values = {"epoch": owner.epoch, "taken_at": owner.taken_at, "holder": holder}
        with self._target() as (conn, _):
            target.complete(conn, values)

    def close(self) -> None:
        """Let go of the SQLite database."""
        self._source.close()
        lock, self._lock = self._lock, None
        if isinstance(lock, FileLock):
            lock.release()
        elif lock is not None:
            os.close(lock)

    @contextmanager
    def _target(self) -> Iterator[tuple[Connection, Move]]:
        with self._database.write() as conn:
            move = target.state(conn, lock=True)
            if move is None or move.id != self._move.id:
                raise SetupError(
                    f"{self._database.url_shown} was changed by another move; {MOVE_AGAIN}"
                )
            yield conn, move

    def _caught_up(self, conn: Connection, move: Move) -> None:
        if move.state != COMPARED:
            raise SetupError(f"{self._database.url_shown} is not whole any more; {MOVE_AGAIN}")
        try:
            catch_up(self._source, conn, move)
        except NotesMissing as gap:
            raise SetupError(
                f"not every change of {self._source.file} is in {self._database.url_shown}: "
                f"{gap}; {MOVE_AGAIN}"
            ) from None


def arriving(database: Database) -> Arrival | None:
    """The arrival in this database; None: it is not an unfinished copy. Raises SetupError."""
    if database.dialect != "postgresql":
        return None
    with database.read() as conn:
        move = target.state(conn)
    return None if move is None else Arrival(database, move)


def arrive(database: Database) -> None:
    """Make the last step, if it is the only one that this copy lacks. Raises SetupError."""
    arrival = arriving(database)
    if arrival is None:
        return
    try:
        arrival.lock()
        arrival.end()
    finally:
        arrival.close()
