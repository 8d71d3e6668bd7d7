"""The places of sites: the middle of their machines with a recorded place."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

MAX_PLACES = 2000  # sites that are returned, those with the most machines


class SitePlace(NamedTuple):
    """A site, in degrees north and east."""

    site: str
    placed: int  # machines of it whose place is known
    latitude: float
    longitude: float


# By an index that has all columns of it.
_PLACES = text(
    "SELECT site, count(*) AS placed, avg(latitude), avg(longitude) FROM device "
    "WHERE latitude IS NOT NULL AND site <> '' GROUP BY site ORDER BY placed DESC, site "
    "LIMIT :limit"
)


def places(conn: Connection) -> list[SitePlace]:
    """All of them, or the MAX_PLACES with the most machines."""
    return [SitePlace(*row) for row in conn.execute(_PLACES, {"limit": MAX_PLACES})]
