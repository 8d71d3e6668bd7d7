"""What devices did on a day, counted from their commands and events by existing indexes.

A day can be counted again at any time, with the same result: so late events and a restart in the
middle do no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, TextClause, bindparam, text

from devgate.store import usage_sums
from devgate.store.finding import numbers_between
from devgate.store.numbering import floor_id
from devgate.store.usage_tables import usage_day

# Events after which a start may count in another way than before.
CHANGES = (
    "command.accepted", "command.ended", "command.late", "command.corrected", "command.resolved",
)  # fmt: skip


class Machine(NamedTuple):
    """A device, with the fields that counting needs."""

    imei: str
    site: str = ""
    unit: str = "seconds"
    enabled: bool = True
    # Whether it is online now, and when that last changed. None: never seen.
    online: bool = False
    since: float | None = None


class StartCounts(NamedTuple):
    """The starts of one device with the same outcome."""

    imei: str
    state: str
    status: str
    verdict: str | None
    number: int
    long: int  # the sum of what they asked for


class PresenceEvent(NamedTuple):
    """An event after which a device is online or offline. `online` is None for a device without
    such an event before the day."""

    imei: str
    at: float
    online: bool | None


class Day(NamedTuple):
    """A row of `usage_day`."""

    day: int
    imei: str
    site: str
    starts: int
    done: int
    failed: int
    unknown: int
    refused: int
    open: int
    seconds: int
    times: int
    online: int | None
    span: int | None


class KnownDay(NamedTuple):
    """The stored counts of a device."""

    site: str
    starts: int


class CommandChanges(NamedTuple):
    """The commands that some events are about."""

    upto: int  # the number of the last event, and its time
    at: float
    commands: set[tuple[str, str]]  # IMEI and id
    last: bool  # there were no more events


def _many(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("imeis", expanding=True))


_MACHINE = "d.imei, d.site, d.unit, d.enabled, coalesce(p.online, :no), p.since"
_FROM = "FROM device d LEFT JOIN presence p ON p.imei = d.imei"
_SOME = _many(f"SELECT {_MACHINE} {_FROM} WHERE d.imei IN :imeis")
_ALL = text(f"SELECT {_MACHINE} {_FROM} WHERE d.imei > :after ORDER BY d.imei LIMIT :limit")
_OF_SITE = text(
    f"SELECT {_MACHINE} {_FROM} WHERE d.site = :site AND d.imei > :after "
    "ORDER BY d.imei LIMIT :limit"
)
_STARTS = _many(
    "SELECT c.imei, c.state, c.status, c.verdict, count(*), coalesce(sum(c.long), 0) "
    "FROM command c WHERE c.imei IN :imeis AND c.id >= :low AND c.id < :high "
    "AND c.type = 'start' AND (c.why IS NULL OR c.why <> 'test') "  # no customer's
    "GROUP BY c.imei, c.state, c.status, c.verdict"
)
_TELLING = "('device.online', 'device.offline', 'device.taken_over')"
_PRESENCE = _many(
    "SELECT e.imei, e.at, e.type <> 'device.offline', e.n FROM event e "
    "WHERE e.by_device AND e.imei IN :imeis AND e.n >= :first AND e.n < :end "
    f"AND e.type IN {_TELLING}"
)
_BEFORE = _many(
    "SELECT d.imei, (SELECT e.type FROM event e WHERE e.by_device AND e.imei = d.imei "
    f"AND e.n < :first AND e.type IN {_TELLING} ORDER BY e.n DESC LIMIT 1) "
    "FROM device d WHERE d.imei IN :imeis"
)
_KNOWN = _many("SELECT imei, site, starts FROM usage_day WHERE day = :day AND imei IN :imeis")
# In a storm few events are about commands: the database filters out the others.
_IS_CHANGE = f"type IN {CHANGES} AND imei IS NOT NULL AND command IS NOT NULL"
_CHANGES = text(f"""
    WITH next AS MATERIALIZED (
        SELECT n, at, type, imei, command FROM event WHERE n > :after ORDER BY n LIMIT :limit
    )
    SELECT n, at, CASE WHEN {_IS_CHANGE} THEN imei END, command, (SELECT count(*) FROM next)
    FROM next WHERE {_IS_CHANGE} OR n = (SELECT max(n) FROM next) ORDER BY n
