"""The state of a PostgreSQL server, for `devgate doctor`: resources that slowly run out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

_SERVER = text("""
    SELECT current_setting('autovacuum') = 'on' AS autovacuum,
        (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS age,
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int AS max_connections,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
        current_setting('archive_mode') <> 'off' AS archives
""")
_ARCHIVER = text("""
    SELECT extract(epoch FROM last_archived_time)::float8 AS done,
        extract(epoch FROM last_failed_time)::float8 AS failed, last_failed_wal AS file
    FROM pg_stat_archiver
""")
_SLOTS = text("""
    SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS kept
    FROM pg_replication_slots
    WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY kept DESC LIMIT 10
""")
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class Slot(NamedTuple):
    """A replication slot that nobody reads, and the bytes of the log that it keeps."""

    name: str
    kept_bytes: float


class Archive(NamedTuple):
    """The archive of the write-ahead log. Times are seconds since 1970, on the server's clock."""

    done: float | None  # when a file of it was last archived
    failed: float | None  # when that last failed, and which file it was
    file: str | None

    @property
    def fails(self) -> bool:
        """Whether the last attempt failed."""
        return self.failed is not None and self.failed > (self.done or 0.0)


class Server(NamedTuple):
    """What was found."""

    ahead: float  # about how many seconds its clock is ahead of this machine's
    unsure: float  # seconds by which `ahead` may be wrong
    autovacuum: bool
    age: int  # transactions since the oldest row was frozen
    connections: tuple[int, int]  # taken, and how many may be
    archive: Archive | None  # None: it keeps none
    slots: Sequence[Slot]


def look(conn: Connection) -> Server:
    """Ask the server. Raises SQLAlchemy's errors."""
    began = time.time()
    now: float = conn.scalar(_NOW) or 0.0
    took = time.time() - began
    row = conn.execute(_SERVER).one()
    replica = conn.scalar(text("SELECT pg_is_in_recovery()"))
    slots = [] if replica else [Slot(one.slot_name, one.kept) for one in conn.execute(_SLOTS)]
    archive = Archive(*conn.execute(_ARCHIVER).one()) if row.archives else None
    return Server(
        now - began - took / 2, took / 2, row.autovacuum, row.age, (row.used, row.max_connections),
        archive, slots,
    )  # fmt: skip
