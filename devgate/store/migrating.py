"""Brings a database's schema up to date when it is opened."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from devgate.errors import SetupError
from devgate.store.outage import busy
from devgate.store.schema import SCHEMA, VERSION_TABLE

if TYPE_CHECKING:
    from devgate.store.engine import Database

# Seconds to wait for a process that turns SQLite's write-ahead log on at the same moment ...
OPENING_SECONDS = 5.0
# ... and for one that makes the tables of a new database, which a busy machine does not do sooner.
TABLES_SECONDS = 30.0
# The version of a database that `devgate db move` has begun to fill: newer than any other, so that
# no devgate of any version serves with it.
MOVING = "moving"
MIGRATING = 0x64657667  # PostgreSQL's advisory lock: one process migrates at a time


log = logging.getLogger("devgate.store")


def prepare(database: Database, *, upgrade: bool) -> None:
    """Make the tables of a new database, and migrate an older one if `upgrade` is true. Waits for
    another process that does the same.

    Raises SetupError for a newer schema, and for an older one without `upgrade`: an older gateway
    may be running with it.
    """
    began = time.monotonic()
    while True:
        found: str | None = SCHEMA
        try:
            with database.read() as conn:
                found = version_of(conn)
            return None if found == SCHEMA else _prepare(database, upgrade)
        except DBAPIError as err:
            # SQLite's busy handler is not asked when the write-ahead log is turned on.
            limit = OPENING_SECONDS if found == SCHEMA else TABLES_SECONDS
            if database.dialect != "sqlite" or not busy(err) or time.monotonic() >= began + limit:
                raise
        time.sleep(0.01)


def _prepare(database: Database, may: bool) -> None:
    with migrating(database) as (conn, found):
        if found is not None and found < SCHEMA and not may:
            raise SetupError(
                f"[store] url: the database {database.url_shown} has schema {found}, and this "
                f"devgate works with {SCHEMA}; it was left as it is, for an older gateway may be "
                "running with it. Stop that one, then run `devgate db upgrade`, or this version's "
                "`devgate serve`"
            )
        if found != SCHEMA:
            # Imported here: Alembic takes longer to import than everything else.
            from devgate.store.migrations.run import upgrade

            upgrade(conn)
            if found is not None:
                log.warning("schema of the database upgraded from=%s to=%s", found, SCHEMA)


@contextmanager
def migrating(database: Database) -> Iterator[tuple[Connection, str | None]]:
    """A transaction in which nobody else migrates, and the schema that the database has in it.
    Raises SetupError for a newer schema."""
    with database.write() as conn:
        if database.dialect == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": MIGRATING})
        found = version_of(conn)
        must_be_known(found, database)
        yield conn, found


def must_be_known(found: str | None, database: Database) -> None:
    """Raises SetupError for a newer schema, and for an incomplete copy."""
    if found == MOVING:
        raise SetupError(
            f"[store] url: the database {database.url_shown} is an unfinished copy of an SQLite "
            "database, and not served with: run `devgate db move` again, and leave [store] url at "
            "the SQLite database until it is done",
            status="409",
        )
    if found is not None and found > SCHEMA:
        raise SetupError(
            f"[store] url: the database {database.url_shown} has schema {found}, and this "
            f"devgate knows schemas up to {SCHEMA}; run the newer devgate that made it"
        )


def version_of(conn: Connection) -> str | None:
    """The schema that a database has. None: it is new."""
    if not conn.dialect.has_table(conn, VERSION_TABLE):
        return None
    version: str | None = conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return version
