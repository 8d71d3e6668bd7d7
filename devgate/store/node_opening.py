"""The database of a node: opened, with the node's name locked and a new incarnation."""

from __future__ import annotations

import time

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.migrating import prepare
from devgate.store.nodes import (
    LEASE_SECONDS,
    Member,
    all_nodes,
    declare_dead,
    end_sessions,
    join,
    lock_name,
    set_up_session,
)
from devgate.store.opening import opened
from devgate.store.ownership import CLAIMING, CLOSE_SECONDS

LOOK_SECONDS = 0.1  # between two tries to lock the name


def node_database(url: str, id: str, version: str) -> tuple[Database, Member]:
    """open_database() for the node of that name, which has a new incarnation from here on.

    Raises SetupError, where the name is another process's or a gateway works alone with this
    database; StoreAway if the server cannot be reached now.
    """
    members: list[Member] = []

    def claim(database: Database) -> None:
        if database.dialect != "postgresql":
            raise SetupError("[cluster] node: the nodes of a cluster share one PostgreSQL")
        prepare(database, upgrade=True)
        lock_node(database, id)
        with database.write() as conn:
            members.append(join(conn, id, version))
        database.loss = members[0].lost

    database = opened(url, claim)
    return database, members[0]


def lock_node(database: Database, id: str) -> None:
    """Keep other processes of this name out until the database is closed, and gateways that work
    alone.

    Raises SetupError if there is one. One that has stopped beating is declared dead, and its
    sessions are ended: its locks go with them.
    """
    conn = database.session()
    since = time.monotonic()
    beats: set[int] = set()
    while not lock_name(conn, id, CLAIMING):
        node = {one.id: one for one in all_nodes(conn)}.get(id)
        conn.commit()
        if node is not None and node.beat not in beats:
            beats.add(node.beat)
            since = time.monotonic()
        # The second beat may be the last commit of a process that was killed: on a busy machine
        # PostgreSQL carries that out, and ends its session, some time later.
        waited = time.monotonic() - since
        if len(beats) > 2 or waited > LEASE_SECONDS + CLOSE_SECONDS:
            raise SetupError(
                f"[cluster] node: another process is the node {id} of this cluster, or a gateway "
                f"works alone with the database {database.url_shown}; stop that one, or give this "
                "node another name"
            )
        if waited > LEASE_SECONDS and node is not None:
            end_sessions(conn, id)
            declare_dead(conn, node)
            conn.commit()
        time.sleep(LOOK_SECONDS)
    set_up_session(conn, id)
    conn.commit()
