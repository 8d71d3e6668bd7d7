"""Classifies errors of a database: whether it is away for a while, and why, as a sentence."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from devgate.errors import SetupError, StoreAway, StoreError

# SQLite's primary result codes. Not among them: an exception of the gateway (no such table).
SQLITE: Mapping[int, str] = {
    sqlite3.SQLITE_PERM: "this user may not open the database",
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_READONLY: "the database or its folder is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the database file or its folder cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "the database is locked by another program",
    sqlite3.SQLITE_NOMEM: "no memory is left",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "file is not a database",
}

# PostgreSQL's classes (two characters) and single states.
POSTGRESQL: Mapping[str, str] = {
    "08": "the connection to the database broke",
    "25006": "the database is read-only",
    "25P03": "the database server ended a transaction that had stood still",
    "28": "the database refuses this user",
    "3D000": "the database does not exist",
    "40": "another program's transaction was in the way",
    "42501": "the database refuses this user a permission",
    "53": "the database server is out of disk, memory or connections",
    "53100": "the database server's disk is full",
    "53300": "the database server has no connection left",
    "55P03": "the database is locked by another program",
    "57": "the database server is shutting down, or interrupted the statement",
    "58": "the database server's disk reports an error",
}
# Of these: another program holds a lock, for a short time.
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
BUSY_STATES = frozenset({"40001", "40P01", "55P03"})
AWAY = "the database server cannot be reached"
NO_PASSWORD = (
    "the database server asks for a password, and there is none: set [store] password_file, or "
    "write ~/.pgpass of the user who runs this"
)
# With several hosts: what libpq says of a server that takes no writes.
NO_WRITES = ("session is read-only", "hot standby mode")


def outage(err: BaseException) -> str | None:
    """What keeps the database from working, if that may pass: away, locked, full, read-only.

    None for every other error of the database: it refuses what it was asked.
    """
    if isinstance(err, StoreError):
        return str(err)
    if isinstance(err, NoConnection):
        return "no connection to the database is free"
    code = _code(err)
    if isinstance(code, int):
        return SQLITE.get(code)
    if code is not None:
        return POSTGRESQL.get(code) or POSTGRESQL.get(code[:2])
    if isinstance(err, DBAPIError) and (
        err.connection_invalidated or isinstance(err, OperationalError)
    ):
        refusal = re.search(r"FATAL:\s+(.*)", str(err.orig))
        if refusal is not None and not away(err):
            return f"the database server refuses the connection: {refusal[1]}"
        if "no password supplied" in str(err.orig):
            return NO_PASSWORD
        if any(words in str(err.orig) for words in NO_WRITES):
            return "no database server takes writes: a replica is not promoted yet"
        return AWAY
    if isinstance(err, MemoryError):
        return "no memory is left"
    if isinstance(err, RuntimeError) and "thread" in str(err):
        return "no thread can be started: the process is at a limit (TasksMax, pids.max, memory)"
    if isinstance(err, OSError):
        return err.strerror or str(err)
    return None


# What libpq says when no server answered, or one that is on its way up or down. It gives no code
# for that, and a wrong password must not look like it.
UNREACHABLE = (
    "connection refused", "no such file or directory", "timeout expired", "timed out",
    "could not translate host name", "failed to resolve host", "name or service not known",
    "temporary failure in name resolution", "no route to host", "network is unreachable",
    "connection reset", "server closed the connection", "starting up", "shutting down",
    "not yet accepting connections", "recovery mode", "too many clients", "too many connections",
    "remaining connection slots", "connection is bad", *NO_WRITES,
)  # fmt: skip


def away(err: BaseException) -> bool:
    """Whether a server that refused a connection may accept one later."""
    if not isinstance(err, OperationalError) or isinstance(err.orig, sqlite3.Error):
        return False
    words = str(err.orig).lower()
    return any(reason in words for reason in UNREACHABLE)


def busy(err: BaseException) -> bool:
    """Another program held a lock for too long: nothing else is wrong."""
    code = _code(err)
    return code in BUSY if isinstance(code, int) else code in BUSY_STATES


@contextmanager
def in_words() -> Iterator[None]:
    """Raises StoreError for whatever `outage` knows that is raised in this block, and says so."""
    try:
        yield
    except SQLAlchemyError as err:
        why = outage(err)
        if why is None:
            raise
        raise StoreError(why) from err


def one_line(text: str) -> str:
    """The text with each run of white space as one blank: for a log line or a reply."""
    return " ".join(text.split())


def _code(err: BaseException) -> int | str | None:
    """SQLite's primary result code, or PostgreSQL's SQLSTATE."""
    cause: BaseException = err
    if isinstance(err, DBAPIError) and isinstance(err.orig, BaseException):
        cause = err.orig
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code; the rest says more of it.
        return (getattr(cause, "sqlite_errorcode", 0) or 0) & 0xFF
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def cannot_be_opened(shown: str, err: SQLAlchemyError | OSError) -> SetupError:
    """That the database of this name cannot be opened, as a sentence; a StoreAway if it may well
    be possible a while later."""
    why = outage(err) or str(getattr(err, "orig", None) or err).strip()
    text = f"[store] url: the database {shown} cannot be opened: {one_line(why)}"
    return StoreAway(text) if away(err) else SetupError(text, status="503")
