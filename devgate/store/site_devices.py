"""The devices of some sites: how many, and which, if they are few."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, text

_COUNTED = text(
    "SELECT count(*) FROM (SELECT 1 FROM device WHERE site = :site LIMIT :count) AS found"
)
_DEVICES = text("SELECT imei FROM device WHERE site = :site LIMIT :count")


def are_more(conn: Connection, sites: Collection[str], most: int) -> bool:
    """Whether they have more than `most` devices."""
    left = most
    for site in sites:
        left -= int(conn.scalar(_COUNTED, {"site": site, "count": left + 1}) or 0)
        if left < 0:
            return True
    return False


def some(conn: Connection, sites: Collection[str], most: int) -> list[str]:
    """The IMEIs of their devices, at most `most`."""
    found: list[str] = []
    for site in sites:
        found += conn.scalars(_DEVICES, {"site": site, "count": most - len(found)})
        if len(found) >= most:
            break
    return found
