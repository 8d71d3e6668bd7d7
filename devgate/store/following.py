"""Pages of the log of events for those who follow it, all of it or some types.

One writer gives the numbers, in the order of commits. So the events that one statement reads
behind a number are complete up to the newest number that it sees.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, text

from devgate.store.event_tables import BY_NUMBER, NO_NOISE, NOISE_TYPES
from devgate.store.finding import COLUMNS, NUMBER
from devgate.store.numbering import Values

_NOISE = frozenset(NOISE_TYPES)

_ALL = text(
    f"SELECT {COLUMNS} FROM event e WHERE e.n > :after AND e.n <= :until ORDER BY e.n LIMIT :limit"
)
# One statement, and so one view of the table. Without events it is a row that has only the ends.
_SOME = text(f"""
SELECT ends.oldest, ends.newest, found.*
FROM (
    SELECT (SELECT min(n) FROM event) AS oldest, (SELECT max(n) FROM event) AS newest
) AS ends
LEFT JOIN (
    SELECT {COLUMNS} FROM event e
    WHERE {NO_NOISE} AND {BY_NUMBER} > :after AND {BY_NUMBER} <= :until AND type IN :types
    ORDER BY {BY_NUMBER} LIMIT :limit
) AS found ON TRUE
""").bindparams(bindparam("types", expanding=True))


class FoundEvents(NamedTuple):
    """A page of events behind a number."""

    rows: list[Values]  # at, type, imei, command, detail, n; oldest first
    first: int  # the first number behind it that is still kept, whatever its type
    # Up to here the page has all that was asked for. The number itself: nothing behind it is kept.
    end: int


def page(conn: Connection, after: int, until: int, limit: int, types: Set[str]) -> FoundEvents:
    """Events of these types (none given: of all) with the numbers `after` + 1 to `until`.

    If one of the types is noise the log is read by number: then a page without events need not be
    the last one.
    """
    values = {"after": after, "until": until, "limit": limit}
    if not types or not types.isdisjoint(_NOISE):
        rows = [tuple(row) for row in conn.execute(_ALL, values)]
        if not rows:
            return FoundEvents([], after + 1, after)
        wanted = [row for row in rows if row[1] in types] if types else rows
        return FoundEvents(wanted, rows[0][-1], rows[-1][-1])
    found = [tuple(row) for row in conn.execute(_SOME, {**values, "types": sorted(types)})]
    oldest, newest = found[0][:2]
    rows = sorted((row[2:] for row in found if row[-1] is not None), key=NUMBER)
    # If the database lacks the newest events, as a replica may, they are written again later.
    end = rows[-1][-1] if len(rows) == limit else min(newest or 0, until)
    if end <= after:
        return FoundEvents([], after + 1, after)
    return FoundEvents(rows, min(max(oldest, after + 1), end + 1), end)
