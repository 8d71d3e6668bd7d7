"""Counts of one hour, by the indexes alone: no other rows are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from devgate.store.event_tables import event
from devgate.store.finding import number_at
from devgate.store.numbering import floor_id
from devgate.store.own_sites import about, events_about
from devgate.store.schema import command

HOUR = 3600


class Hour(NamedTuple):
    """One hour of the fleet."""

    change: int  # how many more devices were online at its end than at its beginning
    outcomes: tuple[tuple[str, str, int], ...]  # start or stop, status, how many were accepted


def hour(conn: Connection, begin: int, sites: Collection[str] | None = None) -> Hour:
    """The hour that began then (seconds since 1970), of the fleet or of these sites' devices."""
    first, end = number_at(conn, begin), number_at(conn, begin + HOUR)
    kinds = ("device.online", "device.offline")
    changes = (
        select(event.c.type, func.count())
        .where(event.c.n >= first, event.c.n < end, event.c.type.in_(kinds))
        .where(*events_about(event.c.imei, sites))
        .group_by(event.c.type)
    )
    counts = {row[0]: row[1] for row in conn.execute(changes)} if first < end else {}
    c = command.c
    outcomes = (
        select(c.type, c.status, func.count())
        .where(c.id >= floor_id(begin), c.id < floor_id(begin + HOUR))
        .where(*about(c.imei, sites))
        .group_by(c.type, c.status)
    )
    return Hour(
        counts.get("device.online", 0) - counts.get("device.offline", 0),
        tuple((row[0], row[1], row[2]) for row in conn.execute(outcomes)),
    )
