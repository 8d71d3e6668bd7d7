"""The rows of a cluster: which nodes live, which one leads, and which one has a device.

Each commit of a node raises its `beat` within the same transaction, which proves that the node
lives. If a beat has not changed for LEASE_SECONDS by the clock of another node, that one declares
the node dead, under the lock of the same row: from then on every commit of that incarnation fails.
A node sends nothing once TRUST_SECONDS have passed since the begin of its last successful commit,
which is earlier than another node may declare it dead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.store import shared_secret
from devgate.store.timelines import SYNCHRONOUS, TIMELINE, unheard

BEAT_SECONDS = 0.5  # between two commits of a node that has nothing to write
LEASE_SECONDS = 3.0  # that a beat may stay unchanged, by the clock of the node that looks
MARGIN_SECONDS = 0.7  # by which a node stops sending before its lease ends
TRUST_SECONDS = LEASE_SECONDS - MARGIN_SECONDS
CLUSTER = "the nodes of a cluster"  # the owner's holder

# The keys of PostgreSQL's advisory locks: the schema, and one of these. A gateway that works alone
# has an exclusive lock; the nodes share the same one.
NODES = 0x6465766E  # with the node's name: one process for each

_SHARE = text("SELECT pg_try_advisory_lock_shared(hashtext(current_schema()), :number)")
_NAME = text("SELECT pg_try_advisory_lock(hashtext(current_schema() || '/' || :id), :number)")
_END = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
)
_SETTINGS = (
    "SET application_name = '{name}'",
    "SET idle_in_transaction_session_timeout = '1500ms'",
    "SET lock_timeout = '1s'",
    "SET statement_timeout = '4s'",
    # PostgreSQL compiles a statement if it expects many rows, which takes half a second. Rows
    # in JSON, and tables without statistics, mislead that estimate.
    "SET jit = off",
    # Every statement finds its rows by a key. One that was prepared while a table was small
    # would still read the whole table, until it has statistics.
    "SET enable_seqscan = off",
    # Keepalive of the server: otherwise the session of a disconnected node lives for two hours.
    "SET tcp_keepalives_idle = 2",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 4000",
)


class Node(NamedTuple):
    """One row of `node`."""

    id: str
    incarnation: int
    beat: int
    alive: bool
    address: str
    draining: bool
    version: str
    started_at: float
    devices: int  # connected to it, at its last commit
    running: int
    in_flight: int


class Member(NamedTuple):
    """What a node got when it joined."""

    id: str
    incarnation: int
    secret: str  # proves a node to the others
    database: str  # the database's own id
    lost: str | None  # why no start is accepted until an operator has confirmed it


def boottime() -> float:
    """Seconds since the boot, including those while the machine was suspended. It is never set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def application(id: str) -> str:
    """The application name of a node's sessions in PostgreSQL."""
    return f"devgate {id}"


def set_up_session(conn: Connection, id: str) -> None:
    """Set up a session of the node: other nodes can end it, and it loses its locks soon if the
    node is frozen or disconnected."""
    for setting in _SETTINGS:
        conn.exec_driver_sql(setting.format(name=application(id)))


def lock_name(conn: Connection, id: str, number: int) -> bool:
    """Take the locks of a node for this session. False: another process has one of them."""
    if not conn.scalar(_SHARE, {"number": number}):
        return False
    return bool(conn.scalar(_NAME, {"id": id, "number": NODES}))


def end_sessions(conn: Connection, id: str) -> None:
    """End all sessions of a node that is dead, and with them its locks."""
    conn.execute(_END, {"name": application(id)})


_ALL = text(f"SELECT {', '.join(Node._fields)} FROM node ORDER BY id")


def all_nodes(conn: Connection) -> list[Node]:
    """All nodes that ever joined, by id."""
    return [Node(*row) for row in conn.execute(_ALL)]


