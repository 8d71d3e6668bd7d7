"""One session of a node beside its journal: it keeps the node's name, looks whether the others
live, and is the leader of the cluster if no other one is."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from devgate.store.engine import Database
from devgate.store.nodes import (
    LEADING,
    LEASE_SECONDS,
    Member,
    Node,
    all_nodes,
    boottime,
    declare_dead,
    end_sessions,
    set_up_session,
)

OWN_BEATS = 3  # of the node that looks, before it believes that another one has stopped beating

_LEAD = text("SELECT pg_try_advisory_lock(hashtext(current_schema()), :number)")

log = logging.getLogger("devgate.nodes")


class NodesSeen(NamedTuple):
    """The result of one look."""

    nodes: list[Node]
    leads: bool  # this node posts to webhooks, trims and tells what other programs change
    died: bool  # a node has died or left since the last look


class Beat(NamedTuple):
    """The last beat that was seen of another node."""

    number: int
    since: float  # when it was first seen so
    own_changes: int  # how often the beat of this node had changed until then


class NodeSession:
    """Blocking; for one thread at a time. After an error the next look begins again."""

    def __init__(self, database: Database, member: Member) -> None:
        self._database = database
        self._member = member
        self._conn: Connection | None = None
        self._leads = False
        self._beats: dict[int, Beat] = {}  # by incarnation, of those that live
        self._own_beat = -1  # this node's beat, as it was seen last
        self._changes = 0  # how often that was another one
        self._alive: set[int] = set()

    def look(self, *, may_lead: bool = True) -> NodesSeen:
        """Look at all nodes, and declare those dead whose beat has not changed for the lease,
        while this node's own beat has: otherwise the database takes no commits at all, for example
        because it waits for a replica. A node that may not lead gives the lead up."""
        if self._leads and not may_lead:
            self.close()
        try:
            return self._look(may_lead)
        except BaseException:
            self.close()  # forgets all observations: an error must not declare a node dead
            raise

    def close(self) -> None:
        """End the session: another node may lead."""
        conn, self._conn = self._conn, None
        self._leads = False
        self._beats.clear()
        if conn is not None:
            with suppress(SQLAlchemyError):
                conn.close()

    def _look(self, may_lead: bool) -> NodesSeen:
        if self._conn is None:
            self._conn = self._database.connected()
            set_up_session(self._conn, self._member.id)
        conn = self._conn
        if may_lead and not self._leads:
            self._leads = bool(conn.scalar(_LEAD, {"number": LEADING}))
            if self._leads:
                log.info("this node leads node=%s", self._member.id)
        nodes = all_nodes(conn)
        conn.commit()
        now = boottime()
        for node in nodes:
            if node.incarnation == self._member.incarnation and node.beat != self._own_beat:
                self._own_beat, self._changes = node.beat, self._changes + 1
        for node in nodes:
            if node.alive and node.incarnation != self._member.incarnation:
                seen = self._beats.get(node.incarnation)
                if seen is None or seen.number != node.beat:
                    self._beats[node.incarnation] = Beat(node.beat, now, self._changes)
                elif (
                    now - seen.since > LEASE_SECONDS
                    and self._changes - seen.own_changes >= OWN_BEATS
                ):
                    self._bury(conn, node)
        alive = {node.incarnation for node in nodes if node.alive}
        died, self._alive = bool(self._alive - alive), alive
        self._beats = {one: seen for one, seen in self._beats.items() if one in alive}
        return NodesSeen(nodes, self._leads, died)

    def _bury(self, conn: Connection, node: Node) -> None:
        """End its sessions first: a frozen one in a transaction would hold the lock of the row."""
        end_sessions(conn, node.id)
        conn.commit()
        dead = declare_dead(conn, node)
        conn.commit()
        if dead:
            log.warning("node declared dead node=%s incarnation=%s", node.id, node.incarnation)
