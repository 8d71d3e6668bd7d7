"""Whether an SQLite database is still the file that was opened: an operator may move it away,
put another one in its place, or remove its log."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from devgate.errors import StoreError

log = logging.getLogger("devgate.store")

Id = tuple[int, int]  # device and inode


class Files:
    """The database's file and its write-ahead log, by device and inode."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal_path = path.with_name(f"{path.name}-wal")
        self._file = _id(path)
        self._wal: Id | None = None

    def check(self) -> None:
        """Raises StoreError if the path leads to another file than the one that was opened."""
        if _id(self._path) != self._file:
            self._set_log_aside()
            raise StoreError(
                f"the database file {self._path} was replaced or removed; nothing is written to "
                "either file: restart the gateway"
            )

    def check_log(self) -> None:
        """Likewise for the log, while a connection that uses it is open."""
        if self._wal is not None and _id(self._wal_path) != self._wal:
            self._wal = None
            raise StoreError(f"the database's log {self._wal_path} was removed; it is made anew")

    def opened_log(self) -> None:
        """A connection has written: the log is there."""
        self._wal = _id(self._wal_path)

    def _set_log_aside(self) -> None:
        """The log belongs to a file that was replaced: applied to the new one, it would damage
        that. It stays beside it under another name."""
        with suppress(OSError):
            if self._wal is not None and _id(self._wal_path) == self._wal:
                aside = f"{self._wal_path}.of-replaced-{int(time.time())}"
                os.rename(self._wal_path, aside)
                self._path.with_name(f"{self._path.name}-shm").unlink(missing_ok=True)
                log.error(
                    "the log of the database file that was replaced is set aside as=%s", aside
                )


def _id(path: Path) -> Id | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
