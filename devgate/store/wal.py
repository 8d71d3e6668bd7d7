"""SQLite's write-ahead log and the index of it in `-shm`, as far as faults are found there.

Both formats are described in sqlite.org/walformat.html. Numbers in the log are big-endian, those
in the index of this machine. Nothing here writes into the index.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

VERSION = 3007000  # of the index
LOG_HEAD = 32  # bytes
FRAME_HEAD = struct.Struct(">II8s8x")  # page, the database's size in pages or 0, salts
PUBLISHED = struct.Struct("=I10xHI12x8s")  # version, size of a page, frames, salts
COPIED_AT = 96  # where the index says what has been copied into the database
COPIED = struct.Struct("=I28xI")  # frames that were copied, frames that are or will be

Id = tuple[int, int]  # device and inode


def id_of(path: Path) -> Id | None:
    """Device and inode of a file; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Published(NamedTuple):
    """What the index says of the log."""

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
        """None while it is made, and for a version that nobody knows."""
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
