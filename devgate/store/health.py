"""The state of a database, for `devgate doctor`: read once, without changes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex

from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.metadata import metadata
from devgate.store.migrating import must_be_known, version_of
from devgate.store.opening import opened
from devgate.store.outage import one_line
from devgate.store.schema import SCHEMA, device
from devgate.store.server_health import Server
from devgate.store.server_health import look as look_at_server

CHECK_SECONDS = 10.0  # of SQLite's own check; a database of some GB takes longer
MAX_DAMAGE = 400  # characters of what that says
ROUND_TRIPS = 50
RATE_EVENTS = 20_000  # the newest ones, of which the rate is taken
DAY = 86400.0
_INDEXES = {
    "sqlite": text("SELECT name FROM sqlite_schema WHERE type = 'index'"),
    "postgresql": text(
        # An index whose creation failed exists, and is not usable.
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY (current_schemas(false)) AND i.indisvalid"
    ),
}


class Health(NamedTuple):
    """What was found. Sizes are bytes, times seconds."""

    server: str  # "SQLite 3.46.1"
    schema: str | None  # None: the database is new
    missing_indexes: Mapping[str, str]  # by name, each with the statement that makes it
    size: int
    log_size: int  # of SQLite's write-ahead log
    devices: int
    newest: float | None  # when the newest event was, on the gateway's clock
    events: int  # how many there are, about
    events_a_day: float  # by the newest ones
    damage: tuple[str, ...]  # what SQLite's own check says
    checked: bool  # it came to its end
    slowest: float  # of ROUND_TRIPS reads
    postgresql: Server | None = None  # how that server is


def expected() -> str:
    """The schema that this version works with."""
    return SCHEMA


def look(url: str) -> Health:
    """Raises SetupError for a database that cannot be opened, or has a newer schema."""
    found: list[Health] = []
    opened(url, lambda database: found.append(_look(database))).close()
    return found[0]


def _look(database: Database) -> Health:
    with database.read() as conn:
        version = version_of(conn)
        must_be_known(version, database)
        lite = database.dialect == "sqlite"
        numbers = ".".join(map(str, conn.dialect.server_version_info or ()))
        server = f"{'SQLite' if lite else 'PostgreSQL'} {numbers}"
        if version is None:
            return Health(server, None, {}, 0, 0, 0, None, 0, 0.0, (), True, 0.0)
        newest, events, rate = _events(conn)
        damage, checked = _checked(conn) if lite else ((), True)
        return Health(
            server=server,
            schema=version,
            missing_indexes=missing_indexes(conn) if version == SCHEMA else {},
            size=_size(conn, lite),
            log_size=_log_size(database.file),
            devices=conn.scalar(select(func.count()).select_from(device)) or 0,
            newest=newest,
            events=events,
            events_a_day=rate,
            damage=damage,
            checked=checked,
            slowest=_slowest(conn),
            postgresql=None if lite else look_at_server(conn),
        )


def missing_indexes(conn: Connection) -> Mapping[str, str]:
    """By name, each with the statement that makes it."""
    return dict(_missing(conn))


def _missing(conn: Connection) -> Iterator[tuple[str, str]]:
    # SQLAlchemy's inspector does not see indexes of expressions in SQLite.
    there = set(conn.scalars(_INDEXES[conn.dialect.name]))
    for table in metadata.sorted_tables:
        for one in sorted(table.indexes, key=lambda index: str(index.name)):
            if one.name not in there:
                made = one_line(str(CreateIndex(one).compile(dialect=conn.dialect)))
                if conn.dialect.name == "postgresql":
                    made = f"DROP INDEX IF EXISTS {one.name}; {made}"
                yield str(one.name), made


def _events(conn: Connection) -> tuple[float | None, int, float]:
    """When the newest was, how many there are, and how many come in a day."""
    numbers = select(event.c.n, event.c.at)
    last = conn.execute(numbers.order_by(event.c.n.desc()).limit(1)).first()
    first = conn.execute(numbers.order_by(event.c.n).limit(1)).first()
    if last is None or first is None:
        return None, 0, 0.0
    early = numbers.where(event.c.n >= last.n - RATE_EVENTS).order_by(event.c.n).limit(1)
    since = conn.execute(early).one()
    seconds = max(last.at - since.at, DAY / 24)  # an hour's at least: not by the first minute
    return last.at, last.n - first.n + 1, (last.n - since.n) / seconds * DAY


def _size(conn: Connection, lite: bool) -> int:
    if lite:
        pages = conn.scalar(text("SELECT page_count FROM pragma_page_count"))
        each = conn.scalar(text("SELECT page_size FROM pragma_page_size"))
        return int((pages or 0) * (each or 0))
    return int(conn.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def _log_size(file: Path | None) -> int:
    wal = Path(f"{file}-wal")
    return wal.stat().st_size if file is not None and wal.exists() else 0


def _slowest(conn: Connection) -> float:
    worst = 0.0
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        conn.execute(select(event.c.n).order_by(event.c.n.desc()).limit(1)).first()
        worst = max(worst, time.perf_counter() - began)
    return worst


def _checked(conn: Connection) -> tuple[tuple[str, ...], bool]:
    """The result of SQLite's check, and whether it was complete within CHECK_SECONDS."""
    try:
        with _limited(conn):
            said = [
                one_line(row[0])[:MAX_DAMAGE]
                for row in conn.execute(text("PRAGMA quick_check(10)"))
            ]
    except OperationalError as err:
        if "interrupted" not in str(err.orig):
            raise
        return (), False
    return tuple(line for line in said if line != "ok"), True


@contextmanager
def _limited(conn: Connection) -> Iterator[None]:
    """Statements in this block end by "interrupted" after CHECK_SECONDS."""
    driver = conn.connection.driver_connection
    assert driver is not None
    until = time.monotonic() + CHECK_SECONDS
    driver.set_progress_handler(lambda: time.monotonic() >= until, 100_000)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
