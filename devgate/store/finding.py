"""Events by their time and by their device, for reading. See `numbering` for what holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, text

from devgate.store.numbering import NEAR, Values, floor_id, taken_at
from devgate.store.schema import BY_COMMAND, BY_DEVICE, command, event

# How many commands of a device are looked at in one step.
FEWEST, MOST = 50, 500
MILLISECOND = 0.001  # ids are no finer

EVENT = (event.c.at, event.c.type, event.c.imei, event.c.command, event.c.detail, event.c.n)

# The smallest number behind which no event is older than :at. About 25 looks at rows by their
# number, in one statement. A number that is missing stands for the next one.
_NUMBER_AT = text("""
WITH RECURSIVE part(low, high) AS (
    SELECT coalesce((SELECT min(n) FROM event), 0), coalesce((SELECT max(n) FROM event) + 1, 0)
    UNION ALL
    SELECT
        CASE WHEN (SELECT e.at FROM event e WHERE e.n >= (low + high) / 2 ORDER BY e.n LIMIT 1)
            < :at THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN (SELECT e.at FROM event e WHERE e.n >= (low + high) / 2 ORDER BY e.n LIMIT 1)
            < :at THEN high ELSE (low + high) / 2 END
    FROM part WHERE low < high
)
SELECT low FROM part WHERE low >= high
""")


def number_at(conn: Connection, at: float) -> int:
    """The number of the first event of that time or later; behind the newest if there is none."""
    return int(conn.scalar(_NUMBER_AT, {"at": at}) or 0)


def number_after(conn: Connection, at: float) -> int:
    """The number of the first event later than that."""
    return number_at(conn, math.nextafter(at, math.inf))


def of_device(
    conn: Connection, imei: str, after: int, end: int | None, limit: int
) -> list[Values]:
    """One device's events behind number `after` and before `end`, at most `limit`, the oldest
    first, in the columns of EVENT."""
    numbers = [event.c.n > after] if end is None else [event.c.n > after, event.c.n < end]
    if limit < 1 or (begin := _time_of(conn, *numbers)) is None:
        return []
    query = select(*EVENT).where(BY_DEVICE, event.c.imei == imei, *numbers)
    found = _rows(conn, query.order_by(event.c.n).limit(limit))
    step = min(max(limit, FEWEST), MOST)
    ids = select(command.c.id).where(command.c.imei == imei).order_by(command.c.id).limit(step)
    if end is not None and (until := _time_of(conn, event.c.n >= end)) is not None:
        ids = ids.where(command.c.id < floor_id(until + NEAR + 1))
    some = conn.scalars(ids.where(command.c.id >= floor_id(begin - NEAR))).all()
    while some:
        found = _sorted(found + _of_commands(conn, some, numbers))[:limit]
        if len(some) < step or (len(found) == limit and _complete(found[-1], some[-1])):
            break
        some = conn.scalars(ids.where(command.c.id > some[-1])).all()
    return found


def _complete(last: Values, id: str) -> bool:
    """Whether no command behind this id can have an event before `last`."""
    taken = taken_at(id)
    return taken is not None and last[0] < taken - NEAR - MILLISECOND


def _of_commands(
    conn: Connection, ids: Sequence[str], numbers: Sequence[ColumnElement[bool]]
) -> list[Values]:
    query = select(*EVENT).where(BY_COMMAND, event.c.command.in_(ids), *numbers)
    return _rows(conn, query)


def _time_of(conn: Connection, *numbers: ColumnElement[bool]) -> float | None:
    """The time of the first of these events."""
    query = select(event.c.at).where(*numbers).order_by(event.c.n).limit(1)
    at: float | None = conn.scalar(query)
    return at


def _rows(conn: Connection, query: Select[Any]) -> list[Values]:
    return [tuple(row) for row in conn.execute(query)]


def _sorted(rows: list[Values]) -> list[Values]:
    return sorted(rows, key=lambda row: row[-1])
