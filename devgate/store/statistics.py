"""Counts for the dashboard, and the history of one device or order. Times are wall clock.

With `sites`, only devices that stand there now are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    cast,
    distinct,
    func,
    literal,
    select,
    text,
)

from devgate.store.event_tables import event
from devgate.store.finding import COLUMNS, number_at, numbers_between
from devgate.store.history import Record, newest_event
from devgate.store.numbering import floor_id
from devgate.store.own_sites import about, events_about
from devgate.store.schema import command, device

MINUTE = 60
Sites = Collection[str] | None
# When a gateway stops, all its devices go offline: that is not a power cut.
OWN_END = '%"the gateway stop%'
ODD = (
    "device.flapping", "device.mismatch", "device.echoing", "device.slow", "result.unsolicited",
)  # fmt: skip

# Constant: to build it again costs more than to run it.
_PRESENCE = text(
    f"SELECT {COLUMNS} FROM event e WHERE e.by_device AND e.imei = :imei AND e.n < :end "
    "AND e.type IN ('device.online', 'device.offline', 'device.taken_over') "
    "ORDER BY e.n DESC LIMIT 1"
)


class Dark(NamedTuple):
    """Devices of one site that went offline within one minute."""

    site: str
    minute: int  # since 1970
    devices: int
    first: float
    last: float


class Odd(NamedTuple):
    """One kind of odd event of one device."""

    imei: str
    type: str
    times: int
    last: float
    name: str
    site: str


class Some(NamedTuple):
    """The events behind number `after`, up to `upto`: so each event is counted once."""

    after: int
    upto: int

    @property
    def are(self) -> ColumnElement[bool]:
        """The condition for a row of events to be one of these."""
        return and_(event.c.n > self.after, event.c.n <= self.upto)


def some(conn: Connection, since: float, after: int) -> Some:
    """The events behind number `after`; if that is 0, those of the time `since` or later."""
    return Some(after or number_at(conn, since) - 1, newest_event(conn))


def changes_of_presence(
    conn: Connection, some: Some, bucket: int, sites: Sites = None
) -> list[tuple[int, int]]:
    """(number of the bucket since 1970, how many more were online then)."""
    number = _number(event.c.at, 0, bucket)
    query = (
        select(number, event.c.type, func.count())
        .where(some.are, event.c.type.in_(("device.online", "device.offline")))
        .where(*events_about(event.c.imei, sites))
        .group_by(number, event.c.type)
    )
    return [
        (row[0], row[2] if row[1] == "device.online" else -row[2]) for row in conn.execute(query)
    ]


def outcomes(
    conn: Connection, since: int, bucket: int, sites: Sites = None
) -> list[tuple[int, str, str, int]]:
    """(number of the bucket in which they were accepted, start or stop, status, how many)."""
    c = command.c
    number = _number(c.accepted_at, since, bucket)
    query = (
        select(number, c.type, c.status, func.count())
        .where(c.id >= floor_id(since), *about(c.imei, sites))
        .group_by(number, c.type, c.status)
    )
    return [(row[0], row[1], row[2], row[3]) for row in conn.execute(query)]


def _number(at: ColumnElement[float], since: int, bucket: int) -> ColumnElement[int]:
    # Cast to whole numbers first: their division is the same in both databases.
    return (cast(at, BigInteger) - since) // literal(bucket, BigInteger)


def dark(conn: Connection, some: Some, sites: Sites = None) -> list[Dark]:
    """How many devices of each site were lost in each minute, by site and time."""
    e, minute = event.c, cast(event.c.at, BigInteger) // literal(MINUTE, BigInteger)
    query = (
        select(device.c.site, minute, func.count(distinct(e.imei)), func.min(e.at), func.max(e.at))
        .select_from(event.join(device, device.c.imei == e.imei))
        .where(some.are, e.type == "device.offline", e.detail.not_like(OWN_END))
        .where(device.c.site != "", *events_about(e.imei, sites))
        .group_by(device.c.site, minute)
        .order_by(device.c.site, minute)
    )
    return [Dark(*row) for row in conn.execute(query)]


def lost(conn: Connection, site: str, first: float, last: float, limit: int) -> Sequence[str]:
    """Which devices of the site went offline in that time."""
    begin, end = numbers_between(conn, first, last)
    query = (
        select(event.c.imei)
        .distinct()
        .select_from(event.join(device, device.c.imei == event.c.imei))
        .where(event.c.n >= begin, event.c.n < end)
        .where(event.c.type == "device.offline")
        .where(device.c.site == site, event.c.detail.not_like(OWN_END))
        .limit(limit)
    )
    return conn.scalars(query).all()


def sites(conn: Connection, names: Sites = None) -> dict[str, int]:
    """How many devices each site has, by name, or each of `names`. Devices without a site do not
    count."""
    which = device.c.site != "" if names is None else device.c.site.in_(sorted(names))
    query = select(device.c.site, func.count()).where(which)
    query = query.group_by(device.c.site).order_by(device.c.site)
    return {row[0]: row[1] for row in conn.execute(query)}


def unknown(conn: Connection, since: float, sites: Sites = None) -> int:
    """How many outcomes of that time or later are unknown."""
    c = command.c
    query = select(func.count()).where(c.status == "408", c.ended_at >= since)
    # Not by the index of devices: it has all their commands, and few are unknown.
    return conn.scalar(query.where(*about(c.imei.concat(""), sites))) or 0


def latest(conn: Connection, limit: int) -> Sequence[Record]:
    """The newest commands, with their device."""
    query = select(command).order_by(command.c.id.desc()).limit(limit)
    return with_names(conn, [row._asdict() for row in conn.execute(query)])


def with_names(conn: Connection, rows: Sequence[Record]) -> Sequence[Record]:
    """These commands with name and site of their device."""
    known = names(conn, {row["imei"] for row in rows})
    found = (known.get(row["imei"], ("", "")) for row in rows)
    return [
        {**row, "name": name, "site": site} for row, (name, site) in zip(rows, found, strict=True)
    ]


def odd(
    conn: Connection, some: Some, bucket: int, sites: Sites = None
) -> list[tuple[str, str, int, int, float]]:
    """Devices with odd events: flapping, mismatches, echoes, unexpected results.

    (imei, type, number of the bucket since 1970, how often, time of the last one).
    """
    e, number = event.c, _number(event.c.at, 0, bucket)
    query = (
        select(e.imei, e.type, number, func.count(), func.max(e.at))
        .where(some.are, e.type.in_(ODD), e.imei.is_not(None), *events_about(e.imei, sites))
        .group_by(e.imei, e.type, number)
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in conn.execute(query)]


def names(conn: Connection, imeis: Collection[str]) -> dict[str, tuple[str, str]]:
    """Name and site of each of these that is known."""
    d = device.c
    found = conn.execute(select(d.imei, d.name, d.site).where(d.imei.in_(imeis)))
    return {row.imei: (row.name, row.site) for row in found}


def presence_before(conn: Connection, imei: str, at: float) -> tuple[Any, ...] | None:
    """The last event before that time that says whether the device was online."""
    row = conn.execute(_PRESENCE, {"imei": imei, "end": number_at(conn, at)}).first()
    return None if row is None else tuple(row)


def commands_of(
    conn: Connection, imei: str, since: float, until: float, limit: int
) -> Sequence[Record]:
    """One device's commands that were taken in that time, oldest first."""
    c = command.c
    query = select(command).where(c.imei == imei, c.id >= floor_id(since), c.id < floor_id(until))
    return [row._asdict() for row in conn.execute(query.order_by(c.id).limit(limit))]
