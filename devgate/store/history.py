"""Commands and events, for reading; and their trimming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    func,
    select,
    text,
    union_all,
    update,
)

from devgate.store import finding
from devgate.store.event_tables import BY_DEVICE, event
from devgate.store.node_tables import owner
from devgate.store.schema import command, open_results, presence

Reading = Connection  # for packages that read through this one and do not import SQLAlchemy
Record = Mapping[str, Any]  # the columns of a table, by their names

PRESENCE = ("device.online", "device.taken_over", "device.offline")  # types of events
LATEST_EVENTS = 20_000  # that are searched for these when a gateway starts: about 10 ms

TRIM_ROWS = 500  # rows that one trimming transaction takes: some milliseconds


# Constant: to build one again costs more than to run it.
_BY_ID = select(command).where(command.c.id == bindparam("value"))
_BY_KEY = select(command).where(command.c.spent == bindparam("value"))
_EVENTS = text(
    f"SELECT {finding.COLUMNS} FROM event e WHERE e.n > :after ORDER BY e.n LIMIT :limit"
)


def by_id(conn: Connection, id: str) -> Record | None:
    """The command with this id; None if there is none."""
    return _first(conn, _BY_ID, id)


def by_key(conn: Connection, key: str) -> Record | None:
    """The command that has spent this key."""
    return _first(conn, _BY_KEY, key)


def count_keys(conn: Connection) -> int:
    """How many keys are spent."""
    count: int = conn.scalar(select(func.count()).where(command.c.spent.is_not(None))) or 0
    return count


def keys_after(conn: Connection, after: str, limit: int) -> Sequence[str]:
    """Spent keys in order, those behind `after`; "" is before the first."""
    query = select(command.c.spent).where(command.c.spent.is_not(None), command.c.spent > after)
    return [str(key) for key in conn.scalars(query.order_by(command.c.spent).limit(limit))]


def page(
    conn: Connection,
    *,
    imei: str | None = None,
    state: str | None = None,
    key: str | None = None,
    after: str | None = None,
    limit: int,
) -> Sequence[Record]:
    """Commands, newest first, that come after the one with the id `after`."""
    given = {"imei": imei, "state": state, "key": key, "after": after}
    values = {name: value for name, value in given.items() if value is not None}
    return _all(conn, _page(*values), {**values, "limit": limit})


@cache
def _page(*given: str) -> Select[Any] | CompoundSelect[Any]:
    """The statement of page() with these conditions."""
    c, limit = command.c, bindparam("limit", type_=Integer)
    query = select(command).order_by(c.id.desc()).limit(limit)
    if "imei" in given:
        query = query.where(c.imei == bindparam("imei"))
    if "state" in given:
        query = query.where(c.state == bindparam("state"))
    if "after" in given:
        query = query.where(c.id < bindparam("after"))
    if "key" not in given:
        return query
    # The command that has spent the key, and those with this key of which nothing was sent.
    spent = query.where(c.spent == bindparam("key")).subquery()
    refused = query.where(c.key == bindparam("key"), c.spent.is_(None)).subquery()
    both = union_all(select(spent), select(refused))
    return both.order_by(both.selected_columns.id.desc()).limit(limit)


def unfinished(conn: Connection) -> Sequence[Record]:
    """The commands that a dead gateway had under way, oldest first."""
    # Ids are made in order, whatever the clock does.
    return _all(conn, select(command).where(command.c.state != "ended").order_by(command.c.id))


def unknown_since(conn: Connection, at: float) -> Sequence[Record]:
    """Commands that ended as 408 at that time or later, in no order."""
    return _all(conn, select(command).where(command.c.status == "408", command.c.ended_at >= at))


def newest_event(conn: Connection) -> int:
    """The number of the newest event; 0 if there never was one."""
    return conn.scalar(select(func.max(event.c.n))) or 0


def newest(conn: Connection) -> tuple[int, float]:
    """Number and time of the newest event; zeros if there is none."""
    row = conn.execute(select(event.c.n, event.c.at).order_by(event.c.n.desc()).limit(1)).first()
    return (0, 0.0) if row is None else (row.n, row.at)


def oldest_event(conn: Connection) -> float | None:
    """When the oldest event that is kept happened (wall clock); None if there is none."""
    at: float | None = conn.scalar(select(event.c.at).order_by(event.c.n).limit(1))
    return at


def newest_id(conn: Connection) -> str | None:
    """The highest id of a command that there is."""
    id: str | None = conn.scalar(select(func.max(command.c.id)))
    return id


def pop_open_results(conn: Connection) -> list[tuple[str, str]]:
    """The rows of open_results: id ("IMEI:QD") and JSON. Deletes empty ones."""
    conn.execute(delete(open_results).where(open_results.c.detail == ""))
    return [(row.id, row.detail) for row in conn.execute(select(open_results))]


def presence_of(conn: Connection, imeis: Sequence[str]) -> Mapping[str, Record]:
    """The rows of presence of these devices by IMEI, without those that have none."""
    rows = _all(conn, select(presence).where(presence.c.imei.in_(imeis)))
    return {row["imei"]: row for row in rows}


def left_online(conn: Connection) -> list[tuple[str, bool]]:
    """Devices that were online at a dead gateway: (IMEI, whether the events say so, too).

    The two differ if an event was written and the row of presence was refused. So the latest
    events are searched, too, for devices that are online by an event alone.
    """
    newest = (
        select(event.c.type)
        .where(BY_DEVICE, event.c.imei == presence.c.imei, event.c.type.in_(PRESENCE))
        .order_by(event.c.n.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(presence.c.imei, newest.is_distinct_from("device.offline"))
    rows = conn.execute(query.where(presence.c.online))
    found = {imei: bool(announced) for imei, announced in rows}
    latest = select(event.c.imei, event.c.type).where(
        event.c.n > select(func.max(event.c.n) - LATEST_EVENTS).scalar_subquery(),
        event.c.type.in_(PRESENCE),
    )
    last = dict(map(tuple, conn.execute(latest.order_by(event.c.n))))
    for imei, type in last.items():
        if type != "device.offline":
            found.setdefault(imei, True)
    return list(found.items())


def running(conn: Connection, now: float) -> Mapping[str, float]:
    """Devices that run at the moment, and until when."""
    query = select(presence.c.imei, presence.c.running_until)
    query = query.where(presence.c.running_until.is_not(None), presence.c.running_until > now)
    return {row.imei: row.running_until for row in conn.execute(query)}


def events_after(
    conn: Connection, after: int, limit: int, imei: str | None = None
) -> list[tuple[Any, ...]]:
    """Events in the columns (at, type, imei, command, detail, n), oldest first."""
    if imei is not None:
        return finding.after_number(conn, imei, after, limit)
    return [tuple(row) for row in conn.execute(_EVENTS, {"after": after, "limit": limit})]


def size(conn: Connection) -> int:
    """The size of the database in bytes. SQLite: without free pages. PostgreSQL: with them,
    because only a VACUUM FULL makes its files smaller."""
    if conn.dialect.name != "sqlite":
        return int(
            conn.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        )
    pages, free, page = (
        int(conn.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page


def trim_oldest(conn: Connection, keep: int) -> int:
    """Delete some of the oldest events, never the newest `keep`. Returns how many."""
    some = (
        select(event.c.n)
        .where(event.c.n <= newest_event(conn) - keep)
        .order_by(event.c.n)
        .limit(TRIM_ROWS)
    )
    last = conn.scalar(select(func.max(some.subquery().c.n)))
    if last is None:
        return 0
    count: int = conn.execute(delete(event).where(event.c.n <= last)).rowcount
    return count


def trim_open_results(conn: Connection) -> int:
    """Delete some empty rows of open_results. Returns how many."""
    nothing = open_results.c.detail == ""
    some = select(open_results.c.id).where(nothing).limit(TRIM_ROWS)
    # The second condition is for PostgreSQL: the writer may have changed one of them since.
    query = delete(open_results).where(open_results.c.id.in_(some), nothing)
    count: int = conn.execute(query).rowcount
    return count


def trim_events(conn: Connection, before: float) -> int:
    """Delete some events older than that, oldest first, never the newest. Returns how many.

    It stops at the first younger event: a later one with an older time was written while the clock
    was wrong.
    """
    newest = select(func.max(event.c.n)).scalar_subquery()
    query = select(event.c.n, event.c.at).where(event.c.n < newest).order_by(event.c.n)
    old = [
        row.n
        for row in takewhile(lambda row: row.at < before, conn.execute(query.limit(TRIM_ROWS)))
    ]
    if not old:
        return 0
    count: int = conn.execute(delete(event).where(event.c.n <= old[-1])).rowcount
    return count


def newest_trusted_at(conn: Connection) -> float | None:
    """The time of the newest event whose time is trusted; None if there is none.

    An earlier run whose clock was in doubt has stored it: events after it may have wrong times.
    """
    at: float | None = conn.scalar(select(owner.c.trusted_at))
    if at is None:
        at = conn.scalar(select(event.c.at).order_by(event.c.n.desc()).limit(1))
    return at


def store_trusted_at(conn: Connection, at: float | None) -> None:
    """Store, for the next start, the newest time that is trusted; None: all times are."""
    changed = owner.c.trusted_at.is_distinct_from(at)
    conn.execute(update(owner).where(changed).values(trusted_at=at))


def _first(conn: Connection, query: Select[Any], value: str) -> Record | None:
    row = conn.execute(query, {"value": value}).first()
    return None if row is None else row._asdict()


def _all(
    conn: Connection,
    query: Select[Any] | CompoundSelect[Any],
    values: Mapping[str, str | int] | None = None,
) -> Sequence[Record]:
    return [row._asdict() for row in conn.execute(query, values)]
