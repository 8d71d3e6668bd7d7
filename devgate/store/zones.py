"""The time zones of sites that have one of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, insert, select

from devgate.store.usage_tables import site_zone
from devgate.store.usage_work import queue_site

MAX_ZONES = 10_000  # sites with a zone of their own


def zones(conn: Connection) -> dict[str, str]:
    """By site. Others have the configured one."""
    query = select(site_zone.c.site, site_zone.c.zone).order_by(site_zone.c.site)
    return {row.site: row.zone for row in conn.execute(query)}


def zones_of(conn: Connection, sites: Collection[str]) -> dict[str, str]:
    """Those of these sites that have one of their own, by the site."""
    query = select(site_zone.c.site, site_zone.c.zone).where(site_zone.c.site.in_(list(sites)))
    return {row.site: row.zone for row in conn.execute(query)}


def set_zone(conn: Connection, site: str, zone: str | None, today: int) -> bool:
    """Give a site this zone, or with None the configured one, and let its days up to `today` be
    counted again. False: it has that one already."""
    known: Mapping[str, str] = zones(conn)
    if known.get(site) == zone:
        return False
    conn.execute(delete(site_zone).where(site_zone.c.site == site))
    if zone is not None:
        conn.execute(insert(site_zone).values(site=site, zone=zone))
    queue_site(conn, site, today)
    return True
