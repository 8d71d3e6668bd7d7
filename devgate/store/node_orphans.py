"""Commands and devices without an owner: of a dead node, or of a gateway that worked alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from devgate.errors import StoreError
from devgate.store.batch import Numbering, found_by_device
from devgate.store.node_rows import upsert
from devgate.store.numbering import Values
from devgate.store.timelines import TIMELINE

SLICE_ROWS = 1000  # rows of the dead that one transaction takes: about 30 ms


def numbered(conn: Connection, events: Sequence[Values]) -> list[Values]:
    """These events with the next numbers and with times that never decrease. Locks the row with
    the number until the transaction ends: it must be the last row that is locked.

    Raises StoreError after a failover, until every living node has written what it remembers.
    """
    if not events:
        return []
    newest = max(values[0] for values in events)
    row = conn.execute(
        text(
            "UPDATE cluster SET n = o.n + :count, at = greatest(o.at, :newest) "
            f"FROM (SELECT n, at FROM cluster WHERE timeline = {TIMELINE} FOR UPDATE) o "
            "RETURNING o.n, o.at"
        ),
        {"count": len(events), "newest": newest},
    ).first()
    if row is None:
        raise StoreError("the database has failed over, and not all nodes have looked yet")
    return Numbering().number(events, (row.at, row.n))


# Commands without an owner: the node is dead, or the owner was a gateway that worked alone.
_ORPHANED = (
    "(incarnation IS NULL OR incarnation NOT IN (SELECT incarnation FROM node WHERE alive))"
)


_COMMANDS = text(
    "SELECT * FROM command WHERE state <> 'ended' AND (state = 'sent' OR expires_at IS NULL "
    f"OR expires_at <= :now) AND {_ORPHANED} ORDER BY id LIMIT {SLICE_ROWS} FOR UPDATE SKIP LOCKED"
)


_DEVICES = text(
    f"SELECT imei, generation FROM presence WHERE online AND {_ORPHANED} "
    f"LIMIT {SLICE_ROWS} FOR UPDATE SKIP LOCKED"
)


_OFFLINE = text("UPDATE presence SET online = false, since = :now WHERE imei = ANY(:imeis)")


def orphaned_commands(conn: Connection, now: float) -> list[dict[str, Any]]:
    """Some rows of open commands without an owner, locked; without commands that still wait for
    their device: the node where it registers takes them."""
    return [row._asdict() for row in conn.execute(_COMMANDS, {"now": now})]


_UNKNOWN = text(
    "SELECT * FROM command WHERE id = ANY(:ids) AND (state = 'sent' OR status = '408') "
    "AND verdict IS NULL "
    "ORDER BY id FOR NO KEY UPDATE"
)


def unknown(conn: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of those of these commands that are sent or 408, locked; without commands that a
    person has resolved."""
    return [row._asdict() for row in conn.execute(_UNKNOWN, {"ids": list(ids)})]


def orphaned_devices(conn: Connection, now: float) -> list[tuple[str, int]]:
    """Some devices of dead nodes, which are offline from now on: IMEI and generation."""
    found = [(row.imei, row.generation) for row in conn.execute(_DEVICES)]
    if found:
        conn.execute(_OFFLINE, {"now": now, "imeis": [imei for imei, _ in found]})
    return found


def add_events(conn: Connection, events: Sequence[Values], commands: set[str]) -> None:
    """Number these events and write them; `commands` are the ids whose rows are written with
    them."""
    events = numbered(conn, events)
    by_device = found_by_device(events, commands)
    upsert(conn, "event", [(*e, by) for e, by in zip(events, by_device, strict=True)])
