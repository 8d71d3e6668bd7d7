"""The time zones of sites, by which reports cut days."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from devgate.errors import CallerError, NotThere
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.reports.days import day_of, zone_of
from devgate.model import shown
from devgate.store import statistics
from devgate.store import zones as stored
from devgate.store.device import MAX_NAME
from devgate.store.history import Reading

log = logging.getLogger("devgate.reports")


async def zones(gateway: Gateway, args: Args, source: str) -> Reply:
    """All sites, each with its own time zone, or with null: it has the default."""
    zone_of_site, sites = await gateway.records.read(_zones)
    items = [
        {"site": site, "devices": sites.get(site, 0), "zone": zone_of_site.get(site)}
        for site in sorted({*sites, *zone_of_site})
    ]
    return {"status": "200", "default": gateway.settings.report.zone, "items": items}


def _zones(conn: Reading) -> tuple[Mapping[str, str], Mapping[str, int]]:
    return stored.zones(conn), statistics.sites(conn)


async def zone(gateway: Gateway, args: Args, source: str) -> Reply:
    """Give a site a time zone, or with null the default. Its days are counted again."""
    site = arguments.required(args, "site", "the name of a site", MAX_NAME)
    name = arguments.text(args, "zone")
    if name is not None:
        try:
            zone_of(name)
        except ValueError as err:
            raise CallerError("400", f"zone: {err}") from None
    zone_of_site, sites = await gateway.records.read(_zones)
    if site not in sites and site not in zone_of_site:
        raise NotThere(f"site: no device is at a site called {shown(site)}")
    if name is not None and site not in zone_of_site and len(zone_of_site) >= stored.MAX_ZONES:
        raise CallerError("400", f"at most {stored.MAX_ZONES} sites have a zone of their own")
    tomorrow = day_of(time(), zone_of("UTC")) + 1
    if await gateway.records.change(stored.set_zone, site, name, tomorrow):
        log.info("zone of a site changed site=%s zone=%s source=%s", site, name, source)
    used = name or gateway.settings.report.zone
    return {
        "status": "200",
        "message": f"days of {site} are cut in the zone {used} and counted anew",
        "site": site,
        "zone": name,
    }
