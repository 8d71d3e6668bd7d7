"""The faults of disks and databases. Each function makes one and ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psycopg

from faulting.storm import Fault, Skip, Storm
from tests.postgres import Postgres

REFUSAL = "no: the storm does not let this row in"
NOTICES_WITHIN = 1.5  # seconds after which no start may go out any more when the file is replaced


# Disks


def disk_error(storm: Storm) -> None:
    """fsync, pwrite or open fail, for a while or some times."""
    rng = storm.rng
    times = rng.choice([1, 5, -1, -1])
    kind, number = rng.choice(
        [("fsync", errno.EIO), ("pwrite", errno.EIO), ("pwrite", errno.ENOSPC),
         ("pwrite", errno.EROFS), ("pwrite", errno.EDQUOT), ("open", errno.EMFILE)]
    )  # fmt: skip
    storm.faults.set(**{f"{kind}_errno": number, f"{kind}_faults": times})
    time.sleep(rng.uniform(0.3, 3))


def short_writes(storm: Storm) -> None:
    storm.faults.set(pwrite_short=1, pwrite_faults=storm.rng.choice([1, 20, -1]))
    time.sleep(storm.rng.uniform(0.3, 2))


def slow_fsync(storm: Storm) -> None:
    """One fsync hangs, or all take long (F10, F12)."""
    rng = storm.rng
    if rng.random() < 0.6:
        storm.faults.set(fsync_delay_us=int(rng.uniform(1, 10) * 1e6), fsync_faults=1)
        time.sleep(rng.uniform(1, 10))
        if rng.random() < 0.3:  # a stop that meets a hanging disk
            storm.world.signal(signal.SIGTERM)
            time.sleep(rng.uniform(0, 2))
            storm.world.signal(signal.SIGTERM)
            if storm.world.wait(8) is None:
                storm.breach("the second SIGTERM did not end it while an fsync hangs")
                storm.faults.clear()
                storm.world.kill()
            storm.faults.clear()
            storm.relaunch()
    else:
        storm.faults.set(fsync_delay_us=int(rng.uniform(0.05, 0.5) * 1e6), fsync_faults=-1)
        time.sleep(rng.uniform(1, 4))


def full_disk(storm: Storm) -> None:
    """The file system is full, really: a tmpfs that is filled up."""
    folder = storm.world.database.parent
    if not os.path.ismount(folder):
        raise Skip("mounting a tmpfs is not allowed here; `disk error` has ENOSPC")
    rest = folder / "rest"
    free = os.statvfs(folder)
    left = free.f_bavail * free.f_frsize
    try:
        with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(left - 65536, 1))
            while True:
                file.seek(0, os.SEEK_END)
                file.write(bytes(4096))
        time.sleep(storm.rng.uniform(0.5, 3))
    finally:
        rest.unlink()


# SQLite


def locked(storm: Storm) -> None:
    """Another program holds SQLite's lock."""
    seconds = min(12.0, 0.3 + storm.rng.expovariate(1 / 2.0))
    how = storm.rng.choice(["IMMEDIATE", "EXCLUSIVE"])
    with contextlib.closing(sqlite(storm)) as conn:
        conn.execute(f"BEGIN {how}")
        time.sleep(seconds)
        conn.execute("ROLLBACK")


def refused_rows(storm: Storm) -> None:
    """A trigger refuses rows of a table (F2)."""
    table, act = storm.rng.choice(
        [("command", "UPDATE"), ("command", "INSERT"), ("event", "INSERT"), ("presence", "UPDATE")]
    )
    execute(storm, f"CREATE TRIGGER storm BEFORE {act} ON {table} BEGIN "
            f"SELECT RAISE(ABORT, '{REFUSAL}'); END")  # fmt: skip
    try:
        time.sleep(storm.rng.uniform(0.3, 3))
    finally:
        execute(storm, "DROP TRIGGER storm")


def sqlite(storm: Storm) -> sqlite3.Connection:
    return sqlite3.connect(storm.world.database, timeout=30, isolation_level=None)


def execute(storm: Storm, statement: str) -> None:
    with contextlib.closing(sqlite(storm)) as conn:
        conn.execute(statement)


def replaced(storm: Storm) -> None:
    """The file is moved away under the gateway, and perhaps a copy takes its place (F5).

    What is then accepted is on no disk that anybody will read: no start may go out. Afterwards
    the operator ends the gateway and puts the file back.
    """
    world, rng = storm.world, storm.rng
    aside = world.database.with_name("aside.db")
    copy = world.database.with_name("copy.db")
    with contextlib.suppress(FileNotFoundError):
        copy.unlink()
    with_copy = rng.random() < 0.6
    if with_copy:
        with contextlib.closing(sqlite(storm)) as conn:
            conn.execute("VACUUM INTO ?", (str(copy),))
    world.database.rename(aside)
    if with_copy:
        copy.rename(world.database)
    began = time.monotonic()
    time.sleep(rng.uniform(2, 4))
    storm.closed.append(
        (began + NOTICES_WITHIN, time.monotonic(), "the database file was not the one it opened")
    )
    status = world.status()
    if status is not None and status.get("store") == "ok":
        storm.breach("the database file was replaced, and `status` says that the store is ok")
    world.signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
    if world.wait(25) is None:
        storm.breach("SIGTERM did not end it after the database file was replaced")
        world.kill()
    if with_copy:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{world.database}?mode=ro&immutable=1",
                                                    uri=True)) as conn:  # fmt: skip
                sound = conn.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as err:
            sound = str(err)
        if sound != "ok":
            storm.breach(f"the copy in the database's place is damaged: {sound}")
    put_back(world.database, aside)
    storm.relaunch()


