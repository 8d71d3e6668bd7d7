"""Events by their time and by their device, for reading. See `numbering` for what holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    literal,
    select,
    text,
    union_all,
)

from devgate.store.numbering import NEAR, Values, floor_id, taken_at
from devgate.store.schema import BY_COMMAND, BY_DEVICE, command, event

# How many commands of a device are looked at in one step.
FEWEST, MOST = 50, 500
MILLISECOND = 0.001  # ids are no finer

EVENT = (event.c.at, event.c.type, event.c.imei, event.c.command, event.c.detail, event.c.n)

# For each time the smallest number behind which no event is older. About 25 looks at rows by their
# number, in one statement. A number that is missing stands for the next one.
_NUMBERS_AT = """
WITH RECURSIVE part(at, low, high) AS (
    SELECT column1, coalesce((SELECT min(n) FROM event), 0),
        coalesce((SELECT max(n) FROM event) + 1, 0)
    FROM (VALUES {times}) AS times
    UNION ALL
    SELECT at,
        CASE WHEN (SELECT e.at FROM event e WHERE e.n >= (low + high) / 2 ORDER BY e.n LIMIT 1)
            < part.at THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN (SELECT e.at FROM event e WHERE e.n >= (low + high) / 2 ORDER BY e.n LIMIT 1)
            < part.at THEN high ELSE (low + high) / 2 END
    FROM part WHERE low < high
)
SELECT low FROM part WHERE low >= high ORDER BY at
"""
_ONE = text(_NUMBERS_AT.format(times="(CAST(:since AS DOUBLE PRECISION))"))
_TWO = text(
    _NUMBERS_AT.format(
        times="(CAST(:since AS DOUBLE PRECISION)), (CAST(:beyond AS DOUBLE PRECISION))"
    )
)


def number_at(conn: Connection, at: float) -> int:
    """The number of the first event of that time or later; behind the newest if there is none."""
    return int(conn.scalar(_ONE, {"since": at}) or 0)


def numbers_between(conn: Connection, since: float, until: float) -> tuple[int, int]:
    """The number of the first event of the time `since` or later, and of the first that is later
    than `until`."""
    beyond = math.nextafter(max(since, until), math.inf)
    first, end = conn.scalars(_TWO, {"since": since, "beyond": beyond})
    return first, end


def of_device(
    conn: Connection, imei: str, after: int, end: int | None, limit: int
) -> list[Values]:
    """One device's events behind number `after` and before `end`, at most `limit`, the oldest
    first, in the columns of EVENT. Two statements, if few of its commands are near."""
    numbers = [event.c.n > after] if end is None else [event.c.n > after, event.c.n < end]
    begin, until, found = _by_device(conn, imei, numbers, end, limit)
    if begin is None or limit < 1:
        return []
    step = min(max(limit, FEWEST), MOST)
    ids = select(command.c.id).where(command.c.imei == imei).order_by(command.c.id).limit(step)
    if until is not None:
        ids = ids.where(command.c.id < floor_id(until + NEAR + 1))
    some, events = _by_command(conn, ids.where(command.c.id >= floor_id(begin - NEAR)), numbers)
    while some:
        found = sorted(found + events, key=itemgetter(-1))[:limit]
        if len(some) < step or (len(found) == limit and _complete(found[-1], some[-1])):
            break
        some, events = _by_command(conn, ids.where(command.c.id > some[-1]), numbers)
    return found


def _complete(last: Values, id: str) -> bool:
    """Whether no command behind this id can have an event before `last`."""
    taken = taken_at(id)
    return taken is not None and last[0] < taken - NEAR - MILLISECOND


def _by_device(
    conn: Connection,
    imei: str,
    numbers: Sequence[ColumnElement[bool]],
    end: int | None,
    limit: int,
) -> tuple[float | None, float | None, list[Values]]:
    """The time of the first of these events of all devices, that of the first behind them, and
    this device's that are found by it."""
    query = select(*EVENT).order_by(event.c.n)
    parts = [
        query.where(*numbers).limit(1),
        query.where(BY_DEVICE, event.c.imei == imei, *numbers).limit(limit),
    ]
    if end is not None:
        parts.append(query.where(event.c.n >= end).limit(1))
    rows = conn.execute(
        union_all(*(
            select(literal(place, Integer), *part.subquery().c) for place, part in enumerate(parts)
        ))
    ).all()  # fmt: skip
    begin = next((row[1] for row in rows if row[0] == 0), None)
    until = next((row[1] for row in rows if row[0] == 2), None)
    return (
        begin,
        until,
        sorted((tuple(row[1:]) for row in rows if row[0] == 1), key=itemgetter(-1)),
    )


def _by_command(
    conn: Connection, ids: Select[Any], numbers: Sequence[ColumnElement[bool]]
) -> tuple[list[str], list[Values]]:
    """These commands, in order, and their events that are found by them."""
    some = ids.subquery()
    theirs = and_(event.c.command == some.c.id, BY_COMMAND, *numbers)
    query = select(some.c.id, *EVENT).select_from(some.outerjoin(event, theirs))
    rows = conn.execute(query).all()
    events: list[Values] = [tuple(row[1:]) for row in rows if row[-1] is not None]
    return sorted({row[0] for row in rows}), events
