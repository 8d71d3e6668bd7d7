"""`devgate db move`: copies all rows, and then changes, until a gateway uses PostgreSQL."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from sqlite3 import Error as SqliteError

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.history import newest_event
from devgate.store.migrating import MOVING, prepare, version_of
from devgate.store.move_check import must_be_empty, must_be_kinds
from devgate.store.moves import target
from devgate.store.moves.arrival import arriving
from devgate.store.moves.copying import Differs, OnProgress, catch_up, compared, copied
from devgate.store.moves.notes import MoverLock
from devgate.store.moves.source import MoveSource, NotesMissing, path_of
from devgate.store.moves.tables import KEYED, MOVED, SINGLE
from devgate.store.moves.target import COMPARED, COPYING, FOLLOWING, Move
from devgate.store.opening import opened
from devgate.store.schema import SCHEMA

FOLLOW_SECONDS = 1.0  # between two looks at what has changed
DELETE_AFTER_NOTES = 10_000  # notes that are read before they are deleted
ROOM_SECONDS = 10.0  # between two times that room is made for notes

# Called when the copy follows the running gateway: only the last step is missing.
Follows = Callable[[], None]


def move(
    source: str,
    url: str,
    on_progress: OnProgress = lambda *_: None,
    follows: Follows = lambda: None,
) -> Mapping[str, int]:
    """Move all rows of the SQLite database into the PostgreSQL one, which is empty, or the target
    of an earlier move. Returns how many rows each table has.

    If a gateway works with SQLite, this ends once that gateway, or another one, has changed to
    PostgreSQL. If none does, the last step is made here. From then on no start is accepted in the
    SQLite database, which stays.

    Raises SetupError, and whatever else ends it. Then the SQLite database is as it was.
    """
    must_be_kinds(source, url)
    make_engine(url)  # checks the URL before anything is begun
    file = path_of(source)
    lock = MoverLock(file)
    try:
        locked = lock.acquire()
    except OSError as err:
        raise SetupError(f"{file}: it cannot be locked for a move: {err.strerror}", "503") from err
    if not locked:
        raise SetupError(f"another `devgate db move` works with {file}", status="409")
    try:
        with target.in_sentences(), _new(url) as new, _alone(source) as alone:
            return _Mover(MoveSource(file), new, on_progress, alone=alone).run(follows)
    finally:
        lock.release()


@contextmanager
def _alone(url: str) -> Iterator[bool]:
    """Whether no gateway works with the SQLite database. If so, none can begin in this block."""

    def work(database: Database) -> None:
        with suppress(SetupError):
            database.lock()
        prepare(database, upgrade=database.lock_file is not None)

    database = opened(url, work)
    try:
        yield database.lock_file is not None
    finally:
        database.close()


@contextmanager
def _new(url: str) -> Iterator[Database]:
    """The target, for one mover at a time."""

    def work(database: Database) -> None:
        with database.read() as conn:
            found = version_of(conn)
        if found != MOVING:
            prepare(database, upgrade=True)

    database = opened(url, work)
    session = database.connected()
    try:
        if not target.lock(session):
            raise SetupError(
                f"another `devgate db move` works with {database.url_shown}", status="409"
            )
        yield database
    finally:
        session.close()
        database.close()


class _Mover:
    def __init__(
        self, source: MoveSource, new: Database, on_progress: OnProgress, *, alone: bool
    ) -> None:
        self._source = source
        self._new = new
        self._tell = on_progress
        self._room_at = 0.0
        self._alone = alone
        self._counts: dict[str, int] = {}
        self._unread = 0

    def _report(self, table: str, done: int, rows: int) -> None:
        self._tell(table, done, rows)
        self._make_room()

    def _make_room(self) -> None:
        if time.monotonic() >= self._room_at:
            self._room_at = time.monotonic() + ROOM_SECONDS
            self._source.make_room()

    def run(self, follows: Follows) -> Mapping[str, int]:
        try:
            self._copied()
            moved = self._source.move()
            if self._alone or (moved is not None and moved[1]):
                self._arrive()
            else:
                follows()
                self._follow()
        except Differs:  # nobody may serve with that
            with self._new.write() as conn:
                if target.state(conn, lock=True) is not None:
                    target.note(conn, state=COPYING)
            raise
        finally:
            self._source.close()
        return self._counts

    def _copied(self) -> None:
        """Copy all rows, and compare them."""
        move = self._found()
        if move is None:
            move = self._begin()
            try:
                move = self._copy(move)
            except BaseException:
                with suppress(SqliteError):
                    self._source.end()  # nobody would read the notes
                raise
        self._compare(move)

    def _found(self) -> Move | None:
        """The move that was begun earlier, if it can be continued."""
        with self._new.read() as conn:
            move = target.state(conn)
        found = self._source.move()
        if move is not None and found == (move.id, True):
            return move  # all rows were moved, and only the last step is missing
        if move is None or move.state == COPYING or found is None or found[0] != move.id:
            return None
        try:
            return self._caught_up()
        except NotesMissing:
            return None

    def _begin(self) -> Move:
        id = os.urandom(16).hex()
        self._new.lock()
        try:
            with self._new.write() as conn:
                if version_of(conn) == SCHEMA:
                    must_be_empty(conn, self._new)
                target.begin(conn, id, str(self._source.file), socket.gethostname())
                move = target.state(conn)
        finally:
            self._new.unlock()
        assert move is not None, "it was begun"
        self._source.begin(id)
        return move

    def _copy(self, move: Move) -> Move:
        patient = not self._alone
        for table in KEYED:
            with self._new.write() as conn:
                copied(self._source, conn, table, self._report, patient=patient)
                if table.name == "event":
                    target.note(conn, event=newest_event(conn))
        try:
            self._caught_up()
            with self._new.write() as conn:
                target.make_indexes(conn)
                target.note(conn, state=FOLLOWING)
        except NotesMissing as gap:
            raise SetupError(f"{gap} while rows were copied: run it again") from None
        conn = self._new.connected()
        try:
            target.analyze(conn)
            conn.commit()
        finally:
            conn.close()
        return move._replace(state=FOLLOWING)

    def _compare(self, move: Move) -> None:
        moved = self._source.move()
        if move.state == COMPARED or (moved is not None and moved[1]):
            self._count()
            return
        try:
            for table in KEYED:
                self._caught_up()
                with self._new.read() as conn:
                    seen = target.state(conn)
                    if seen is None:
                        return  # a gateway has gone over
                    self._counts[table.name] = compared(
                        self._source, conn, table, seen, self._report, patient=not self._alone
                    )
            with self._new.read() as conn:
                for table in SINGLE:  # catch_up() compares them
                    self._counts[table.name] = target.count(conn, table)
        except NotesMissing as gap:
            raise SetupError(f"{gap} while rows were compared: run it again") from None
        with self._new.write() as conn:
            if target.state(conn, lock=True) is not None:
                target.note(conn, state=COMPARED)

    def _count(self) -> None:
        """Count the rows: another process has compared them, and has ended."""
        for table in MOVED:
            with self._new.read() as conn:
                self._counts[table.name] = target.count(conn, table)

    def _caught_up(self) -> Move | None:
        """The move after catching up; None: it is complete."""
        with self._new.write() as conn:
            before = target.state(conn, lock=True)
            if before is None:
                return None
            # After the lock: so this never reads an older state than another process has written.
            with self._source.reading():
                move = catch_up(self._source, conn, before)
        self._unread += move.change - before.change
        if self._unread >= DELETE_AFTER_NOTES:
            self._source.was_read(move.change)
            self._unread = 0
        return move

    def _follow(self) -> None:
        try:
            while self._caught_up() is not None:
                self._make_room()
                time.sleep(FOLLOW_SECONDS)
        except NotesMissing as gap:
            with self._new.read() as conn:
                if target.state(conn) is not None:
                    raise SetupError(f"{gap}: run `devgate db move` again") from None

    def _arrive(self) -> None:
        arrival = arriving(self._new)
        if arrival is None:
            return
        try:
            arrival.end()
        finally:
            arrival.close()
