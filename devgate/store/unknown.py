"""Unknown devices: IMEIs that were refused when they tried to register, MAX_ROWS of them.

Anybody who reaches the device port can make rows here. So it matters which rows are deleted when
there are too many. Rows whose attempts are spread over an hour are deleted last, the one that was
seen longest ago first: each is a machine that tries again and again. Of the others the newest of
each network stay: a flood of IMEIs from one network removes only rows of that network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

MAX_ROWS = 1000
LONG_STANDING = 3600  # seconds between the first attempt and the last one

# unknown: nobody knows the IMEI. disabled: it is known and disabled. wrong: a connection that is
# registered as another IMEI said it.
REASONS = ("unknown", "disabled", "wrong")
# The columns of a row that is written, in their order; `count` is added to what is there.
WRITTEN = (
    "imei", "reason", "address", "network", "first_at", "last_at", "count", "connected_as",
)  # fmt: skip

# The reason of the refusal does not hold any more: the device was added, enabled or removed.
_SETTLED = (
    "(u.reason = 'unknown' AND d.imei IS NOT NULL"
    " OR u.reason = 'disabled' AND (d.imei IS NULL OR d.enabled))"
)
_FROM = "FROM unknown_device u LEFT JOIN device d ON d.imei = u.imei"
_CLASS = (
    f"CASE WHEN u.last_at - u.first_at >= {LONG_STANDING} THEN 0"
    ' WHEN u."count" > 1 THEN 1 ELSE 2 END'
)
_TOO_MANY = f"""
SELECT imei FROM (
  SELECT imei, row_number() OVER (ORDER BY settled, class,
    CASE WHEN class = 0 THEN 0 ELSE place END, last_at DESC, imei) AS n
  FROM (
    SELECT u.imei, u.last_at, CASE WHEN {_SETTLED} THEN 1 ELSE 0 END AS settled,
      {_CLASS} AS class,
      row_number() OVER (PARTITION BY u.network, {_CLASS} ORDER BY u.last_at DESC) AS place
    {_FROM}
  ) AS placed
) AS numbered WHERE n > {MAX_ROWS}"""


def trim(dialect: str) -> str:
    """The statement that deletes rows beyond the bound.

    On PostgreSQL several nodes may do so at once: none waits for a row of another one.
    """
    found = _TOO_MANY
    if dialect == "postgresql":
        found = f"SELECT imei FROM unknown_device WHERE imei IN ({found}) FOR UPDATE SKIP LOCKED"
    return f"DELETE FROM unknown_device WHERE imei IN ({found})"


_SHOWN = f"""
SELECT u.imei, u.reason, u.address, u.first_at, u.last_at, u."count", u.connected_as,
  u.dismissed, d.name, d.site
{_FROM} WHERE NOT {_SETTLED} AND u.dismissed = :dismissed"""
_REASON = " AND u.reason = :reason"
_BEHIND = (
    " AND (u.last_at, u.imei) < (SELECT last_at, imei FROM unknown_device WHERE imei = :after)"
)
_ORDER = " ORDER BY u.last_at DESC, u.imei DESC LIMIT :limit"
_ONE = text(f"SELECT u.imei, u.reason, u.dismissed {_FROM} WHERE u.imei = :imei")
_COUNT = f"SELECT count(*) {_FROM} WHERE NOT {_SETTLED} AND u.dismissed = :dismissed"
_DISMISS = text("UPDATE unknown_device SET dismissed = :dismissed WHERE imei = :imei")

Row = dict[str, Any]


def page(
    conn: Connection, *, reason: str | None, dismissed: bool, after: str | None, limit: int
) -> tuple[int, Sequence[Row]]:
    """How many there are with that reason, and a page of them: the latest attempt first.

    Rows whose reason does not hold any more are left out.
    """
    given: dict[str, object] = {"dismissed": dismissed}
    only = ""
    if reason is not None:
        only, given["reason"] = _REASON, reason
    count = conn.scalar(text(_COUNT + only), given) or 0
    behind = ""
    if after is not None:
        behind, given["after"] = _BEHIND, after
    rows = conn.execute(text(_SHOWN + only + behind + _ORDER), {**given, "limit": limit})
    return count, [dict(row._mapping) for row in rows]


def waiting(conn: Connection, since: float) -> int:
    """How many that are not dismissed have tried at that time (wall clock) or later."""
    query = text(f"{_COUNT} AND u.last_at >= :since")
    return conn.scalar(query, {"dismissed": False, "since": since}) or 0


def one(conn: Connection, imei: str) -> Row | None:
    """The row of this IMEI, whether or not it was settled; None if it has none."""
    row = conn.execute(_ONE, {"imei": imei}).first()
    return None if row is None else dict(row._mapping)


def dismiss(conn: Connection, imei: str, dismissed: bool) -> bool:
    """Show this IMEI no longer, or again. False: it has no row."""
    values = {"imei": imei, "dismissed": dismissed}
    return conn.execute(_DISMISS, values).rowcount > 0
