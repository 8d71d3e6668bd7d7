"""A failover in a cluster: before anything else, each node writes the rows that it remembers.

PostgreSQL counts its promotions in the number of the *timeline*. On each new session a node
compares it with the one that all nodes have agreed on (`cluster.timeline`). If it differs,
confirmed rows may be lost, and only the node that wrote them still has them. So only beats and
remembered rows (`rewriting`) are written until every living node has looked (`node.timeline`).
Then the numbers of events continue after the highest that any node has seen, so that no number is
published twice.

If a node ends before it has looked, its remembered rows are gone. Then nobody knows what was lost,
unless its commits were also on a synchronous replica: no start is accepted until an operator has
confirmed that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.errors import StoreError

# A look raises the beat by this, which shows the others that the node lives, and a commit by one:
# so a node sees whether a commit was carried out, however many looks had no answer either.
A_LOOK = 1 << 20

TIMELINE = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"
SYNCHRONOUS = "current_setting('synchronous_standby_names') <> ''"

_ALIVE = text(
    "SELECT beat, alive, timeline FROM node WHERE id = :id AND incarnation = :incarnation "
    "FOR NO KEY UPDATE"
)
_LOOKED = text(
    f"UPDATE node SET beat = :beat, timeline = {TIMELINE}, synchronous = {SYNCHRONOUS}, "
    "seen = :seen WHERE id = :id AND incarnation = :incarnation"
)
_AGREED = text(f"SELECT timeline = {TIMELINE} FROM cluster")
_AGREE = text(
    f"UPDATE cluster SET timeline = {TIMELINE}, n = greatest(n, "
    "(SELECT coalesce(max(n), 0) FROM event), (SELECT max(seen) FROM node WHERE alive)) "
    f"WHERE NOT EXISTS (SELECT FROM node WHERE alive AND timeline <> {TIMELINE}) RETURNING n"
)
_MISSING = text(f"SELECT id FROM node WHERE alive AND timeline <> {TIMELINE} ORDER BY id")
_UNHEARD = text(
    "UPDATE owner SET lost = :words WHERE lost IS NULL AND EXISTS (SELECT FROM node WHERE "
    f"id = :id AND alive AND timeline <> '' AND timeline <> {TIMELINE} AND NOT synchronous)"
)
_NOTE = text("UPDATE owner SET lost = coalesce(lost, :words) RETURNING lost")


class TimelineLook(NamedTuple):
    """What a node has found on a new session."""

    before: int  # its beat, as it stood there
    beat: int  # ... and as it stands now
    waits_for: str  # nodes that have not looked yet, or nothing: anything may be written
    lost: str | None  # why no start is accepted


def look(
    conn: Connection,
    id: str,
    incarnation: int,
    beat: int,
    seen: int,
    write_again: Callable[[Connection, int], str],
) -> TimelineLook | None:
    """Look for lost rows, within one transaction of a new session.

    `beat` is the node's own, of the last commit that it knows to have been confirmed; `seen` the
    number of the newest event that it has seen. `write_again` gets the last beat that is there,
    writes what is lost, and returns what that is, in words. None: the row of this incarnation is
    not there, or it is dead.
    """
    who = {"id": id, "incarnation": incarnation}
    row = conn.execute(_ALIVE, who).first()
    if row is None or not row.alive:
        return None
    lost: str | None = None
    if row.beat < beat:
        lost = note(conn, write_again(conn, row.beat))
    now = max(row.beat, beat) + A_LOOK
    conn.execute(_LOOKED, {**who, "beat": now, "seen": seen})
    waits_for = ""
    if not conn.scalar(_AGREED) and conn.scalar(_AGREE) is None:
        waits_for = ", ".join(conn.scalars(_MISSING))
    return TimelineLook(row.beat, now, waits_for, lost)


def note(conn: Connection, words: str) -> str:
    """Store why no start is accepted until an operator confirms it. Returns that sentence."""
    lost: str = conn.scalar(_NOTE, {"words": words}) or words
    return lost


def waits(nodes: str) -> StoreError:
    """The error while nothing may be written yet."""
    return StoreError(
        f"the database has failed over, and not all nodes have said yet what they know ({nodes}): "
        "nothing is written before each has, or was declared dead"
    )


def unheard(conn: Connection, id: str) -> None:
    """The node ends, or is declared dead, or another process takes its name. Before that."""
    words = (
        f"the node {id} ended while the database failed over, before it could say what it knew: "
        "its last commands may be lost; no start is accepted until `devgate db confirm-loss`"
    )
    conn.execute(_UNHEARD, {"id": id, "words": words})


def agreed(conn: Connection) -> bool:
    """Whether every living node has looked since the last failover."""
    return bool(conn.scalar(_AGREED))
