"""Events by their time and by their device, for reading. See `numbering` for what holds.

The statements are constant texts: to build one again costs more than to run it.
"""

from __future__ import annotations

import math
from operator import itemgetter

from sqlalchemy import Connection, TextClause, text

from devgate.store.numbering import NEAR_SECONDS, Values, floor_id, time_of

# How many commands of a device are looked at in one step.
MIN_READ, MAX_READ = 4, 500
MILLISECOND = 0.001  # ids are no finer
LAST_NUMBER = 2**63 - 1
LAST_ID = "Z" * 27  # behind every id

Parameters = dict[str, int | str]
COLUMNS = "e.at, e.type, e.imei, e.command, e.detail, e.n"
NUMBER = itemgetter(-1)

# For each time the smallest number behind which no event is older. About 25 looks at rows by their
# number, in one statement. A number that is missing stands for the next one. `seen` is the time of
# the event in the middle; it is carried along so that each is read once.
_LOW = "CASE WHEN seen < part.at THEN (low + high) / 2 + 1 ELSE low END"
_HIGH = "CASE WHEN seen < part.at THEN high ELSE (low + high) / 2 END"
_SEEN = "(SELECT e.at FROM event e WHERE e.n >= {} ORDER BY e.n LIMIT 1)"
_NUMBERS_AT = f"""
WITH RECURSIVE ends(low, high) AS (
    SELECT coalesce((SELECT min(n) FROM event), 0), coalesce((SELECT max(n) FROM event) + 1, 0)
), part(at, low, high, seen) AS (
    SELECT column1, low, high, {_SEEN.format("(low + high) / 2")}
    FROM (VALUES {{times}}) AS times CROSS JOIN ends
    UNION ALL
    SELECT at, {_LOW}, {_HIGH}, {_SEEN.format(f"({_LOW} + {_HIGH}) / 2")}
    FROM part WHERE low < high
)
SELECT low FROM part WHERE low >= high
"""
_ONE = text(_NUMBERS_AT.format(times="(CAST(:since AS DOUBLE PRECISION))"))
_TWO = text(
    _NUMBERS_AT.format(
        times="(CAST(:since AS DOUBLE PRECISION)), (CAST(:beyond AS DOUBLE PRECISION))"
    )
)

# The first part of the ids of a time, as floor_id() makes it.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID_AT = " || ".join(
    f"substr('{_ALPHABET}', CAST((ms >> {shift}) & 31 AS INTEGER) + 1, 1)"
    for shift in range(45, -1, -5)
)
_FIRST_ID = f"""(
    SELECT {ID_AT} FROM (
        SELECT CASE WHEN at < {NEAR_SECONDS + 1} THEN 0
            ELSE (CAST(at AS BIGINT) - {NEAR_SECONDS + 1}) * 1000 END AS ms
        FROM (SELECT at FROM event WHERE n > :after ORDER BY n LIMIT 1) AS first_event
    ) AS first_time
)"""
# The events of some commands of a device, those that are found by the device, and, as the row that
# has no type, the last of these commands and how many they are, as a negative number.
_SOME = """
WITH near(id) AS (
    SELECT c.id FROM command c
    WHERE c.imei = :imei AND c.id > {low} AND c.id < :high ORDER BY c.id LIMIT :step
)
SELECT {columns} FROM near CROSS JOIN event e
WHERE e.command = near.id AND NOT e.by_device AND e.n > :after AND e.n < :end
UNION ALL
SELECT NULL, NULL, NULL, max(near.id), NULL, -count(*) FROM near
"""
_AND_BY_DEVICE = """
UNION ALL
SELECT * FROM (
    SELECT {columns} FROM event e
    WHERE e.by_device AND e.imei = :imei AND e.n > :after AND e.n < :end ORDER BY e.n LIMIT :limit
) AS by_device
"""
_MORE = text(_SOME.format(low=":low", columns=COLUMNS))
_BY_TIME = text((_SOME + _AND_BY_DEVICE).format(low=":low", columns=COLUMNS))
_BY_NUMBER = text((_SOME + _AND_BY_DEVICE).format(low=_FIRST_ID, columns=COLUMNS))


def number_at(conn: Connection, at: float) -> int:
    """The number of the first event of that time or later; behind the newest if there is none."""
    return int(conn.scalar(_ONE, {"since": at}) or 0)


def numbers_between(conn: Connection, since: float, until: float) -> tuple[int, int]:
    """The number of the first event of the time `since` or later, and of the first that is later
    than `until`."""
    beyond = math.nextafter(max(since, until), math.inf)
    first, end = sorted(conn.scalars(_TWO, {"since": since, "beyond": beyond}))
    return first, end


def after_number(conn: Connection, imei: str, after: int, limit: int) -> list[Values]:
    """One device's events behind number `after`, at most `limit`, the oldest first, in COLUMNS."""
    values: Parameters = {"imei": imei, "after": after, "end": LAST_NUMBER, "high": LAST_ID}
    return _found(conn, _BY_NUMBER, values, limit)


def in_time(conn: Connection, imei: str, since: float, until: float, limit: int) -> list[Values]:
    """One device's events in that time, at most `limit`, the oldest first, in COLUMNS."""
    first, end = numbers_between(conn, since, until)
    values: Parameters = {
        "imei": imei,
        "after": first - 1,
        "end": end,
        "low": floor_id(since - NEAR_SECONDS - 1)[:10],
        "high": floor_id(until + NEAR_SECONDS + 1),
    }
    return _found(conn, _BY_TIME, values, limit)


def _found(
    conn: Connection, statement: TextClause, values: Parameters, limit: int
) -> list[Values]:
    """One statement if few commands of the device are near that time, and one for each further
    step."""
    if limit < 1:
        return []
    # A command has three events, as a rule; one more shows that none is missing.
    step = min(MIN_READ + limit // 3, MAX_READ)
    values |= {"step": step, "limit": limit}
    last, found = _read(conn, statement, values)
    while -last[-1] == step and not (len(found) >= limit and _complete(found[limit - 1], last[3])):
        last, more = _read(conn, _MORE, values | {"low": last[3]})
        found = sorted(found + more, key=NUMBER)[:limit]
    return found[:limit]


def _read(
    conn: Connection, statement: TextClause, values: Parameters
) -> tuple[Values, list[Values]]:
    """The row about the commands, and events in order."""
    last, *found = sorted(map(tuple, conn.execute(statement, values)), key=NUMBER)
    return last, found


def _complete(last: Values, id: str) -> bool:
    """Whether no command behind this id can have an event before `last`."""
    made_at = time_of(id)
    return made_at is not None and last[0] < made_at - NEAR_SECONDS - MILLISECOND
