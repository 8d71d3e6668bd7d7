"""Searches for rules of alerts: devices that stay offline, and outcomes that stay unresolved.

Each search has a bound and uses an index: `presence_list`, from where the last search ended, or
the index of the inbox.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from devgate.store.alert_scope import Scope
from devgate.store.unresolved import INBOX

LOOK_ROWS = 2000  # rows of `presence` that one look passes
MAX_COMMANDS = 500  # commands that one look finds


class Away(NamedTuple):
    """A device that went offline, and has not come back."""

    imei: str
    since: float
    id: int
    name: str
    site: str


class Passed(NamedTuple):
    """The result of one search, and the place where the next one begins; None: it was the last."""

    found: Sequence[Away]
    place: tuple[float, str] | None


# A row value in the condition: with it both databases use the index.
_PASSED = text("""
    SELECT p.imei, p.since, d.id, d.name, d.site, d.enabled, d.tags
    FROM (SELECT imei, since FROM presence
          WHERE online = false AND since IS NOT NULL AND (since, imei) > (:since, :imei)
            AND since <= :until
          ORDER BY since, imei LIMIT :limit) AS p
    LEFT JOIN device d ON d.imei = p.imei
    ORDER BY p.since, p.imei
""")
_STILL = text("""
    SELECT p.imei FROM presence p JOIN device d ON d.imei = p.imei
    WHERE p.imei IN :imeis AND p.online = false AND d.enabled
""").bindparams(bindparam("imeis", expanding=True))
# By the index `command_unknown`. Only starts: a lost stop costs nobody money.
_BETWEEN = """
    SELECT c.id, c.imei, c.key, c.ended_at, d.name, d.site
    FROM command c LEFT JOIN device d ON d.imei = c.imei
    WHERE c.status = '408' AND c.verdict IS NULL AND c.type = 'start'
      AND c.ended_at > :since AND c.ended_at <= :until{among}
    ORDER BY c.ended_at LIMIT :limit"""
_UNRESOLVED = text(f"SELECT id FROM command WHERE id IN :ids AND {INBOX}").bindparams(
    bindparam("ids", expanding=True)
)
_ONLINE = {
    "sqlite": text(
        "SELECT p.imei FROM json_each(:imeis) j JOIN presence p ON p.imei = j.value WHERE p.online"
    ),
    "postgresql": text(
        "SELECT imei FROM presence WHERE imei = ANY(CAST(:imeis AS text[])) AND online"
    ),
}


def away(
    conn: Connection, place: tuple[float, str], until: float, scope: Scope, chunk: int = LOOK_ROWS
) -> Passed:
    """Enabled devices that went offline behind that place (wall clock and IMEI), up to `until`.
    The longest away come first."""
    values: dict[str, Any] = {"since": place[0], "imei": place[1], "until": until, "limit": chunk}
    rows = conn.execute(_PASSED, values).all()
    found = [Away(*row[:5]) for row in rows if row[5] and scope.has(row[4], row[6])]
    return Passed(found, (rows[-1][1], rows[-1][0]) if len(rows) == chunk else None)


def still_away(conn: Connection, imeis: Collection[str]) -> set[str]:
    """Those of these devices that are offline and enabled. At most some hundreds."""
    return set(conn.scalars(_STILL, {"imeis": list(imeis)})) if imeis else set()


def unresolved_between(
    conn: Connection, since: float, until: float, scope: Scope
) -> list[dict[str, Any]]:
    """Starts that have had an unknown outcome since that time (wall clock), the longest first. At
    most MAX_COMMANDS."""
    values: dict[str, Any] = {"since": since, "until": until, "limit": MAX_COMMANDS}
    query = text(_BETWEEN.format(among=scope.condition(values)))
    rows = conn.execute(query, values)
    return [dict(row._mapping) for row in rows]


def unresolved(conn: Connection, ids: Collection[str]) -> set[str]:
    """Those of these commands whose outcome is still unknown. At most some hundreds."""
    return set(conn.scalars(_UNRESOLVED, {"ids": list(ids)})) if ids else set()


def online_among(conn: Connection, imeis: Collection[str]) -> set[str]:
    """Those of these devices that are connected, to whichever node."""
    on_sqlite = conn.dialect.name == "sqlite"
    given = json.dumps(list(imeis)) if on_sqlite else list(imeis)
    return set(conn.scalars(_ONLINE[conn.dialect.name], {"imeis": given}))
