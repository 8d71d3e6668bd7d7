"""What is broken, one after the other."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import sqlite3
import time
from pathlib import Path

import psycopg
import trustme

from devgate.store.schema import VERSION_TABLE
from examining.world import Fault, World

WEBHOOK = """
[[webhook]]
name = "shop"
url = "http://127.0.0.1:9/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
allow_private = true
"""
TIMEOUT_SECONDS = 30.0


def _append(world: World, text: str) -> None:
    file = world.served.folder / "gateway.toml"
    file.write_text(file.read_text() + text)


def _sql(world: World, *statements: str) -> None:
    """Change the database behind the gateway's back."""
    if world.postgres is not None:
        with psycopg.connect(world.served.store, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement.encode())
        return
    file = sqlite3.connect(world.served.folder / "devgate.db", isolation_level=None)
    for statement in statements:
        file.execute(statement)
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()


def _damage(world: World) -> None:
    """Pages of a table are overwritten."""
    file = world.served.folder / "devgate.db"
    conn = sqlite3.connect(file)
    (page,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'device'").fetchone()
    (size,) = conn.execute("PRAGMA page_size").fetchone()
    conn.close()
    with file.open("r+b") as content:
        content.seek((page - 1) * size + 8)
        content.write(b"\xff" * 600)


def _in_memory(world: World) -> None:
    place = Path("/dev/shm") / world.served.folder.name
    place.mkdir()
    world.undo.append(lambda: shutil.rmtree(place))
    world.served.configure({}, store=f"sqlite:///{place}/devgate.db")


def _take_port(world: World) -> None:
    other = socket.create_server(("127.0.0.1", 0))
    world.undo.append(other.close)
    world.configure(device={"listen": f"127.0.0.1:{other.getsockname()[1]}"})


def _other_port(world: World) -> None:
    """The configuration was changed, and the gateway not restarted."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world.configure(device={"listen": f"127.0.0.1:{port}"})


def _certificate(world: World, days: int, *, other_key: bool = False) -> None:
    now = datetime.datetime.now(datetime.UTC)
    folder, authority = world.served.folder, trustme.CA()
    until = now + datetime.timedelta(days=days)
    since = now - datetime.timedelta(days=90)
    issued = authority.issue_cert("localhost", not_before=since, not_after=until)
    key = authority.issue_cert("localhost") if other_key else issued
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    key.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    world.configure(device={"tls": {"certificate": "cert.pem", "key": "key.pem"}})


def _open_secret(world: World) -> None:
    file = world.served.folder / "tokens.toml"
    file.write_text("")
    file.chmod(0o644)
    world.configure(control={"listen": "127.0.0.1:0", "tokens": "tokens.toml"})


def _backup(world: World) -> Path:
    folder = world.served.folder / "copies"
    folder.mkdir(exist_ok=True)
    world.configure(store={"backups": "copies"})
    done = world.served.cli("backup", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["file"])


def _old_backup(world: World) -> None:
    note = Path(f"{_backup(world)}.json")
    fields = json.loads(note.read_text())
    fields["made_at"] -= 8 * 86400
    note.write_text(json.dumps(fields))


def _short_backup(world: World) -> None:
    file = _backup(world)
    os.truncate(file, file.stat().st_size // 2)


def _owners(world: World) -> None:
    """Root has made the write-ahead log of a database that is another one's."""
    file = world.served.folder / "devgate.db"
    os.chown(file, 65534, 65534)
    os.chown(world.served.folder, 65534, 65534)
    wal = file.with_name("devgate.db-wal")
    wal.touch(0o600)


def _quarantine(world: World) -> None:
    world.served.terminate()
    done = world.served.cli("quarantine", "begin", "--yes")
    assert done.returncode == 0, done.stderr
    world.served.start()


def _archive_fails(world: World) -> None:
    assert world.postgres is not None
    ends = time.monotonic() + TIMEOUT_SECONDS
    with psycopg.connect(world.postgres.url(), autocommit=True) as conn:
        conn.execute("CREATE TABLE something (n int)")
        conn.execute("SELECT pg_switch_wal()")
        while conn.execute("SELECT failed_count FROM pg_stat_archiver").fetchone() == (0,):
            assert time.monotonic() < ends, "nothing was archived"
            time.sleep(0.2)


def _connect(world: World) -> None:
    """Other programs have nearly all connections of the server."""
    assert world.postgres is not None
    for _ in range(16):
        world.undo.append(psycopg.connect(world.postgres.url()).close)


def _descriptors(world: World) -> None:
    world.descriptors = 300


def _stop_postgres(world: World) -> None:
    assert world.postgres is not None
    world.postgres.stop()


def _restart(world: World, **settings: str) -> None:
    assert world.postgres is not None
    world.postgres.restart(**settings)


AHEAD = "INSERT INTO event (n, at, type) SELECT max(n) + 1, {at}, 'gateway.started' FROM event"

FAULTS = (
    Fault("mistake", "error", "configuration", "device.listen: ",
        lambda world: world.configure(device={"listen": 5})),
    Fault("unused-key", "warning", "configuration", "http.users has no effect",
        lambda world: world.configure(http={"users": "users.toml"})),
    Fault("index", "error", "database", "the index device_site is missing",
        lambda world: _sql(world, "DROP INDEX device_site")),
    Fault("damage", "error", "database", "damaged", _damage),
    Fault("schema", "warning", "database", "it has schema 0001",
        lambda world: _sql(world, f"UPDATE {VERSION_TABLE} SET version_num = '0001'")),
    Fault("clock-set-back", "error", "clock", "the newest event is",
        lambda world: _sql(world, AHEAD.format(at=time.time() + 3600))),
    Fault("memory-disk", "error", "disk", "is in memory", _in_memory),
    Fault("descriptors", "error", "descriptors", "open files is enough for", _descriptors),
    Fault("port", "error", "ports", "the port is in use", _take_port),
    Fault("webhook", "warning", "webhooks", "cannot be reached",
        lambda world: _append(world, WEBHOOK)),
    Fault("expired", "error", "certificates", "it has expired",
        lambda world: _certificate(world, -1)),
    Fault("expires-soon", "warning", "certificates", "days are left",
        lambda world: _certificate(world, 10)),
    Fault("other-key", "error", "certificates", "[device.tls]",
        lambda world: _certificate(world, 90, other_key=True)),
    Fault("open-secret", "warning", "exposure", "can be read by every user", _open_secret),
    Fault("open-socket", "warning", "exposure", "lets every user of this machine",
        lambda world: world.configure(control={"mode": "0666"})),
    Fault("no-backup", "error", "backups", "there is no folder",
        lambda world: world.configure(store={"backups": "copies"})),
    Fault("old-backup", "error", "backups", "is 192 hours old", _old_backup),
    Fault("short-backup", "error", "backups", "has not the size that was written", _short_backup),
    Fault("owner", "error", "owners", "who may not write to", _owners, root=True),
    Fault("socket-mode", "warning", "socket", "has mode 0600, and control.mode says 0660",
        lambda world: world.served.socket.chmod(0o600), starts=True),
    Fault("restart-forgotten", "error", "ports", "the gateway runs, and nobody answers",
        _other_port, starts=True),
    Fault("quarantine", "error", "gateway", "quarantine: every start is refused",
        _quarantine, starts=True),
    Fault("server-away", "error", "database", "cannot be reached", _stop_postgres, postgres=True),
    Fault("fsync", "warning", "promises", "fsync is off",
        lambda world: _restart(world, fsync="off"), postgres=True),
    Fault("invalid-index", "error", "database", "the index device_site is missing",
        lambda world: _sql(
            world, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "to_regclass(current_schema() || '.device_site')"),
        postgres=True),
    Fault("archive", "error", "backups", "PostgreSQL cannot archive its write-ahead log",
        _archive_fails, postgres=True,
        settings={"archive_mode": "on", "archive_command": "false"}),
    Fault("autovacuum", "warning", "database", "autovacuum is off",
        lambda world: _restart(world, autovacuum="off"), postgres=True),
    Fault("connections", "warning", "database", "connections are taken", _connect,
        postgres=True, settings={"max_connections": "20"}),
)  # fmt: skip
