"""A store with a million devices and ten million commands, of the schema before lists."""

from __future__ import annotations

import time

from sqlalchemy import Connection, text

from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.finding import ID_AT
from devgate.store.migrating import version_of
from devgate.store.migrations.run import upgrade

FIRST_IMEI = 860_000_000_000_000
SPAN = 30 * 86_400.0  # seconds over which the commands lie
# By the device's number n: its name and its site. Some are rare.
NAME = (
    "CASE WHEN n % 100003 = 11 THEN '稀有' || n WHEN n % 5 = 0 THEN '大厅按摩椅 ' || n "
    "WHEN n % 5 = 1 THEN '浴室 ' || n || ' 号' ELSE 'Chair ' || n END"
)
SITE = (
    "CASE WHEN n % 50021 = 7 THEN 'Rare' WHEN n % 10 = 3 THEN 'Hall' ELSE 'Site ' || n % 997 END"
)
STATUS = (
    "CASE WHEN n % {every} = 0 THEN '408' WHEN n % 1000 < 960 THEN '200' "
    "WHEN n % 1000 < 970 THEN '201' ELSE '404' END"
)
SOURCE = (
    "CASE WHEN n % 20011 = 5 THEN 'web:anna' WHEN n % 500009 = 3 THEN 'http:test' "
    "ELSE 'http:shop' END"
)
NUMBERS = {
    "sqlite": "WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number "
    "WHERE n + 1 < {count}) ",
    "postgresql": "WITH number(n) AS (SELECT CAST(n AS BIGINT) FROM generate_series(0, "
    "{count} - 1) AS n) ",
}
INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
    "AND tbl_name IN ('command', 'device', 'presence')",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = "
    "current_schema() AND tablename IN ('command', 'device', 'presence') "
    "AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'",
}


def rare_imei(n: int) -> str:
    """The IMEI of the device with that number."""
    return f"{FIRST_IMEI + n:015}"


def fill(url: str, devices: int, commands: int, unknown: int) -> bool:
    """Make the store. Its rows and indexes are the real ones; indexes are made at the end, for
    rows in no order cost each of them a page. False: it is there already."""
    database = Database(make_engine(url))
    kind = database.dialect
    with database.read() as conn:
        if version_of(conn) is not None:
            database.close()
            return False
    with database.write() as conn:
        upgrade(conn, "0007")
        found = [(row[0], row[1]) for row in conn.execute(text(INDEXES[kind]))]
        for name, _ in found:
            conn.exec_driver_sql(f"DROP INDEX {name}")
        _devices(conn, kind, devices)
        _commands(conn, kind, devices, commands, max(1, commands // unknown))
        for _, sql in found:
            conn.exec_driver_sql(sql)
    database.close()
    return True


def _devices(conn: Connection, kind: str, count: int) -> None:
    imei = (
        f"printf('%015d', {FIRST_IMEI} + n)" if kind == "sqlite" else f"({FIRST_IMEI} + n)::text"
    )
    numbers = NUMBERS[kind].format(count=count)
    _run(conn, numbers, "device (imei, id, name, site, enabled)",
         f"SELECT {imei}, n + 1, {NAME}, {SITE}, n % 499 <> 3 FROM number")  # fmt: skip
    now = time.time()
    # 60 % online, 5 % never seen; since when is of the last thirty days. One in 200 runs.
    _run(conn, numbers, "presence (imei, online, since, heard, running_until)",
         f"SELECT {imei}, n % 20 < 12, {now} - (n * 7919) % 2592000, {now}, "
         f"CASE WHEN n % 200 = 1 THEN {now} + 9e9 END FROM number WHERE n % 20 <> 19")  # fmt: skip


def _commands(conn: Connection, kind: str, devices: int, count: int, every: int) -> None:
    now = time.time()
    at = f"({now - SPAN} + n * {SPAN / count})"
    which = f"((n * 7919) % {devices})"
    number = "printf('%016d', n)" if kind == "sqlite" else "lpad(n::text, 16, '0')"
    imei = f"printf('%015d', {FIRST_IMEI} + {which})" if kind == "sqlite" else (
        f"({FIRST_IMEI} + {which})::text"
    )  # fmt: skip
    id = f"{ID_AT} || {number}"
    status = STATUS.format(every=every)
    sent = f"({status}) <> '404'"
    _run(
        conn, NUMBERS[kind].format(count=count),
        "command (id, imei, type, long, key, spent, status, state, message, source, accepted_at, "
        "sent_at, ended_at)",
        f"SELECT {id}, {imei}, CASE WHEN n % 97 = 5 THEN 'stop' ELSE 'start' END, 900, "
        f"'order-' || n, CASE WHEN {sent} THEN 'order-' || n END, {status}, 'ended', "
        f"'the device says so', {SOURCE}, at, CASE WHEN {sent} THEN at + 0.1 END, at + 2 "
        f"FROM (SELECT n, {at} AS at, CAST({at} * 1000 AS BIGINT) AS ms FROM number) AS timed",
    )  # fmt: skip


def _run(conn: Connection, numbers: str, into: str, query: str) -> None:
    conn.execute(text(f"INSERT INTO {into} {numbers}{query}"))
