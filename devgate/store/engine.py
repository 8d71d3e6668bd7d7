"""One open database: SQLite by default, PostgreSQL by URL. Everything here blocks."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, Pool
from sqlalchemy.exc import SQLAlchemyError

from devgate.errors import SetupError, StoreError
from devgate.store.engines import WRITER_CACHE_KIB
from devgate.store.files import Files
from devgate.store.log_aside import restore_log
from devgate.store.moves.notes import clean
from devgate.store.ownership import (
    Fence,
    FileLock,
    LockHeld,
    Owner,
    lock_again,
    lock_session,
    note_loss,
    take_over,
)
from devgate.store.postgres_url import shown

if TYPE_CHECKING:
    from devgate.store.moves.arrival import Arrival

log = logging.getLogger("devgate.store")


class Database:
    """One database, opened and of the right schema. Any thread may use it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.dialect: str = engine.dialect.name  # "sqlite" or "postgresql"
        self.url_shown: str = shown(engine.url)
        self.fence: Fence | None = None  # of a gateway, from claim() on
        self.owner: Owner | None = None  # what claim() has found
        # Why no start is accepted although rows can be written: the database lost some.
        self.loss: str | None = None
        self.files: Files | None = None  # of a gateway's SQLite
        # A copy of another gateway's SQLite, until that hands over.
        self.arrival: Arrival | None = None
        self._file_lock: FileLock | None = None
        self._former_pools: list[Pool] = []  # with connections that were in use
        self._claimed: Connection | None = None  # PostgreSQL: holds the lock; held() gives it away

    @property
    def file(self) -> Path | None:
        """Of SQLite."""
        name = self._engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database throughout; it waits for no writer.

        Raises StoreError if a gateway's SQLite file was replaced.
        """
        self._check_file()
        with self._engine.connect() as conn:
            if self.dialect == "postgresql":
                conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with conn.begin():
                yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction that is on disk when the block has ended without error.

        SQLite: the one writer's lock is taken at the start, so nothing fails for it later.
        Raises StoreError if a gateway's SQLite file was replaced, or its log was damaged: the
        journal opens that again.
        """
        self._check_file()
        with self._engine.connect() as conn:
            if self.dialect == "sqlite":
                conn.execution_options(devgate_writes=True)
            with conn.begin():
                if self.files is not None:
                    self.files.look()
                yield conn

    def held(self) -> Connection:
        """A connection for one who writes again and again, and is waited for while it writes.

        Each `begin()` takes SQLite's one writer lock. The caller closes it, and asks for
        another after an error. A gateway's holds PostgreSQL's lock, too. Raises StoreError if
        another gateway has that one, and Fenced if that one owns the database by now.
        """
        self._check_file()
        conn, self._claimed = self._claimed, None
        if conn is not None:
            return conn
        conn = self._engine.connect()
        conn.detach()  # nobody else closes it from here on
        try:
            if self.dialect == "sqlite":
                conn.exec_driver_sql("PRAGMA busy_timeout=0")  # it looks for itself, and oftener
                conn.exec_driver_sql(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
                conn.commit()
                return conn.execution_options(devgate_writes=True, devgate_looks=True)
            if self.fence is not None:
                lock_again(conn, self.fence)
        except BaseException:
            conn.close()
            raise
        return conn

    def connected(self) -> Connection:
        """A connection of PostgreSQL for one task alone, which closes it."""
        conn = self._engine.connect()
        conn.detach()
        return conn

    def lock(self) -> None:
        """Keep other gateways out until close(). Raises SetupError if there is one.

        Two of them would take each other's commands for those of a gateway that died. A
        process that is killed keeps nobody out any longer. Other programs are not kept out.
        """
        try:
            if self.dialect == "sqlite":
                assert self.file, "open_database has looked"
                lock = FileLock(self.file)
                lock.acquire()
                self._file_lock = lock
                restore_log(self.file)
            else:
                lock_session(self.session())
        except LockHeld as held:
            raise SetupError(
                f"[store] url: another gateway works with the database {self.url_shown} ({held}); "
                "stop that one, or give this one a database of its own"
            ) from None

    def unlock(self) -> None:
        """PostgreSQL: release the lock of a session that held() has not given away."""
        conn, self._claimed = self._claimed, None
        if conn is not None:
            conn.close()

    @property
    def lock_file(self) -> int | None:
        """The descriptor that holds the lock of SQLite."""
        return None if self._file_lock is None else self._file_lock.file

    def locked_by(self, file: int) -> None:
        """SQLite: take over the lock through a descriptor that another process has passed on."""
        if self.arrival is not None:
            self.arrival.locked_by(file)
            return
        assert self.file, "open_database has looked"
        self._file_lock = FileLock(self.file)
        self._file_lock.adopt(file)

    def name_holder(self) -> None:
        """SQLite: name this process in the lock file."""
        if self._file_lock is not None:
            self._file_lock.name_holder()

    def session(self) -> Connection:
        """PostgreSQL: the one that holds the lock, or is to. held() gives it away."""
        if self._claimed is None:
            self._claimed = self.connected()
        return self._claimed

    def claim(self, *, above: int = 0, lost: str | None = None) -> Owner:
        """Own the database, behind lock(): no earlier owner commits anything any more.

        `above`: see take_over(). `lost`: what is known to be missing, if that is so.
        """
        with self.write() as conn:
            owner = take_over(conn, above)
            if lost and not owner.lost:
                note_loss(conn, lost)
                owner = owner._replace(lost=lost)
        self.owner = owner
        self.fence, self.loss = Fence(self.owner, self.dialect), self.owner.lost
        if self.dialect == "sqlite":
            assert self.file, "open_database has looked"
            self._remove_notes(self.file)
            self._checkpoint()
            self.files = Files(self.file)
        if self.loss:
            log.error("no start is accepted reason=%s", self.loss)
        return self.owner

    def _remove_notes(self, file: Path) -> None:
        """Of a move that has ended halfway. They have a bound, so no start fails for them."""
        try:
            with self._sqlite() as driver:
                if clean(driver, file):
                    log.warning("a move of the database has ended halfway, its notes are removed")
        except (sqlite3.Error, OSError) as err:
            log.warning("notes of a move that has ended cannot be removed reason=%s", err)

    def _checkpoint(self) -> None:
        """What SQLite's log holds goes into the file, as far as nobody reads. The takeover is in
        the file then, and Files knows of every later change of it."""
        with suppress(sqlite3.Error), self._sqlite() as conn:
            conn.execute("PRAGMA wal_checkpoint")

    @contextmanager
    def _sqlite(self) -> Iterator[sqlite3.Connection]:
        """SQLite's own connection, in no transaction."""
        with self._engine.connect() as conn:
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection), "the dialect is sqlite"
            yield driver

    def _check_file(self) -> None:
        if self.files is not None:
            self.files.check()

    def drop_connections(self) -> None:
        """Close the connections that are not in use; the others at the next call."""
        for pool in self._former_pools:
            pool.dispose()
        self._former_pools = [*self._former_pools[-1:], self._engine.pool]
        self._engine.dispose()

    def _look_before_closing(self, files: Files) -> None:
        """Check the files: the last connection that closes copies the log into the database file,
        which may have been replaced by another database."""
        with suppress(StoreError, SQLAlchemyError, sqlite3.Error):
            files.check()
            with self._sqlite() as conn:
                conn.execute("PRAGMA busy_timeout=0")  # another program writes: let it
                conn.execute("BEGIN IMMEDIATE")
                try:
                    files.look()
                finally:
                    conn.execute("ROLLBACK")

    def close(self) -> None:
        """Close all connections and give up the lock; blocks.

        For SQLite the files are looked at first: the log of another file must not be copied into
        it.
        """
        if self._claimed is not None:
            self._claimed.close()
        if self.arrival is not None:
            self.arrival.close()
        if self.files is not None:
            self._look_before_closing(self.files)
        self._engine.dispose()
        if self.files is not None:
            self.files.close()
        if self._file_lock is not None:
            self._file_lock.release()
