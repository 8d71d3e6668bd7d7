"""Statistics for a caller that is limited to some sites: the conditions for rows of their
devices."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, TextClause, bindparam, select, text

from devgate.store.event_tables import BY_DEVICE
from devgate.store.schema import device

Condition = ColumnElement[bool] | TextClause

_NOW = text("""
    SELECT count(*), coalesce(sum(CASE WHEN p.online THEN 1 ELSE 0 END), 0),
      coalesce(sum(CASE WHEN p.running_until > :now THEN 1 ELSE 0 END), 0)
    FROM device d LEFT JOIN presence p ON p.imei = d.imei WHERE d.site IN :sites
""").bindparams(bindparam("sites", expanding=True))
_OPEN = text("""
    SELECT c.state, count(*) FROM command c
    WHERE c.state <> 'ended' AND c.imei IN (SELECT imei FROM device WHERE site IN :sites)
    GROUP BY c.state
""").bindparams(bindparam("sites", expanding=True))


class Now(NamedTuple):
    """Devices of some sites, and their commands, at this moment."""

    known: int
    online: int
    running: int
    in_flight: int  # commands that were sent
    waiting: int


def now(conn: Connection, sites: Collection[str], at: float) -> Now:
    """Count in the database, at that time (wall clock). Memory has no counts by site, so
    heartbeats and starts do not have to update any."""
    values = {"sites": sorted(sites), "now": at}
    known, online, running = conn.execute(_NOW, values).one()
    states = {row[0]: row[1] for row in conn.execute(_OPEN, {"sites": values["sites"]})}
    return Now(known, online, running, states.get("sent", 0), states.get("waiting", 0))


def about(imei: ColumnElement[str], sites: Collection[str] | None) -> list[Condition]:
    """The conditions that a row's device stands at these sites; none where there is no limit."""
    if sites is None:
        return []
    return [imei.in_(select(device.c.imei).where(device.c.site.in_(sorted(sites))))]


def events_about(imei: ColumnElement[str], sites: Collection[str] | None) -> list[Condition]:
    """about() for events, which are then found by their device."""
    return [] if sites is None else [BY_DEVICE, *about(imei, sites)]
