"""Whether an SQLite database is still the file that was opened: an operator may move it away,
put another one in its place or into it, and remove or cut its log.

The formats of the write-ahead log and of the index of it in `-shm` are described in
sqlite.org/walformat.html. Numbers in the log are big-endian, those in the index of this machine.
Nothing here writes into the index.
"""

from __future__ import annotations

import logging
import mmap
import os
import sqlite3
import struct
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from devgate.errors import StoreError
from devgate.store.log_aside import empty, set_aside

log = logging.getLogger("devgate.store")

DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR}
VERSION = 3007000  # of the index
LOG_HEAD = 32  # bytes
FRAME_HEAD = struct.Struct(">II8s8x")  # page, the database's size in pages or 0, salts
PUBLISHED = struct.Struct("=I10xHI12x8s")  # version, size of a page, frames, salts
COPIED_AT = 96  # where the index says what has been copied into the database
COPIED = struct.Struct("=I28xI")  # frames that were copied, frames that are or will be
RESTART = "nothing is written to either file: restart the gateway"

Id = tuple[int, int]  # device and inode


def id_of(path: Path) -> Id | None:
    """Device and inode of a file; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Published(NamedTuple):
    """The state of the log by the index."""

    frames: int
    frame_size: int  # bytes
    salts: bytes  # of all of its frames; others once it begins anew
    size: int  # bytes that the log has at least


class Index:
    """The index of a database that this process has open."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError for a file that is none."""
        # Closing any descriptor of this file gives up the locks that SQLite has on it. So this
        # one stays open, and the mapping's own as well.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._file)
        self.id: Id = (found.st_dev, found.st_ino)
        self._map = mmap.mmap(self._file, mmap.PAGESIZE, prot=mmap.PROT_READ)

    def published(self) -> Published | None:
        """The state of the log; None while the index is being made, and for an unknown version."""
        version, page, frames, salts = PUBLISHED.unpack_from(self._map)
        if version != VERSION:
            return None
        # The size of a page is 1 for 65536.
        frame_size = 24 + ((page & 0xFE00) | (page & 1) << 16)
        size = LOG_HEAD + frames * frame_size if frames else 0
        return Published(frames, frame_size, salts, size)

    def copied(self) -> tuple[bytes, int, int]:
        """The log's salts, and how many of its frames have been copied into the database, and are
        or will be. The last number grows before the first byte is copied."""
        done, attempted = COPIED.unpack_from(self._map, COPIED_AT)
        return PUBLISHED.unpack_from(self._map)[3], done, attempted


class FilesChanged(StoreError):
    """The connections to SQLite's files cannot be used any more and must be closed."""


class Files:
    """The database's file and its write-ahead log: their identity, and their expected content.

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
        if self._wal is not None and id_of(self._wal_path) == self._wal:
            set_aside(self._wal_path, self._shm_path, self._origin)
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
        """Check that file and log hold what was written; `thorough`: in all of the log. Call it
        while SQLite's writer lock is held: then nobody else may write into the log.

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
        """The file was written since the last look. Only checkpoints change it, and the index
        shows each of them. Raises FilesChanged if it was not a checkpoint."""
        assert self._index is not None, "look() has looked"
        after = self._index.copied()
        under_way = after[1] != after[2]
        if not under_way and after == self._copied:
            self._overwritten = (
                f"the database file {self._path} was overwritten by another program; {RESTART}"
            )
            empty(self._wal_path, self._log)
            raise FilesChanged(self._overwritten)

    def close(self) -> None:
        """The second time does nothing."""
        if self._origin >= 0:
            os.close(self._origin)
            self._origin = -1


def was_cut(log: int, seen: Published | None, now: Published) -> bool:
    """Whether the log was cut after it had been `seen`, and before the last commit, which has
    made it long again. `log` is a descriptor."""
    if seen is None or not seen.frames or seen.salts != now.salts:
        return False
    head = os.pread(log, FRAME_HEAD.size, seen.size - seen.frame_size)
    return head[8:16] != now.salts


def last_commit(log: int, published: Published) -> int:
    """The size of the log up to its last commit, of which nothing is missing before. `log` is a
    descriptor."""
    end = 0
    for frame in range(published.frames):
        at = LOG_HEAD + frame * published.frame_size
        head = os.pread(log, FRAME_HEAD.size, at)
        if len(head) < FRAME_HEAD.size:
            break
        _, pages, salts = FRAME_HEAD.unpack(head)
        if salts != published.salts:
            break
        if pages:
            end = at + published.frame_size
    return min(end, os.fstat(log).st_size)
