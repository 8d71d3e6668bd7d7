"""Checks the database: its schema, its state, its durability settings, and how fast it grows."""

from __future__ import annotations

import os
import time
from pathlib import Path

from devgate.config.settings import Settings
from devgate.doctor.disk import READ_ONLY
from devgate.doctor.finding import Finding, Findings, error, in_bytes, ok, warning
from devgate.errors import SetupError
from devgate.store.copies import unreadable
from devgate.store.health import Health, expected, look
from devgate.store.opening import opened, reach
from devgate.store.promise import look as promises
from devgate.store.seal import Seal
from devgate.store.server_health import Server

CHECK = "database"
DAY = 86400.0
STEP_SECONDS = 5.0  # an event further in the future means that the clock was set back
SLOW_SECONDS = 0.05
CLOCK_SECONDS = 1.0  # between this machine and the database's
OLD_TRANSACTIONS, TOO_OLD_TRANSACTIONS = 1_000_000_000, 1_700_000_000
CONNECTIONS_SHARE = 0.9
MAX_SLOT_BYTES = 2e9  # bytes
MAX_LOG_BYTES = 512 * 1024 * 1024  # bytes of SQLite's write-ahead log


def file_of(settings: Settings) -> Path | None:
    """SQLite's file; None for PostgreSQL."""
    url = settings.store.url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def health(settings: Settings) -> Health | Finding:
    """The state of the database, or why it is not known."""
    file = file_of(settings)
    if file is not None and not file.exists():
        return ok(CHECK, f"{file} is not there yet: `devgate serve` makes it")
    if file is not None and not os.access(file, os.R_OK | os.W_OK):
        if os.geteuid() == 0:
            return error(CHECK, f"{file} cannot be written to", READ_ONLY)
        return error(
            CHECK, f"this user may not use {file}", "run `devgate doctor` as root or as its owner"
        )
    try:
        return look(settings.store.url)
    except SetupError as err:
        if file is None:
            action = "start the server, or mend [store] url and its password"
        else:
            action = "restore a backup: docs/manual.md, Back up and restore"
        return error(CHECK, str(err), action)


def examine(settings: Settings, found: Health) -> Findings:
    """What is wrong with a database that was looked at."""
    faults = list(_faults(settings, found))
    if found.schema == expected():
        faults += _sealed(settings)
    yield from faults
    if not faults:
        words = f"{found.server}, schema {found.schema}, {in_bytes(found.size)}, "
        yield ok(CHECK, words + f"{found.events:,} events, {found.devices:,} devices")
    for words in promises(settings.store.url, cluster=bool(settings.cluster.node)):
        if words.startswith("warning: "):
            action = "docs/manual.md, When the database has lost rows, says what to set"
            yield warning("promises", words.removeprefix("warning: "), action)
        else:
            yield ok("promises", words)


def _faults(settings: Settings, found: Health) -> Findings:
    if found.schema is not None and found.schema < expected():
        yield warning(
            CHECK,
            f"it has schema {found.schema}, and this version works with {expected()}",
            "back it up, stop the gateway, then `devgate db upgrade`, or start this version",
        )
    for words in found.damage:
        yield error(
            CHECK, f"SQLite says that the file is damaged: {words}",
            "stop the gateway and restore a backup",
        )  # fmt: skip
    if not found.checked:
        yield warning(
            CHECK,
            "the file is too large to be checked in 10 s",
            f"in a quiet hour: sqlite3 {file_of(settings)} 'PRAGMA quick_check'",
        )
    for name, statement in found.missing_indexes.items():
        yield error(
            CHECK, f"the index {name} is missing: pages and orders become slow",
            f"in a quiet hour, in the database: {statement}",
        )  # fmt: skip
    if found.log_size > MAX_LOG_BYTES:
        yield warning(
            CHECK,
            f"SQLite's write-ahead log has {in_bytes(found.log_size)}: a reader keeps it",
            "end programs that read the database for hours (backups, sqlite3 shells)",
        )
    if found.slowest > SLOW_SECONDS:
        yield warning(
            CHECK, f"the slowest of 50 small reads took {found.slowest * 1e3:.0f} ms",
            "look at the load of this machine and at its disk" if found.postgresql is None else
            "look at the load of the database server and at the network to it",
        )  # fmt: skip
    if found.newest is not None and found.newest > time.time() + STEP_SECONDS:
        ahead = found.newest - time.time()
        yield error(
            "clock",
            f"the newest event is {ahead:.0f} s in the future: the clock was set back",
            "set the clock right (timedatectl); see docs/manual.md about `devgate trim`",
        )
    if found.postgresql is not None:
        yield from _server(found.postgresql)
    yield from _growth(settings, found)


def _sealed(settings: Settings) -> Findings:
    """Secrets that the key file does not open."""
    key_file = settings.store.key_file
    if os.path.exists(key_file) and not os.access(key_file, os.R_OK):
        return  # not for this user
    database = opened(settings.store.url, reach)
    try:
        with database.read() as conn:
            for words in unreadable(conn, Seal(key_file)):
                yield error(CHECK, words, "docs/manual.md, Back up and restore, has the key file")
    finally:
        database.close()


def _server(server: Server) -> Findings:
    if abs(server.ahead) > CLOCK_SECONDS + server.unsure:
        where = "ahead of" if server.ahead > 0 else "behind"
        yield warning(
            "clock",
            f"the database server's clock is {abs(server.ahead):.1f} s {where} this machine's",
            "synchronise both clocks (chrony)",
        )
    if not server.autovacuum:
        yield warning(
            CHECK,
            "PostgreSQL: autovacuum is off: tables grow, and in the end no write is taken",
            "in postgresql.conf: autovacuum = on",
        )
    if server.age > OLD_TRANSACTIONS:
        say = error if server.age > TOO_OLD_TRANSACTIONS else warning
        yield say(
            CHECK,
            f"PostgreSQL: {server.age:,} transactions since all rows were frozen: from "
            "2,100,000,000 on no write is taken",
            "end transactions that stay open (pg_stat_activity), then: vacuumdb --all --freeze",
        )
    used, max_connections = server.connections
    if used > max_connections * CONNECTIONS_SHARE:
        yield warning(
            CHECK,
            f"PostgreSQL: {used:,} of {max_connections:,} connections are taken",
            "raise max_connections, or end other programs",
        )
    for slot in server.slots:
        if slot.kept_bytes > MAX_SLOT_BYTES:
            yield warning(
                CHECK,
                f"PostgreSQL: nobody reads the replication slot {slot.name}, which keeps "
                f"{in_bytes(slot.kept_bytes)} of the write-ahead log",
                f"start its replica, or: SELECT pg_drop_replication_slot('{slot.name}')",
            )


def _growth(settings: Settings, found: Health) -> Findings:
    """Whether the rows of the configured time will fit on the disk."""
    file, store = file_of(settings), settings.store
    if file is None or not found.events:
        return
    each = found.size / found.events
    full = each * found.events_a_day * store.keep_events / DAY
    if store.max_size:
        full = min(full, float(store.max_size))
    disk = os.statvfs(file.parent)
    room = disk.f_bavail * disk.f_frsize + found.size
    if full > room:
        yield warning(
            CHECK,
            f"at the rate of the last events it grows to {in_bytes(full)} until the oldest are "
            f"deleted, and the disk has room for {in_bytes(room)}",
            "set [store] keep_events or max_size, or use a larger disk",
        )