""")
_ANY = text(
    "SELECT EXISTS (SELECT 1 FROM command WHERE id >= :low AND id < :high) "
    "OR EXISTS (SELECT 1 FROM usage_day WHERE day = :day)"
)
_OLDEST = text("SELECT min(n) FROM event")
_SEEN_BEFORE = text("SELECT EXISTS (SELECT 1 FROM presence WHERE since <= :begin)")
_COUNTED = [name for name in Day._fields if name not in ("day", "imei", "online", "span")]
_SAVE = text(
    f"INSERT INTO usage_day ({', '.join(Day._fields)}) "
    f"VALUES ({', '.join(f':{name}' for name in Day._fields)}) "
    f"ON CONFLICT (day, imei) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COUNTED)
    # Counts whose events have been deleted stay as they are.
    + ", online = coalesce(excluded.online, usage_day.online)"
    ", span = coalesce(excluded.span, usage_day.span)"
)
assert set(Day._fields) == {column.name for column in usage_day.c}


def machines(conn: Connection, imeis: Collection[str]) -> dict[str, Machine]:
    """Those of these devices that are known, by IMEI."""
    rows = conn.execute(_SOME, {"imeis": list(imeis), "no": False})
    return {row[0]: Machine(*row) for row in rows}


def some_machines(
    conn: Connection, after: str, limit: int, site: str | None = None
) -> list[Machine]:
    """The devices behind that IMEI, or those of one site, by IMEI; at most `limit`."""
    values = {"after": after, "limit": limit, "no": False}
    if site is None:
        return [Machine(*row) for row in conn.execute(_ALL, values)]
    return [Machine(*row) for row in conn.execute(_OF_SITE, {**values, "site": site})]


def starts(
    conn: Connection, imeis: Collection[str], begin: float, end: float
) -> dict[str, list[StartCounts]]:
    """Starts of these devices that were accepted in that time, by IMEI."""
    values = {"imeis": list(imeis), "low": floor_id(begin), "high": floor_id(end)}
    found: dict[str, list[StartCounts]] = {}
    for row in conn.execute(_STARTS, values):
        found.setdefault(row[0], []).append(
            StartCounts(row[0], row[1], row[2], row[3], row[4], int(row[5]))
        )
    return found


def presences(
    conn: Connection, imeis: Collection[str], begin: float, end: float
) -> dict[str, list[PresenceEvent]]:
    """When these devices went online and offline in that time, oldest first, by IMEI. The first
    entry of each has the time `begin`, and says how the device was then."""
    first, last = numbers_between(conn, begin, end)
    many = {"imeis": list(imeis), "first": first}
    found: dict[str, list[PresenceEvent]] = {}
    for imei, type in conn.execute(_BEFORE, many):
        was = None if type is None else type != "device.offline"
        found[imei] = [PresenceEvent(imei, begin, was)]
    changes = sorted(conn.execute(_PRESENCE, {**many, "end": last}), key=lambda row: row[3])
    for imei, at, online, _ in changes:
        if imei in found:
            found[imei].append(PresenceEvent(imei, at, bool(online)))
    return found


def known(conn: Connection, day: int, imeis: Collection[str]) -> dict[str, KnownDay]:
    """The stored counts of these devices on that day, by IMEI."""
    rows = conn.execute(_KNOWN, {"day": day, "imeis": list(imeis)})
    return {row[0]: KnownDay(row[1], row[2]) for row in rows}


def changes(conn: Connection, after: int, limit: int) -> CommandChanges | None:
    """The commands of the next `limit` events behind that number; None: there is no event."""
    rows = conn.execute(_CHANGES, {"after": after, "limit": limit}).all()
    if not rows:
        return None
    commands = {(imei, id) for _, _, imei, id, _ in rows if imei is not None}
    upto, at, *_, read = rows[-1]
    return CommandChanges(upto, at, commands, read < limit)


def anything(conn: Connection, day: int, begin: float, end: float, *, presence: bool) -> bool:
    """Whether there may be something to count on a day: rows of it, commands, or, with `presence`,
    events that say which devices were online. It is one query for all devices, so that days
    without data need no query for each device."""
    values = {"day": day, "low": floor_id(begin), "high": floor_id(end)}
    if conn.scalar(_ANY, values):
        return True
    if not presence:
        return False
    if conn.scalar(_SEEN_BEFORE, {"begin": end}):
        return True
    # As `presences` looks for them.
    oldest = conn.scalar(_OLDEST)
    return oldest is not None and oldest < numbers_between(conn, begin, end)[1]


def save(conn: Connection, rows: Iterable[Day]) -> None:
    """Write these rows; existing ones are replaced."""
    values = [row._asdict() for row in sorted(rows, key=lambda row: row[:2])]
    if values:
        usage_sums.hold(conn)
        conn.execute(_SAVE, values)
