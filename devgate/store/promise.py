"""Checks what the settings of a PostgreSQL server mean for confirmed starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from devgate.errors import SetupError
from devgate.store import postgres_url
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.opening import opened
from devgate.store.outage import one_line

_SETTINGS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN "
    "('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names')"
)
_REPLICAS = text("SELECT count(*) FROM pg_stat_replication")
_REPLICA = text("SELECT pg_is_in_recovery()")
LOSES = "may lose confirmed starts, and a key that is used again starts its machine again"


def look(url: str, *, cluster: bool) -> Iterator[str]:
    """Sentences on the server's settings, or why they could not be read. SQLite has none.

    `cluster`: the gateway is one of its nodes. Raises SetupError for a URL that is none.
    """
    if not url.startswith("postgres"):
        return
    found: dict[str, str] = {}
    replica, replicas = False, 0

    def read(database: Database) -> None:
        nonlocal replica, replicas
        with database.read() as conn:
            found.update(_settings(conn))
            replica, replicas = bool(conn.scalar(_REPLICA)), conn.scalar(_REPLICAS) or 0

    make_engine(url).dispose()
    try:
        opened(url, read).close()
    except SetupError as err:
        yield f"warning: the server's settings were not looked at: {err}"
    else:
        if replica:
            yield "warning: PostgreSQL: this server is a replica and takes no writes"
        yield from _disk(found, "PostgreSQL")
        yield (
            "PostgreSQL: the gateway sets synchronous_commit = on for itself, whatever the "
            "server's own: a start is told once the disk has it"
            + (", and that of a replica" if found["synchronous_standby_names"] else "")
        )
        hosts = postgres_url.hosts_of(postgres_url.parsed(url))
        failover = cluster or replicas > 0 or len(hosts) > 1
        yield _replication(found["synchronous_standby_names"], replicas, failover)
    yield from _each_host(url)


def _settings(conn: Connection) -> Mapping[str, str]:
    return {row.name: row.setting for row in conn.execute(_SETTINGS)}


def _disk(found: Mapping[str, str], server: str) -> Iterator[str]:
    """What a power cut leaves on the server's disk."""
    for name, means in (
        ("fsync", "what the disk was told to keep outlives a power cut"),
        ("full_page_writes", "pages that a power cut tore are mended"),
    ):
        if found[name] == "on":
            yield f"{server}: {name} is on: {means}"
        else:
            yield f"warning: {server}: {name} is {found[name]}: a power cut {LOSES}"


def _replication(names: str, replicas: int, failover: bool) -> str:
    """What a failover leaves. `failover`: another server may take over from this one."""
    if not names and not failover:
        return (
            "PostgreSQL: synchronous_standby_names is empty, and no replica is connected: a start "
            "is kept by this server alone"
        )
    if not names:
        return (
            "warning: PostgreSQL: synchronous_standby_names is empty: a replica that is promoted "
            "may lack the last starts; a failover " + LOSES
        )
    if not replicas:
        return (
            f"warning: PostgreSQL: synchronous_standby_names is '{names}' and no replica is "
            "connected: commits wait for one, and no start is accepted"
        )
    return (
        f"PostgreSQL: synchronous_standby_names is '{names}': one of these replicas has every "
        "confirmed start, and may be promoted; while too few are connected, no start is accepted"
    )


def _each_host(text: str) -> Iterator[str]:
    """What each of several servers is at the moment."""
    url = postgres_url.parsed(text)
    hosts = postgres_url.hosts_of(url)
    if len(hosts) == 1:
        return
    for host in hosts:
        name = postgres_url.spelled(host)
        engine = make_engine(postgres_url.alone(url, host).render_as_string(hide_password=False))
        try:
            with engine.connect() as conn:
                replica, found = conn.scalar(_REPLICA), _settings(conn)
        except OperationalError as err:
            yield f"warning: the server {name} cannot be asked: {one_line(str(err.orig))}"
        else:
            yield f"the server {name} is {'a replica' if replica else 'the primary'}"
            if replica:  # it may be promoted: then its disk is the one that counts
                yield from (line for line in _disk(found, name) if line.startswith("warning"))
        finally:
            engine.dispose()
