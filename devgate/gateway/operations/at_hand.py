"""What the gateway has in memory, as replies: for pages while the database is away.

What memory does not hold (history, when a device went offline) is empty here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from heapq import nlargest, nsmallest
from operator import attrgetter
from typing import Any, ParamSpec

import trio

from devgate.errors import no_device
from devgate.gateway.clock import time
from devgate.gateway.command_record import record
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import fleetwide, status
from devgate.gateway.operations import maintenance as maintained
from devgate.gateway.operations.reply import Reply
from devgate.gateway.reports import attention, fleet_day
from devgate.model import Imei, iso
from devgate.store.maintenance import SITE

SCANS = trio.CapacityLimiter(1)  # scans of the whole directory at once: each costs processor time
MAX_TRIES = 5  # of a scan, which fails when another thread changes the directory


P = ParamSpec("P")


def now(
    function: Callable[P, Reply], *args: P.args, **kwargs: P.kwargs
) -> Callable[[], Awaitable[Reply]]:
    """The function as one that is awaited."""

    async def found() -> Reply:
        return function(*args, **kwargs)

    return found


def device(gateway: Gateway, imei: Imei) -> Reply:
    """As `status` with an IMEI. Raises CallerError (300)."""
    known = gateway.directory.known(imei)
    if known is None:
        raise no_device(imei)
    item = status.item(gateway, known, None)
    return {"status": "200", **item, "slow": None, "last": None}


def some(gateway: Gateway, imeis: Iterable[str]) -> Sequence[Reply]:
    """These devices, as `devices` lists them; those that are not known are left out."""
    found = (gateway.directory.known(Imei(imei)) for imei in imeis)
    return [status.item(gateway, known, None) for known in found if known is not None]


async def devices(
    gateway: Gateway,
    *,
    q: str | None = None,
    site: str | None = None,
    after: str | None = None,
    limit: int,
    online: bool | None = None,
    running: bool | None = None,
    enabled: bool | None = None,
    offline_for: float | None = None,
    sort: str | None = None,
    before: str | None = None,
    count: bool = False,
    **others: object,
) -> Reply:
    """A page of devices by IMEI. Of a cluster, other nodes' devices count as offline.

    `unread`: a filter is among `others`, of which memory knows nothing.
    """
    if others:
        return {"status": "200", "items": [], "next": None, "unread": True}
    if offline_for is not None:
        online = False
    after = None if after is None else after[:15]
    words = q.lower() if q else None
    here, busy = set(gateway.presence.imeis()), set(gateway.running.imeis())
    directory = gateway.directory

    def wanted(imei: Imei) -> bool:
        if after is not None and imei <= after:
            return False
        if online is not None and (imei in here) is not online:
            return False
        if running is not None and (imei in busy) is not running:
            return False
        if enabled is not None and directory.admits(imei) is not enabled:
            return False
        if words is None and site is None:
            return True
        called = directory.called(imei)
        if called is None or (site is not None and called.site != site):
            return False
        return words is None or any(
            words in one.lower() for one in (imei, called.name, called.site)
        )

    def scan() -> list[Imei]:
        for _ in range(MAX_TRIES):
            try:
                return nsmallest(limit + 1, filter(wanted, directory.imeis()))
            except RuntimeError:  # the directory has grown during the scan
                continue
        return []

    found = await trio.to_thread.run_sync(scan, limiter=SCANS)
    items = some(gateway, found[:limit])
    more = found[limit - 1] if len(found) > limit else None
    return {"status": "200", "items": items, "next": more}


def fleet(gateway: Gateway) -> Reply:
    """As `fleet`: the last count that there is, with the numbers of now."""
    online, running, in_flight = fleetwide.counts(gateway)
    nothing: Mapping[str, Any] = {
        "at": None, "unknown": 0, "unresolved": 0,
        "failed": 0, "starts": 0, "day": [], "hours": [], "dark": [],
        "to_look_at": [], "odd": [], "latest": [], "sites": {}, "disabled": 0, "worst": [],
        "absent": {"hour": 0, "day": 0, "week": 0, "never": 0}, "attention": [],
    }  # fmt: skip
    last: Mapping[str, Any] = {**nothing, **(gateway.fleet.last or {})}
    store = attention.Item("store", attention.CRITICAL, 1, detail=gateway.records.state)
    return {
        "status": "200",
        **last,
        "attention": [
            asdict(store),
            *(one for one in last["attention"] if one["kind"] != "store"),
        ],
        "known": len(gateway.directory),
        "online": online,
        "offline": max(0, len(gateway.directory) - last["disabled"] - online),
        "running": running,
        "in_flight": in_flight,
        "waiting": gateway.dispatcher.waiting,
        "store": gateway.records.state,
    }


def found() -> Reply:
    """As `find`, without anything."""
    return {"status": "200", "exact": 0, "devices": [], "commands": [], "site": None}


def places() -> Reply:
    """As `places`, without any."""
    return {"status": "200", "items": [], "unplaced": 0, "next": None}


def nothing() -> Reply:
    """The reply for what is not in memory at all."""
    return {"status": "200"}


def sites(gateway: Gateway) -> Reply:
    """As `sites`, by the last count that there is."""
    last: Mapping[str, Any] = gateway.fleet.last or {}
    named: Mapping[str, int] = last.get("sites", {})
    return {
        "status": "200",
        "items": [{"site": name, "devices": count} for name, count in named.items()],
    }


def day(imei: Imei, since: float, now: float) -> Reply:
    """As `day`, without anything that happened."""
    return {
        "status": "200",
        "imei": imei,
        "since": iso(since),
        "until": iso(since + fleet_day.DAY),
        "now": iso(now),
        "online": [],
        "running": [],
        "commands": [],
        "events": [],
    }


def history(
    gateway: Gateway, *, imei: str | None = None, key: str | None = None, limit: int
) -> Reply:
    """As `history`: the commands that are under way, newest first."""
    live = (
        one
        for one in gateway.dispatcher.live.values()
        if imei in (None, one.imei) and key in (None, one.key)
    )
    newest = nlargest(limit, live, key=attrgetter("id"))
    return {"status": "200", "items": [record(one.row()) for one in newest], "next": None}


def order(gateway: Gateway, key: str) -> Reply:
    """As `order`: the command of that key, if it is under way, without its story."""
    items: list[Reply] = []
    if (command := gateway.dispatcher.by_key.get(key)) is not None:
        called = gateway.directory.called(command.imei)
        items.append(
            {
                "record": record(command.row()),
                "name": called.name if called else "",
                "site": called.site if called else "",
                "unit": "times" if gateway.directory.counts_times(command.imei) else "seconds",
                "before": None,
                "lines": [],
            }
        )
    return {"status": "200", "key": key, "items": items}


def maintenance(gateway: Gateway, limit: int) -> Reply:
    """As the first page of `maintenance`."""
    now, items = time(), list[Reply]()
    for entry in gateway.directory.maintenance.first(limit):
        called = None if entry.kind == SITE else gateway.directory.called(Imei(entry.name))
        if not entry.over(now):
            name, site = (None, None) if called is None else (called.name, called.site)
            items.append(maintained.item(entry, name, site))
    return {"status": "200", "items": items, "next": None}


def unknown_devices(gateway: Gateway) -> Reply:
    """As `unknown_devices`, without any: they are in the database alone."""
    registration = gateway.settings.device.registration
    return {"status": "200", "items": [], "next": None, "count": 0, "registration": registration}
