"""The devices of some sites: how many, and which, if they are few."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, text

_COUNTED = text(
    "SELECT count(*) FROM (SELECT 1 FROM device WHERE site = :site LIMIT :count) AS found"
)
_DEVICES = text("SELECT imei FROM device WHERE site = :site LIMIT :count")


def are_more(conn: Connection, sites: Collection[str], limit: int) -> bool:
    """Whether they have more than `limit` devices."""
    remaining = limit
    for site in sites:
        remaining -= int(conn.scalar(_COUNTED, {"site": site, "count": remaining + 1}) or 0)
        if remaining < 0:
            return True
    return False


def some(conn: Connection, sites: Collection[str], limit: int) -> list[str]:
    """The IMEIs of their devices, at most `limit`."""
    found: list[str] = []
    for site in sites:
        found += conn.scalars(_DEVICES, {"site": site, "count": limit - len(found)})
        if len(found) >= limit:
            break
    return found
