"""A backup: written while the gateway runs, and read again before it counts as one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import time

from devgate import __version__
from devgate.backup import note as notes
from devgate.backup.check import look_into
from devgate.backup.note import Note
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.store import pg_programs, sqlite_copy
from devgate.store.copies import Facts, facts
from devgate.store.folders import sync_folder
from devgate.store.opening import opened, reach
from devgate.store.sqlite_copy import OnProgress

SUFFIX = {"sqlite": ".db", "postgresql": ".dump"}


def default_name(kind: str, now: float) -> str:
    """The name of a backup in a folder: names sort by time."""
    return f"devgate-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}{SUFFIX[kind]}"


def back_up(
    settings: Settings, place: Path, on_progress: OnProgress = lambda *_: None
) -> tuple[Path, Note]:
    """Write a backup into a new file, or into a folder under a name of its own.

    It gets its name once it was read again as a whole and compared with the database. Raises
    SetupError; then no file is left.
    """
    url = settings.store.url
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    now = time()
    file = place / default_name(kind, now) if place.is_dir() else place
    if file.exists():
        raise SetupError(f"{file} is there already; a backup overwrites nothing", status="400")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with _removed_on_error(part):
            write = _from_sqlite if kind == "sqlite" else _from_postgresql
            found, made_at = write(url, part, on_progress)
            again = look_into(part, kind)
            if again is not None and again != found:
                raise SetupError(
                    f"the copy is not what the database was: {again} in place of {found}; the "
                    "disk may be failing"
                )
            key_file = settings.store.key_file
            note = Note(
                version=__version__, kind=kind, source=_shown(url), made_at=made_at,
                size=part.stat().st_size, sha256=notes.digest(part), key_file=key_file,
                key=notes.fingerprint(key_file), facts=found,
            )  # fmt: skip
            notes.write(file, note)
            part.rename(file)
            sync_folder(file.parent)
    except OSError as err:
        raise SetupError(f"{file}: the backup cannot be written: {err.strerror}") from err
    return file, note


def thin_out(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest backups in the folder, and their notes. Returns them.

    Raises OSError.
    """
    gone = list(notes.in_folder(folder))[:-keep]
    for file in gone:
        file.unlink()
        notes.path_of(file).unlink(missing_ok=True)
    return gone


def _from_sqlite(url: str, part: Path, on_progress: OnProgress) -> tuple[Facts, float]:
    source = Path(url.removeprefix("sqlite:///"))
    if not source.exists():
        raise SetupError(f"[store] url: the file {source} is not there", status="400")
    began = time()
    return sqlite_copy.copy(url, part, on_progress), began


def _from_postgresql(url: str, part: Path, on_progress: OnProgress) -> tuple[Facts, float]:
    database = opened(url, reach)
    try:
        with database.read() as conn:  # one moment, for the facts and for pg_dump
            found, began = facts(conn, database.url_shown), time()
            if found is None:
                raise SetupError(f"{database.url_shown} has no tables of devgate", status="400")
            pg_programs.dump(url, conn, part)
    finally:
        database.close()
    return found, began


def _shown(url: str) -> str:
    database = opened(url, lambda database: None)
    database.close()
    return database.url_shown


@contextmanager
def _removed_on_error(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise
