"""Whether a backup, or the database that is in use, is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from devgate.backup import note as notes
from devgate.config.settings import Settings
from devgate.errors import SetupError
from devgate.store import pg_programs, sqlite_copy
from devgate.store.copies import Facts, facts, faults, is_damage, unreadable
from devgate.store.modes import begins_with
from devgate.store.opening import opened, reach
from devgate.store.seal import Seal


def kind_of(file: Path) -> str:
    """`sqlite` or `postgresql`, by the file's first bytes. Raises SetupError for another one."""
    try:
        if begins_with(file, sqlite_copy.NAME):
            return "sqlite"
        if begins_with(file, pg_programs.NAME):
            return "postgresql"
    except OSError as err:
        raise SetupError(f"{file}: {err.strerror}", status="400") from err
    raise SetupError(
        f"{file}: neither an SQLite database nor a dump of pg_dump's custom form", status="400"
    )


def look_into(file: Path, kind: str) -> Facts | None:
    """Read all of a copy. Returns how far it goes; None for a dump, of which that is not known.
    Raises SetupError for a damaged one."""
    if kind == "postgresql":
        pg_programs.verify(file)
        return None
    return sqlite_copy.look(file)


def damage(file: Path) -> Iterator[str]:
    """What is wrong with the bytes and rows of a backup, in sentences. Raises SetupError for what
    is none."""
    kind, note = kind_of(file), notes.read(file)
    if note is not None and notes.digest(file) != note.sha256:
        yield f"{file} is not what was written: its SHA-256 is another one"
    try:
        found = look_into(file, kind)
        if kind == "postgresql":
            return
        if note is not None and found != note.facts:
            yield f"{file} does not go as far as its note says"
        with sqlite_copy.reading(file) as conn:
            yield from faults(conn)
    except SetupError as err:
        yield str(err)


def check_backup(file: Path, settings: Settings) -> Iterator[str]:
    """damage(), and the secrets that the key file does not open."""
    wrong = list(damage(file))
    yield from wrong
    if wrong:
        return
    note, key_file = notes.read(file), settings.store.key_file
    if kind_of(file) == "sqlite":
        with sqlite_copy.reading(file) as conn:
            yield from unreadable(conn, Seal(key_file))
    elif note is not None and note.facts.sealed and notes.fingerprint(key_file) != note.key:
        # A dump is not looked into.
        yield (
            f"{note.facts.sealed} secrets of webhooks need the key file {note.key_file}, and "
            f"{key_file} is another one, or cannot be read"
        )


def check_database(settings: Settings) -> Iterator[str]:
    """What is wrong with the database in use, in sentences. No writer waits for this. Raises
    SetupError if it cannot be opened."""
    database = opened(settings.store.url, reach)
    try:
        with database.read() as conn:
            if facts(conn, database.url_shown) is None:
                yield f"{database.url_shown} has no tables of devgate"
                return
            yield from faults(conn)
            yield from unreadable(conn, Seal(settings.store.key_file))
    except DBAPIError as err:
        if not is_damage(err):
            raise
        yield f"{database.url_shown} is damaged: {err.orig}"
    finally:
        database.close()
