"""Whether an SQLite database is still the file that was opened: an operator may move it away,
put another one in its place or into it, and remove or cut its log."""

from __future__ import annotations

import glob
import logging
import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from devgate.errors import StoreError
from devgate.store.wal import Index, Published, id_of, last_commit, was_cut

log = logging.getLogger("devgate.store")

REPLACED = ".of-replaced-"  # and the file's state: in the name of its log, which is set aside
DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR}
RESTART = "nothing is written to either file: restart the gateway"


class FilesChanged(StoreError):
    """A connection to SQLite's files is of no use any more; all of them are to be closed."""


class Files:
    """The database's file and its write-ahead log: what they are, and what they should hold.

    `check` may be called by any thread, `look` by the one that holds SQLite's writer lock, all
    else by the journal's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal_path = path.with_name(f"{path.name}-wal")
        self._shm_path = path.with_name(f"{path.name}-shm")
        self._file = id_of(path)
        # It leads to that file wherever it is moved. Such a descriptor holds none of SQLite's
        # locks, so that closing it gives none of them up.
        self._origin = os.open(path, os.O_PATH | os.O_CLOEXEC)
        self._wal = id_of(self._wal_path)
        self._index: Index | None = None
        self._former: list[Index] = []  # see Index: they are never closed
        self._log = -1  # a descriptor of the log
        self._seen: Published | None = None  # what the index said at the last look
        self._written: tuple[int, int] | None = None  # when the file was, and its size
        self._copied: tuple[bytes, int, int] | None = None  # into it, out of the log
        self._overwritten: str | None = None

    def check(self) -> None:
        """Raises StoreError if the path leads to another file than the one that was opened, or if
        that was overwritten."""
        if id_of(self._path) != self._file:
            raise self._replaced()
        if self._overwritten is not None:
            raise StoreError(self._overwritten)

    def _replaced(self) -> StoreError:
        self._set_log_aside()
        return StoreError(f"the database file {self._path} was replaced or removed; {RESTART}")

    def opened(self) -> None:
        """A connection has begun to write: the log is there. Raises OSError, FilesChanged."""
        if self._index is None or self._index.id != id_of(self._shm_path):
            if self._index is not None:
                self._former.append(self._index)
            self._index = Index(self._shm_path)
            self._written = None  # the last connection of all has copied the log into the file
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
        self._log = os.open(self._wal_path, os.O_RDWR | os.O_CLOEXEC)
        found = os.fstat(self._log)
        self._wal = (found.st_dev, found.st_ino)
        self._seen = None
        self.look(thorough=True)

    def look_after(self, err: DBAPIError | sqlite3.Error) -> None:
        """SQLite refused to begin a transaction, perhaps because a page that it needs for that is
        in a hole of the log. So this cannot wait for the writer lock. What another connection
        commits meanwhile is behind the hole, too, and the next look finds that.

        Raises as look() does. Does nothing for an error that says nothing of the files.
        """
        if (
            getattr(err.orig if isinstance(err, DBAPIError) else err, "sqlite_errorcode", 0) & 0xFF
        ) in DAMAGED:
            self.look(thorough=True)

    def look(self, *, thorough: bool = False) -> None:
        """Whether file and log hold what was written there; `thorough`: in all of the log. To be
        called while SQLite's writer lock is held: nobody else may write into the log then.

        Raises FilesChanged, and StoreError as check() does. What was damaged is left so that
        SQLite's own recovery is right.
        """
        index = self._index
        if index is None:
            return
        if self._overwritten is not None:  # the log has been emptied
            raise StoreError(self._overwritten)
        # Before the files: what the index tells of is in them.
        copied, now = index.copied(), index.published()
        try:
            file = os.stat(self._path)
        except OSError:
            raise self._replaced() from None
        if (file.st_dev, file.st_ino) != self._file:
            raise self._replaced()
        written = file.st_mtime_ns, file.st_size
        if self._written is not None and self._written != written:
            self._look_at_file()
        self._written, self._copied = written, copied
        try:
            found = os.stat(self._wal_path)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._wal:
            raise FilesChanged(f"the database's log {self._wal_path} was removed; it is made anew")
        seen, self._seen = self._seen, now
        if now is not None and (
            thorough or found.st_size < now.size or was_cut(self._log, seen, now)
        ):
            self._look_at_log(index, now)

    def _look_at_log(self, index: Index, now: Published) -> None:
        """Whether all of it is there, as the index says. Raises FilesChanged if it is not."""
        end = last_commit(self._log, now)
        if end == now.size or index.published() != now:  # see look_after()
            return
        # No checkpoint may take a hole for pages: what is behind the first one is cut off.
        os.ftruncate(self._log, end)
        self._seen = self._written = None
        log.error(
            "the database's log was truncated, opening it again log=%s size=%s left=%s",
            self._wal_path, now.size, end,
        )  # fmt: skip
        raise FilesChanged(f"the database's log {self._wal_path} was truncated; it is made anew")

    def _look_at_file(self) -> None:
        """It was written since the last look. Its bytes change by a checkpoint alone, and the
        index tells of each one. Raises FilesChanged if it was no checkpoint."""
        assert self._index is not None, "look() has looked"
        after = self._index.copied()
        under_way = after[1] != after[2]
        if not under_way and after == self._copied:
            self._overwritten = (
                f"the database file {self._path} was overwritten by another program; {RESTART}"
            )
            self._empty_log()
            raise FilesChanged(self._overwritten)

    def _set_log_aside(self) -> None:
        """The log belongs to a file that was replaced: applied to the new one, it would damage
        that. It stays beside it under another name, which restore_log() knows."""
        with suppress(OSError):
            if self._wal is not None and id_of(self._wal_path) == self._wal:
                aside = Path(f"{self._wal_path}{REPLACED}{_state_of(os.fstat(self._origin))}")
                os.rename(self._wal_path, aside)
                self._shm_path.unlink(missing_ok=True)
                log.error(
                    "the log of the database file that was replaced is set aside as=%s", aside
                )

    def _empty_log(self) -> None:
        """The same for a file that was overwritten. The log is emptied besides: every connection,
        also of other programs, would copy it into the file when it is closed."""
        aside = Path(f"{self._wal_path}.of-overwritten-{int(time.time())}")
        try:
            with open(self._log, "rb", closefd=False) as source, aside.open("xb") as target:
                aside.chmod(0o600)
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
        except OSError as err:
            log.error("the log cannot be set aside as=%s error=%s", aside, err.strerror)
        else:
            log.error("the log of the file that was overwritten is set aside as=%s", aside)
        os.ftruncate(self._log, 0)

    def close(self) -> None:
        """The second time does nothing."""
        if self._origin >= 0:
            os.close(self._origin)
            self._origin = -1


def restore_log(path: Path) -> None:
    """Put a log that was set aside at its place again, if the database file that it belongs to is
    there again, as it was then. To be called while no connection is open, and under the lock."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        state = _state_of(os.stat(path))
    except OSError:
        return  # there is no database yet
    for aside in sorted(path.parent.glob(f"{glob.escape(wal.name)}{REPLACED}*")):
        if aside.name.removeprefix(f"{wal.name}{REPLACED}") != state:
            log.warning("a log of another database file is set aside here as=%s", aside)
        elif wal.exists() and wal.stat().st_size:
            log.error(
                "the log that was set aside is not taken back, there is another one as=%s log=%s",
                aside, wal,
            )  # fmt: skip
        else:
            path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
            os.rename(aside, wal)
            log.warning("the log that was set aside is taken back as=%s", aside)


def _state_of(found: os.stat_result) -> str:
    """Which file it is, and when it was written the last time."""
    return f"{found.st_ino}-{found.st_mtime_ns}"
