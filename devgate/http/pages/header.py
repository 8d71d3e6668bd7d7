"""The count of unknown outcomes in the header of every page."""

from __future__ import annotations

import trio

from devgate.errors import StoreError
from devgate.http.pages.view import Visit
from devgate.store import inbox


async def count(visit: Visit) -> str:
    """The count for the header of a page; if the database cannot be read, the last one. "" if
    there are none."""
    if not visit.may("unknown"):
        return ""
    gateway, sites = visit.web.gateway, visit.sites
    try:
        found = await gateway.inbox.count(gateway.records, sites)
    except StoreError as err:  # the page need not try to read, too
        visit.away = str(err)
        visit.web.unread = trio.current_time(), visit.away
        found = gateway.inbox.last if sites is None else inbox.NONE
    return f"{found.n:,}{'+' if found.more else ''}" if found.n else ""