def join(conn: Connection, id: str, version: str) -> Member:
    """Make a new incarnation of the node. The caller has its locks, and commits. Others can reach
    it after set_address().

    A gateway that worked alone until now is fenced. What an earlier incarnation had under way is
    settled later, together with that of dead nodes.
    """
    now = time.time()
    unheard(conn, id)
    owned = conn.execute(text("SELECT holder, database, lost FROM owner FOR UPDATE")).one()
    if owned.holder != CLUSTER:
        takeover = {"holder": CLUSTER, "at": now}
        conn.execute(
            text("UPDATE owner SET epoch = epoch + 1, holder = :holder, taken_at = :at"), takeover
        )
    row = conn.execute(
        text(
            "UPDATE cluster SET incarnation = incarnation + 1, "
            "secret = CASE WHEN secret = '' THEN :secret ELSE secret END, "
            "n = greatest(n, (SELECT coalesce(max(n), 0) FROM event)), at = greatest(at, "
            "(SELECT e.at FROM event e ORDER BY e.n DESC LIMIT 1)) RETURNING incarnation, secret"
        ),
        {"secret": shared_secret.new()},
    ).one()
    conn.execute(
        text(
            "INSERT INTO node (id, incarnation, beat, alive, address, version, started_at, "
            "timeline, synchronous) VALUES (:id, :incarnation, 0, true, :address, :version, :at, "
            f"{TIMELINE}, {SYNCHRONOUS}) ON CONFLICT (id) DO UPDATE SET "
            "timeline = excluded.timeline, synchronous = excluded.synchronous, seen = 0, "
            "incarnation = excluded.incarnation, beat = 0, alive = true, "
            "address = excluded.address, version = excluded.version, draining = false, "
            "started_at = excluded.started_at, devices = 0, running = 0, in_flight = 0"
        ),
        {"id": id, "incarnation": row.incarnation, "address": "", "version": version, "at": now},
    )  # fmt: skip
    return Member(id, row.incarnation, row.secret, owned.database, owned.lost)


def server_time(conn: Connection) -> float:
    """Seconds since 1970 on the database's clock, which all nodes share."""
    return float(conn.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8")))


def reached_from(conn: Connection) -> str:
    """The address of this machine that PostgreSQL sees; a loopback address for a Unix socket."""
    found = conn.scalar(text("SELECT host(inet_client_addr())"))
    return str(found) if found else "127.0.0.1"


def set_address(conn: Connection, member: Member, address: str) -> None:
    """Store the address at which other nodes reach this one, once its door is open."""
    values = {"id": member.id, "incarnation": member.incarnation, "address": address}
    conn.execute(
        text("UPDATE node SET address = :address WHERE id = :id AND incarnation = :incarnation"),
        values,
    )


def leave(conn: Connection, member: Member) -> None:
    """Note that the node has stopped properly: the others need not wait for its lease."""
    values = {"id": member.id, "incarnation": member.incarnation}
    unheard(conn, member.id)
    conn.execute(
        text("UPDATE node SET alive = false WHERE id = :id AND incarnation = :incarnation"), values
    )


def declare_dead(conn: Connection, node: Node) -> bool:
    """Make all later commits of this incarnation fail. False: its beat has changed, or another
    node has done it. The caller has ended its sessions, and commits."""
    unheard(conn, node.id)
    done = conn.execute(
        text(
            "UPDATE node SET alive = false WHERE id = :id AND incarnation = :incarnation "
            "AND beat = :beat AND alive"
        ),
        {"id": node.id, "incarnation": node.incarnation, "beat": node.beat},
    )
    return bool(done.rowcount)


_HOLDERS = text(
    "SELECT p.imei, n.id, n.incarnation FROM presence p JOIN node n ON n.id = p.node AND "
    "n.incarnation = p.incarnation AND n.alive WHERE p.imei = ANY(:imeis) AND p.online"
)


def holders(conn: Connection, imeis: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The living nodes that have these devices, by IMEI: name and incarnation."""
    found = conn.execute(_HOLDERS, {"imeis": list(imeis)})
    return {row.imei: (row.id, row.incarnation) for row in found}


def holder(conn: Connection, imei: str) -> tuple[str, int] | None:
    """The living node that has the device: its name and incarnation."""
    return holders(conn, [imei]).get(imei)


LEADING = 0x6465766C  # the advisory lock of the leader; its other key is the schema
_LEADER = text(
    "SELECT n.id FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN node n ON "
    "a.application_name = 'devgate ' || n.id AND n.alive WHERE l.locktype = 'advisory' "
    "AND l.granted AND l.objsubid = 2 AND l.objid = :number "
    "AND l.classid = hashtext(current_schema())::oid AND l.database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


def leader(conn: Connection) -> str | None:
    """The living node that leads."""
    name: str | None = conn.scalar(_LEADER, {"number": LEADING})
    return name
