"""A copy of an SQLite file that a gateway works with: one moment of it, in one file.

It is made by SQLite's own backup, in slices, from a reading transaction. In WAL mode that and
writers do not wait for each other, and writes do not restart the backup. Each slice is on the disk
before the next one is read, so that the gateway's own fsyncs wait for at most one slice.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from devgate.errors import SetupError, StoreError
from devgate.store.copies import Facts, facts
from devgate.store.folders import sync_folder
from devgate.store.modes import new_copy
from devgate.store.opening import opened
from devgate.store.outage import in_words

SLICE_PAGES = 512  # 2 MB: an fsync of as much takes some ms
# Seconds behind a slice; as long as it took, up to that: half of a disk's time.
MAX_PAUSE_SECONDS = 0.05
NAME = b"SQLite format 3\0"

OnProgress = Callable[[int, int], None]


def copy(url: str, target: Path, on_progress: OnProgress = lambda *_: None) -> Facts:
    """Write a copy into the new file `target`, for its owner alone (0600), and onto the disk.
    Returns how far the database went at that moment.

    `on_progress` is called with the bytes copied so far and in all. Raises SetupError for
    a source that cannot be read, and OSError. An incomplete target is removed then.
    """
    with new_copy(target) as made:
        found = _copy(url, target, made, on_progress)
        _one_file(target)
    sync_folder(target.parent)
    return found


@contextmanager
def reading(file: Path) -> Iterator[Connection]:
    """A connection that reads a copy, and writes nothing at all: no log, no lock. Raises
    SetupError if it cannot be opened."""
    options = "mode=ro&immutable=1&uri=true"
    engine = create_engine(f"sqlite:///file:{quote(str(file.resolve()))}?{options}")
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def look(file: Path) -> Facts:
    """How far a copy goes, once SQLite's own check has looked through it. Raises SetupError for
    one that is damaged, or has no tables of devgate."""
    try:
        with reading(file) as conn:
            found = facts(conn, str(file))
            said = conn.scalar(text("PRAGMA integrity_check(1)"))
    except DBAPIError as err:
        raise SetupError(f"{file} is damaged: {err.orig}") from err
    if said != "ok":
        raise SetupError(f"{file} is damaged: {said}")
    if found is None:
        raise SetupError(f"{file} has no tables of devgate", status="400")
    return found


def _copy(url: str, target: Path, made: int, on_progress: OnProgress) -> Facts:
    database = opened(url, lambda database: None)
    began = time.monotonic()

    def slice_done(status: int, remaining: int, pages: int) -> None:
        nonlocal began
        os.fdatasync(made)
        on_progress((pages - remaining) * page, pages * page)
        time.sleep(min(time.monotonic() - began, MAX_PAUSE_SECONDS))
        began = time.monotonic()

    try:
        with in_words(), database.read() as conn, closing(_connected(target)) as new:
            found = facts(conn, database.url_shown)  # from here on it reads this moment
            if found is None:
                raise SetupError(f"{database.url_shown} has no tables of devgate", status="400")
            new.execute("PRAGMA synchronous=OFF")  # the slices are synced here
            page = conn.scalar(text("PRAGMA page_size")) or 0
            source = conn.connection.driver_connection
            assert isinstance(source, sqlite3.Connection), "the dialect is sqlite"
            source.backup(new, pages=SLICE_PAGES, progress=slice_done)
    except (sqlite3.Error, StoreError) as err:
        raise SetupError(
            f"the database {database.url_shown} cannot be copied: {err}", status="503"
        ) from err
    finally:
        database.close()
    return found


def _connected(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


def _one_file(target: Path) -> None:
    """Without a log beside it: the copy is this file alone."""
    with closing(_connected(target)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
