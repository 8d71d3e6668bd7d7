"""Events and commands of one machine for its diagnosis, by indexes and with limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, text

from devgate.store.finding import number_at
from devgate.store.numbering import floor_id
from devgate.store.schema import command

MAX_EVENTS = 5000  # of one machine that are looked at, the newest
MAX_ANSWERS = 500  # commands of it
MAX_OTHERS = 60  # machines of its model that it is compared with
MAX_OTHER_ANSWERS = 20  # commands of each of these

# By the index of a device's own events: commands have theirs elsewhere.
_EVENTS = text(
    "SELECT e.at, e.type, e.detail FROM event e WHERE e.by_device AND e.imei = :imei "
    "AND e.n >= :first ORDER BY e.n DESC LIMIT :limit"
)
_OTHERS = text(
    "SELECT imei FROM device WHERE model IS NOT NULL AND model = :model AND imei <> :imei "
    "ORDER BY imei LIMIT :limit"
)


class CommandAnswer(NamedTuple):
    """What became of one command that was sent. Times are wall clock, in seconds."""

    status: str
    seconds: float | None  # until its answer, however late; None: there was none


def events_of(conn: Connection, imei: str, since: float) -> tuple[list[tuple[Any, ...]], bool]:
    """Its own events since then as (at, type, detail), oldest first; and whether they are all."""
    values = {"imei": imei, "first": number_at(conn, since), "limit": MAX_EVENTS + 1}
    rows = [tuple(row) for row in conn.execute(_EVENTS, values)]
    return rows[MAX_EVENTS - 1 :: -1], len(rows) <= MAX_EVENTS


def answers_of(conn: Connection, imei: str, since: float, limit: int) -> list[CommandAnswer]:
    """What became of its newest commands that were sent since then."""
    c = command.c
    query = (
        select(c.status, c.sent_at, c.ended_at, c.late_at)
        .where(c.imei == imei, c.id >= floor_id(since))
        .order_by(c.id.desc())
        .limit(limit)
    )
    found = []
    for status, sent_at, ended_at, late_at in conn.execute(query):
        if sent_at is None or status not in ("200", "201", "202", "408"):
            continue
        at = (late_at or ended_at) if status != "408" else None
        found.append(CommandAnswer(status, None if at is None else max(0.0, at - sent_at)))
    return found


def others_of(conn: Connection, imei: str, model: str) -> Sequence[str]:
    """Some of the other machines of that model."""
    values = {"imei": imei, "model": model, "limit": MAX_OTHERS}
    return conn.scalars(_OTHERS, values).all()
