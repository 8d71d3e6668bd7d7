"""The operation that says where sites are."""

from __future__ import annotations

from functools import partial

from devgate.gateway.gateway import Gateway
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.fleet import soon
from devgate.gateway.operations.reply import Reply


async def places(gateway: Gateway, args: Args, source: str) -> Reply:
    """Where sites are, those with the most devices first; and how many have no place."""
    counted = await gateway.fleet.counted(gateway.records, partial(soon, gateway))
    found = await gateway.places.found(gateway.records)
    items = [
        {
            "site": one.site,
            "latitude": round(one.latitude, 5),
            "longitude": round(one.longitude, 5),
            "placed": one.placed,
            "devices": counted.sites.get(one.site, one.placed),
            "offline": counted.absence.by_site.get(one.site, 0),
        }
        for one in found
    ]
    placed = {one.site for one in found}
    unplaced = sum(site not in placed for site in counted.sites)
    return {"status": "200", "items": items, "unplaced": unplaced, "next": None}
