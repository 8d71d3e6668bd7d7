"""Reads the audit: events about changes and logins, newest first."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from devgate.store.event_tables import BY_NUMBER, IS_AUDIT

LOOK_EVENTS = 2000  # events that are looked at for what no index knows, in one look

_PAGE = text(
    "SELECT at, type, imei, command, detail, n FROM event "
    f"WHERE {IS_AUDIT} AND {BY_NUMBER} < :before ORDER BY {BY_NUMBER} DESC LIMIT :limit"
)


class WantedEvents(NamedTuple):
    """Which are looked for: all that is given has to be so. Times are wall clock."""

    source: str | None = None  # who did it: the whole name, or what is behind its first colon
    types: Collection[str] = ()  # none: all
    since: float | None = None
    until: float | None = None

    def fits(self, row: tuple[Any, ...]) -> bool:
        """Whether this event, in the columns of `page`, is looked for."""
        at, type, detail = row[0], row[1], row[4]
        if self.types and type not in self.types:
            return False
        if self.until is not None and at >= self.until:
            return False
        if self.source is None:
            return True
        fields = json.loads(detail)
        who = fields.get("source") or fields.get("by") or fields.get("name") or ""
        return self.source in (who, who.partition(":")[2])


def page(
    conn: Connection, wanted: WantedEvents, before: int, limit: int
) -> tuple[list[tuple[Any, ...]], int | None]:
    """At most `limit` events with numbers below `before`, and the number below which to go on;
    None: there are no more. A page may be short: no more than LOOK_EVENTS are looked at."""
    rows = [tuple(row) for row in conn.execute(_PAGE, {"before": before, "limit": LOOK_EVENTS})]
    found: list[tuple[Any, ...]] = []
    for row in rows:
        # Times never decrease, so no older event matches.
        if wanted.since is not None and row[0] < wanted.since:
            return found, None
        if wanted.fits(row):
            if len(found) == limit:
                return found, found[-1][-1]
            found.append(row)
    return found, rows[-1][-1] if len(rows) == LOOK_EVENTS else None
