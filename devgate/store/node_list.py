"""The nodes of a cluster for those who look after them: all of them, drained, removed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.store.nodes import Node, all_nodes, leader

# A drained node hands its devices to another one. Where there is none they would be lost to all.
_DRAIN = text(
    "UPDATE node SET draining = true WHERE id = :id AND alive AND (draining OR EXISTS "
    "(SELECT FROM node o WHERE o.id <> :id AND o.alive AND NOT o.draining))"
)
_ONLINE = text(
    "SELECT p.imei FROM presence p JOIN node n ON n.incarnation = p.incarnation AND n.alive "
    "WHERE p.online AND p.incarnation IS NOT NULL ORDER BY p.imei"
)
_RUNNING = text("SELECT imei FROM presence WHERE running_until > :now LIMIT :limit")
_UNDO = text("UPDATE node SET draining = false WHERE id = :id AND alive")
_REMOVE = text("DELETE FROM node WHERE id = :id AND NOT alive")


class NodeList(NamedTuple):
    """The cluster at one moment."""

    nodes: list[Node]
    leader: str | None  # posts to webhooks, trims, and raises alerts


def read(conn: Connection) -> NodeList:
    """The cluster at this moment."""
    return NodeList(all_nodes(conn), leader(conn))


def node(conn: Connection, id: str) -> Node | None:
    """The one of this name, if there ever was one and it was not removed."""
    return next((one for one in all_nodes(conn) if one.id == id), None)


def online(conn: Connection) -> list[str]:
    """The IMEIs of devices that are connected to living nodes."""
    return list(conn.scalars(_ONLINE))


def running(conn: Connection, now: float, limit: int) -> list[str]:
    """The IMEIs of devices that run, at most `limit`, in no order."""
    return list(conn.scalars(_RUNNING, {"now": now, "limit": limit}))


def set_draining(conn: Connection, id: str, draining: bool) -> bool:
    """Set whether a node is drained, which it sees with its next commit. False: there is no such
    living node, or no other living node would be left that is not drained."""
    statement = _DRAIN if draining else _UNDO
    return conn.execute(statement, {"id": id}).rowcount > 0


def remove(conn: Connection, id: str) -> bool:
    """Forget a dead node. False: it is not there, or it lives."""
    return conn.execute(_REMOVE, {"id": id}).rowcount > 0
