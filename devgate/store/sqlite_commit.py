"""The usual commit to SQLite, on the DBAPI connection below SQLAlchemy.

SQLAlchemy's part of a statement costs more than SQLite's own where one row is written: the commits
of one start take a third less CPU time without it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from devgate.store.engines import begin_immediate
from devgate.store.files import Files
from devgate.store.ownership import Fence


def commit(
    conn: Connection,
    fence: Fence,
    files: Files | None,
    statements: Iterable[tuple[str, tuple[Any, ...]]],
) -> None:
    """Execute them in one transaction, and roll back on any exception. `conn` is not in a
    transaction, its `busy_timeout` is 0, and it is not new.

    Raises what Files.look() and Fence.check_sqlite() raise, and SQLAlchemy's DBAPIError for an
    error of SQLite, as the connection itself does.
    """
    session = conn.connection.dbapi_connection
    assert isinstance(session, sqlite3.Connection), "the dialect is sqlite"
    try:
        try:
            session.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:  # usually another program writes at this moment
            begin_immediate(session.execute)
        if files is not None:
            files.look()
        fence.check_sqlite(session)
        for sql, values in statements:
            session.execute(sql, values)
        session.execute("COMMIT")
    except BaseException as err:
        with suppress(sqlite3.Error):  # it may have rolled back by itself
            session.rollback()
        if isinstance(err, sqlite3.Error):
            raise DBAPIError.instance(
                None, None, err, sqlite3.Error, dialect=conn.dialect
            ) from err
        raise