def put_back(database: Path, aside: Path) -> None:
    """The operator's part: the file at its place again. The gateway has set its log aside, so that
    nobody applies it to the copy, and takes that back by itself."""
    with contextlib.suppress(FileNotFoundError):
        database.unlink()
    aside.rename(database)


# PostgreSQL


def server_of(storm: Storm) -> Postgres:
    assert storm.server is not None, "only with PostgreSQL"
    return storm.server


def restart(storm: Storm) -> None:
    server = server_of(storm)
    server.stop(storm.rng.choice([signal.SIGINT, signal.SIGQUIT]))
    time.sleep(storm.rng.uniform(0, 2))
    server.start()


def sessions(storm: Storm, others: str = "") -> list[int]:
    """The process ids of the backends that serve devgate."""
    with psycopg.connect(storm.world.url, autocommit=True) as conn:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in conn.execute(query)]


def end_sessions(storm: Storm) -> None:
    with psycopg.connect(storm.world.url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def kill_backend(storm: Storm) -> None:
    """One backend dies: the server ends all sessions and recovers."""
    pids = sessions(storm)
    if pids:
        os.kill(storm.rng.choice(pids), signal.SIGKILL)
    time.sleep(1)


def frozen_backends(storm: Storm) -> None:
    pids = sessions(storm)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(min(12.0, 0.5 + storm.rng.expovariate(1 / 3.0)))
        if storm.rng.random() < 0.2:  # a stop meanwhile
            storm.world.signal(signal.SIGTERM)
            time.sleep(storm.rng.uniform(0, 1))
            storm.world.signal(signal.SIGTERM)
            if storm.world.wait(8) is None:
                storm.breach("the second SIGTERM did not end it while the backends are frozen")
                storm.world.kill()
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    if not storm.world.lives_on:
        storm.relaunch()


def table_locked(storm: Storm) -> None:
    table = storm.rng.choice(["command", "event"])
    with psycopg.connect(storm.world.url) as conn:
        conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        time.sleep(min(10.0, 0.3 + storm.rng.expovariate(1 / 2.0)))
        conn.rollback()


def refused_rows_there(storm: Storm) -> None:
    table, act = storm.rng.choice(
        [("command", "UPDATE"), ("command", "INSERT"), ("event", "INSERT"), ("presence", "UPDATE")]
    )
    with psycopg.connect(storm.world.url, autocommit=True) as conn:
        conn.execute(
            "CREATE OR REPLACE FUNCTION storm() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
        )
        conn.execute(f"CREATE TRIGGER storm BEFORE {act} ON {table} "
                     "FOR EACH ROW EXECUTE FUNCTION storm()")  # fmt: skip
        try:
            time.sleep(storm.rng.uniform(0.3, 3))
        finally:
            conn.execute(f"DROP TRIGGER storm ON {table}")


def lost_seconds(storm: Storm) -> None:
    """A failover to a server that lacks the last seconds (F6): the gateway writes them again."""
    server, world = server_of(storm), storm.world
    server.stop(signal.SIGINT)
    kept = server.data.parent / "kept"
    subprocess.run(["cp", "-a", str(server.data), str(kept)], check=True)
    server.start()
    time.sleep(storm.rng.uniform(0.5, 3))
    server.stop(signal.SIGQUIT)
    shutil.rmtree(server.data)
    kept.rename(server.data)
    server.start()
    ends = time.monotonic() + 25
    while time.monotonic() < ends and world.lives_on:
        status = world.status()
        store = str(status.get("store")) if status else ""
        if store == "ok":
            return
        if "confirm-loss" in store or "lost" in store:
            confirm_loss(storm)
        time.sleep(0.2)


def confirm_loss(storm: Storm) -> None:
    """What the program asks its operator for."""
    done = storm.world.devgate("db", "confirm-loss")
    done.wait(30)
    storm.done["(confirm-loss by the operator)"] += 1


def database_faults() -> list[Fault]:
    sqlite, postgresql = ("sqlite",), ("postgresql",)
    return [
        Fault("disk error", 8, disk_error, sqlite),
        Fault("short writes", 2, short_writes, sqlite),
        Fault("slow or hanging fsync", 4, slow_fsync, sqlite),
        Fault("full disk", 3, full_disk, sqlite),
        Fault("database locked", 4, locked, sqlite),
        Fault("rows refused", 6, refused_rows, sqlite),
        Fault("database file replaced", 3, replaced, sqlite),
        Fault("PostgreSQL restarted", 6, restart, postgresql),
        Fault("sessions terminated", 4, lambda storm: end_sessions(storm), postgresql),
        Fault("backend killed", 3, kill_backend, postgresql),
        Fault("backends frozen", 4, frozen_backends, postgresql),
        Fault("table locked", 3, table_locked, postgresql),
        Fault("rows refused", 6, refused_rows_there, postgresql),
        Fault("last seconds lost", 2, lost_seconds, postgresql),
    ]
