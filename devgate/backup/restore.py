"""Replaces the database by a backup, with no gateway running."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time
from typing import NamedTuple

from devgate.backup import note as notes
from devgate.backup.check import damage, kind_of
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.store import pg_programs, quarantine, sqlite_copy
from devgate.store.copies import facts, unreadable
from devgate.store.engine import Database
from devgate.store.folders import sync_folder
from devgate.store.migrating import prepare, version_of
from devgate.store.modes import give, new_file
from devgate.store.opening import opened
from devgate.store.outage import in_words
from devgate.store.ownership import FileLock, LockHeld
from devgate.store.seal import Seal

BESIDE = ("-wal", "-shm")


class Restored(NamedTuple):
    """What a restore has done."""

    made_at: float | None  # the time of the database's state now
    newest_event: int
    waiting: int  # starts that wait in it and count as sent from now on
    aside: Path | None  # where the former database is
    warnings: tuple[str, ...]  # secrets that the key file does not open


def made_at(file: Path) -> float | None:
    """The moment that a backup shows; of an SQLite file without a note that of its newest event.
    None: it is not known. Raises SetupError."""
    note = notes.read(file)
    if note is not None:
        return note.made_at
    if kind_of(file) == "sqlite":
        with sqlite_copy.reading(file) as conn:
            found = facts(conn, str(file))
            return None if found is None else found.newest_at
    return None


def restore(settings: Settings, file: Path, *, held: bool) -> Restored:
    """Replace the database by the backup. `held`: the gateway is in quarantine from its next start
    on.

    SQLite's former file stays beside it; PostgreSQL's schema has to be empty. Raises SetupError,
    and nothing is changed then; where PostgreSQL fails behind its own restore, it says so.
    """
    url = settings.store.url
    kind = kind_of(file)
    if kind != ("sqlite" if url.startswith("sqlite") else "postgresql"):
        raise SetupError(
            f"{file} is a backup of {kind}, and [store] url is {url.partition(':')[0]}; "
            "restore it there, then `devgate db move`",
            status="400",
        )
    if wrong := list(damage(file)):
        raise SetupError(f"nothing was restored: {'; '.join(wrong)}")
    put = _put_sqlite if kind == "sqlite" else _put_postgresql
    try:
        return put(url, file, made_at(file), held, Seal(settings.store.key_file))
    except OSError as err:
        raise SetupError(f"nothing was restored: {err}") from err


def _put_sqlite(url: str, file: Path, at: float | None, held: bool, seal: Seal) -> Restored:
    target = Path(url.removeprefix("sqlite:///")).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.restoring")
    with _locked(target):
        try:
            _remove(part)  # of a restore that was killed: its log is no part of this copy
            _copied(file, part)
            database = opened(f"sqlite:///{part}", partial(prepare, upgrade=True))
            try:
                done = _prepared(database, at, held, seal)
            finally:
                database.close()
            old_log = part.with_name(f"{part.name}-wal")
            if old_log.exists() and old_log.stat().st_size:
                raise SetupError(f"nothing was restored: another program reads {part}")
            aside = _set_aside(target)
            part.rename(target)
            sync_folder(target.parent)
        finally:
            _remove(part)
    return done._replace(aside=aside)


def _put_postgresql(url: str, file: Path, at: float | None, held: bool, seal: Seal) -> Restored:
    done = Restored(at, 0, 0, None, ())

    def work(database: Database) -> None:
        nonlocal done
        database.lock()
        with database.read() as conn:
            if version_of(conn) is not None:
                raise SetupError(
                    f"{database.url_shown} has tables of devgate; a backup overwrites none: make "
                    "an empty database (createdb), name it in [store] url, and restore into it",
                    status="400",
                )
        pg_programs.restore(file, url)
        try:
            prepare(database, upgrade=True)
            with in_words():
                done = _prepared(database, at, held, seal)
        except Exception as err:
            raise SetupError(
                f"the rows are restored, and what has to follow was not done ({err}): drop them "
                "and restore again before a gateway is started"
            ) from err

    opened(url, work).close()
    return done


def _prepared(database: Database, at: float | None, held: bool, seal: Seal) -> Restored:
    """Change a copy before a gateway uses it."""
    count = 0
    with database.write() as conn:
        if held:
            count = quarantine.begin(conn, quarantine.REASON, at)
        found = facts(conn, database.url_shown)
        assert found is not None, "it was migrated"
        warnings = tuple(unreadable(conn, seal))
        return Restored(at, found.newest_event, count, None, warnings)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = FileLock(target)
    try:
        lock.acquire()
    except LockHeld as held:
        raise SetupError(
            f"a gateway works with {target} ({held}); stop it first, and nothing is changed"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _remove(part: Path) -> None:
    for name in ("", *BESIDE):
        part.with_name(part.name + name).unlink(missing_ok=True)


def _copied(file: Path, part: Path) -> None:
    """For the owner of the folder alone, and on the disk."""
    made = new_file(part)
    with os.fdopen(made, "wb") as to, file.open("rb") as source:
        shutil.copyfileobj(source, to, notes.READ_BYTES)
        to.flush()
        os.fsync(made)
        give(made, part.parent)


def _set_aside(target: Path) -> Path | None:
    """Move the existing file and its log away: they are one database. The log is first, because
    one that stayed would be used with the new file."""
    if not target.exists():
        for name in BESIDE:
            target.with_name(target.name + name).unlink(missing_ok=True)
        return None
    aside = target.with_name(
        f"{target.name}.before-restore-{datetime.fromtimestamp(time(), UTC):%Y%m%dT%H%M%S}"
    )
    for name in (*BESIDE, ""):
        source = target.with_name(target.name + name)
        if source.exists():
            source.rename(aside.with_name(aside.name + name))
    return aside
