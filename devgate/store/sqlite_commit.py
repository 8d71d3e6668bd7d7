"""A transaction of SQLite that writes, on the session of a connection of SQLAlchemy's.

SQLAlchemy's part of a statement costs more than SQLite's own where one row is written: the commits
of one start take a third less CPU time without it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from devgate.store.engines import begin_immediate


@contextmanager
def own_session(conn: Connection) -> Iterator[sqlite3.Connection]:
    """Take the writer lock, and commit at the end, or roll back if anything is raised. `conn` is
    in no transaction, and its `busy_timeout` is 0.

    Raises SQLAlchemy's DBAPIError for an error of SQLite, as the connection itself does.
    """
    session = conn.connection.dbapi_connection
    assert isinstance(session, sqlite3.Connection), "the dialect is sqlite"
    try:
        begin_immediate(session.execute)
        yield session
        session.execute("COMMIT")
    except BaseException as err:
        with suppress(sqlite3.Error):  # it may have rolled back by itself
            session.rollback()
        if isinstance(err, sqlite3.Error):
            raise DBAPIError.instance(
                None, None, err, sqlite3.Error, dialect=conn.dialect
            ) from err
        raise
