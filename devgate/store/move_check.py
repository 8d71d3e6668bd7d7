"""Whether a database can be moved to, before anything is begun."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.migrating import MOVING, must_be_known, version_of
from devgate.store.moves import target
from devgate.store.opening import opened
from devgate.store.schema import command, device


def look(source: str, url: str) -> None:
    """Check that the PostgreSQL database can be reached, and is empty or the target of an earlier
    move. Changes nothing. Raises SetupError."""
    must_be_kinds(source, url)

    def work(database: Database) -> None:
        with database.read() as conn:
            found = version_of(conn)
            if found not in (None, MOVING):
                must_be_known(found, database)
                must_be_empty(conn, database)

    with target.in_sentences():
        opened(url, work).close()


def must_be_kinds(source: str, url: str) -> None:
    """Raises SetupError unless it goes from SQLite to PostgreSQL."""
    if not source.startswith("sqlite") or not url.startswith("postgres"):
        raise SetupError(
            "[store] url has to name the SQLite database, and URL is postgresql://...",
            status="400",
        )


def must_be_empty(conn: Connection, database: Database) -> None:
    """Raises SetupError for a database that has served already."""
    for table in (command, event, device):
        if conn.scalar(select(func.count()).select_from(select(table.c[0]).limit(1).subquery())):
            raise SetupError(
                f"{database.url_shown} has rows in the table {table.name}; a database is "
                "moved into an empty one: make another (createdb)",
                status="400",
            )
