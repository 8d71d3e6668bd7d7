"""Connections to SQLite and PostgreSQL, and how each of them is set up."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from devgate.errors import SetupError
from devgate.store import postgres_url
from devgate.store.modes import private
from devgate.store.outage import busy

LOCK_SECONDS = 5.0  # seconds to wait for another program's lock, on either database
# How often a writer tries to get SQLite's lock. Its own busy handler slows down to tries 100 ms
# apart, and would miss the short gaps of an import.
LOOK_SECONDS = 0.002
CACHE_KIB = 8000  # of each SQLite connection that reads, at most
WRITER_CACHE_KIB = 2000  # of the one that writes the journal: it mostly appends
CONNECTIONS = 40  # the number of trio's threads: none of them waits for a connection


def make_engine(text: str) -> Engine:
    """An engine for a URL of `[store] url`: a SQLite file or PostgreSQL. Connects to nothing.

    Raises SetupError (400) for any other URL, without repeating it: it may hold a password.
    """
    try:
        if text.startswith("postgres"):
            return _postgresql(
                postgres_url.parsed(text.replace("postgres://", "postgresql://", 1))
            )
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = URL.create("nothing")
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return _sqlite(url)
    # The URL itself is not repeated: what cannot be read may hold a password anywhere.
    raise SetupError(
        "[store] url: sqlite:///path/to/file.db or postgresql://user@host/name expected; several "
        "servers are postgresql://user@host1:5432,host2:5432/name",
        status="400",
    )


def _sqlite(url: URL) -> Engine:
    assert url.database, "the caller has looked"
    # The real path: one file has one lock file, however it is named.
    path = Path(url.database).resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise SetupError(
            f"[store] url: the folder {path.parent} cannot be made: {err.strerror}"
        ) from None
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise SetupError(
            f"[store] url: the folder {path.parent} is not writable for this user; SQLite keeps "
            f"its log beside {path.name}"
        )
    if path.exists() and path.stat().st_nlink > 1:
        raise SetupError(
            f"[store] url: the file {path} has {path.stat().st_nlink} names (hard links); SQLite "
            "keeps a log for each of them, which corrupts the database: remove the other names, "
            "or copy the file"
        )
    try:
        private(path)
    except OSError as err:
        raise SetupError(
            f"[store] url: the file {path} cannot be made: {err.strerror}", status="503"
        ) from None
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": LOCK_SECONDS, "isolation_level": None},
        pool_size=CONNECTIONS,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: object, record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        # WAL with less than FULL may lose the last commits in a power cut: a "sent" must not
        # be lost. The limit gives disk back after a long reader kept the log from ending.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            # A page of one device's events reads hundreds of pages of three trees. With SQLite's
            # own 2 MB their upper levels do not stay (a million commands: 1.6 ms and not 0.5).
            f"cache_size=-{CACHE_KIB}",
            f"journal_size_limit={64 * 1024 * 1024}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        if conn.get_execution_options().get("devgate_writes"):
            _begin_immediate(conn)
        else:
            conn.exec_driver_sql("BEGIN")

    return engine


def _begin_immediate(conn: Connection) -> None:
    if conn.get_execution_options().get("devgate_looks"):
        begin_immediate(conn.exec_driver_sql)
        return
    conn.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        begin_immediate(conn.exec_driver_sql)
    finally:
        conn.exec_driver_sql(f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}")


def begin_immediate(run: Callable[[str], object]) -> None:
    """Take SQLite's one writer lock, looking often; after LOCK_SECONDS its error is raised.

    `run` runs a statement on a connection whose `busy_timeout` is 0.
    """
    patience = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            run("BEGIN IMMEDIATE")
            return
        except (DBAPIError, sqlite3.Error) as err:
            if not busy(err) or time.monotonic() >= patience:
                raise
        time.sleep(LOOK_SECONDS)


def _postgresql(url: URL) -> Engine:
    hosts = postgres_url.hosts_of(url)
    # A server that vanished without a word is noticed within seconds, not hours.
    defaults = {
        # For each host. Of several, one that vanished is passed while a commit still counts as one
        # that takes its time (writer.SLOW_SECONDS).
        "connect_timeout": "2" if len(hosts) > 1 else "5",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",
        "application_name": "devgate",
        "client_encoding": "utf8",
    }
    engine = create_engine(
        url,
        connect_args={k: v for k, v in defaults.items() if k not in url.query},
        pool_pre_ping=True,  # a server that was restarted is found again without an error
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
    )
    if len(hosts) > 1:
        _ask_the_last_one_first(engine, hosts)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        # What `initdb` and Debian's package make where the locale is "C". Such a server counts and
        # cuts texts by bytes.
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            raise SetupError(
                f"[store] url: the database {connection.info.dbname} has the encoding SQL_ASCII; "
                "UTF8 expected: make it by `createdb --encoding=UTF8 --template=template0`",
                status="400",
            )
        connection.autocommit = True
        # Whatever the server's own setting is: what is "sent" must be on disk.
        connection.execute("SET synchronous_commit = on")
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        connection.autocommit = False

    return engine


def _ask_the_last_one_first(engine: Engine, hosts: Sequence[postgres_url.Host]) -> None:
    """Try the host that answered last first. After a failover, new connections then do not wait
    for the timeout of the former primary, and none goes to it if it comes back and still believes
    to be the primary."""
    order = [tuple(hosts)]  # replaced as a whole: threads of the pool read it meanwhile

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, args: object, options: dict[str, str]) -> None:
        now = order[0]
        options["host"] = ",".join(host for host, _ in now)
        options["port"] = ",".join(port for _, port in now)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        place = connection.info.host, connection.info.port
        order[0] = tuple(sorted(hosts, key=lambda host: (host[0], int(host[1] or 5432)) != place))
