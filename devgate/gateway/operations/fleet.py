"""Operations on the fleet as a whole, or on the sites of one who is limited to some: its last day,
its hours, and what a person should look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from devgate.gateway.clock import time
from devgate.gateway.command_record import record
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, fleetwide
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.reports import attention, fleet_day, past
from devgate.gateway.reports.fleets import Fleet
from devgate.model import iso
from devgate.store import command_pages, inbox, statistics
from devgate.store.command_looks import WantedCommands
from devgate.store.history import Reading, Record
from devgate.store.own_sites import Now
from devgate.webhooks.position import BY_HAND

MAX_UNKNOWN, MAX_LATEST = 20, 8  # unknown outcomes, and newest commands, in a reply
USUAL_DAYS = 7  # by which it is known how many commands usually fail


async def fleet(gateway: Gateway, args: Args, source: str) -> Reply:
    """The last 24 hours: counts, hours, sites in the dark, odd devices, newest events."""
    now, sites = time(), arguments.own_sites(args)
    part = gateway.fleet.of(sites)
    counted = await _counted(gateway, part, USUAL_DAYS)
    await gateway.records.flushed()
    unknown, rows, latest = await gateway.records.read(_newest, now - fleet_day.DAY, sites)
    unresolved = (await gateway.inbox.count(gateway.records, sites)).n
    here = await fleetwide.now(gateway, sites)
    hours, dark = fleet_day.by_hour(counted), await _dark(gateway, counted)
    offline = here.known - counted.absence.disabled - here.online
    items = await _attention(gateway, part, counted, hours, dark, unresolved, here)
    reply = part.last = {
        "status": "200",
        "at": iso(now),
        "known": here.known,
        "online": here.online,
        "offline": max(0, offline),
        "disabled": counted.absence.disabled,
        "absent": {
            "hour": counted.absence.hour,
            "day": counted.absence.day,
            "week": counted.absence.week,
            "never": counted.absence.never,
        },
        "worst": [one._asdict() for one in counted.absence.sites],
        "attention": items,
        "running": here.running,
        "in_flight": here.in_flight,
        "waiting": here.waiting,
        "unknown": unknown,
        "unresolved": unresolved,
        "failed": sum(int(str(hour["failed"])) for hour in hours),
        "starts": sum(int(str(hour["start"])) for hour in hours),
        "day": fleet_day.online_over_day(counted, here.online, now),
        "hours": hours,
        "dark": dark,
        "to_look_at": [_named(row) for row in rows],
        "odd": fleet_day.odd_items(counted),
        "latest": [_named(row) for row in latest],
        "sites": counted.sites,
        "store": gateway.records.state,
    }
    return reply


async def attention_now(gateway: Gateway) -> Sequence[Mapping[str, Any]]:
    """What a person should look at, as `fleet` tells it, with all sites. Raises StoreError."""
    counted = await _counted(gateway, gateway.fleet, USUAL_DAYS)
    unresolved = (await gateway.inbox.count(gateway.records)).n
    here = await fleetwide.now(gateway)
    hours, dark = fleet_day.by_hour(counted), await _dark(gateway, counted)
    return await _attention(
        gateway, gateway.fleet, counted, hours, dark, unresolved, here, len(dark)
    )


async def _dark(gateway: Gateway, counted: fleet_day.FleetCounts) -> list[dict[str, Any]]:
    """Sites of which many devices went offline together, and how many are back."""
    lost = {imei for _, imeis in counted.outages for imei in imeis}
    here = await fleetwide.online_among(gateway, lost)
    return fleet_day.dark_items(counted, here.__contains__)


async def _attention(
    gateway: Gateway,
    part: Fleet,
    counted: fleet_day.FleetCounts,
    hours: Sequence[dict[str, Any]],
    dark: Sequence[dict[str, Any]],
    unresolved: int,
    here: Now,
    max_sites: int = attention.MAX_SITES,
) -> list[dict[str, object]]:
    """What a person should look at. Webhooks and certificates concern those who see all sites."""
    now, whole = time(), part.sites is None
    enabled = here.known - counted.absence.disabled
    under_way = int(now - counted.since) // fleet_day.HOUR
    recent = range(under_way - attention.RECENT_HOURS + 1, under_way + 1)
    before = part.past.known(USUAL_DAYS, now, counted.since)
    usual = [*before, *(hour for number, hour in enumerate(hours) if number not in recent)]
    return attention.found(
        store=gateway.records.state,
        quarantine=held.reason if (held := gateway.quarantine.held) else None,
        unknown=unresolved,
        dark=dark,
        absence=attention.absent(counted.absence, enabled - here.online, enabled),
        failing=attention.failures(
            attention.Rate.of(hours[number] for number in recent if 0 <= number < len(hours)),
            attention.Rate.of(usual),
        ),
        strangers=counted.strangers,
        webhooks=[
            (one.name, one.state, one.disabled or one.error or "", one.delivered_at)
            for one in gateway.webhooks.targets.values()
            if whole and one.disabled != BY_HAND
        ]
        + [
            (one.name, "unusable", one.why, None)
            for one in gateway.webhooks.unusable.values()
            if whole
        ],
        odd=len(counted.odd),
        certificates=await gateway.certificates.known() if whole else (),
        now=now,
        max_sites=max_sites,
    )


async def trend(gateway: Gateway, args: Args, source: str) -> Reply:
    """The fleet by the hour, over 1, 7 or 30 days. `complete` is false while older hours are
    still counted: these are null then."""
    days, now = arguments.number(args, "days"), time()
    days = 1 if days is None else days
    if days not in past.DAYS:
        raise arguments.expected("days", "one of 1, 7, 30", days)
    sites = arguments.own_sites(args)
    part = gateway.fleet.of(sites)
    counted = await _counted(gateway, part, days)
    online = (await fleetwide.now(gateway, sites)).online
    hours, complete = fleet_day.by_hours(counted, part.past, days, online, now)
    return {
        "status": "200",
        "days": days,
        "since": hours[0]["at"],
        "hours": hours,
        "complete": complete,
    }


def soon(gateway: Gateway, task: Callable[[], Awaitable[None]]) -> bool:
    """Count beside the service."""

    async def work() -> None:
        await gateway.background.attempt("fleet", task)

    return gateway.dispatcher.soon(work)


async def _counted(gateway: Gateway, part: Fleet, days: int) -> fleet_day.FleetCounts:
    """The last day's counts; those of `days` are made beside the service."""
    counted = await part.counted(gateway.records, partial(soon, gateway))
    if part.past.want(days):
        fill = partial(part.past.fill, gateway.records, gateway.background)
        if not gateway.dispatcher.soon(fill):
            part.past.give_up()
    return counted


def _newest(
    conn: Reading, since: float, sites: frozenset[str] | None
) -> tuple[int, Sequence[Record], Sequence[Record]]:
    rows = inbox.page(conn, inbox.InboxFilter(sites=sites), after=None, limit=MAX_UNKNOWN).rows
    if sites is None:
        latest = statistics.latest(conn, MAX_LATEST)
    else:
        found = command_pages.find(conn, WantedCommands(sites=sites), MAX_LATEST).rows
        latest = statistics.with_names(conn, found)
    return statistics.unknown(conn, since, sites), rows, latest


def _named(row: Record) -> Reply:
    return {**record(row), "name": row["name"], "site": row["site"]}


async def sites(gateway: Gateway, args: Args, source: str) -> Reply:
    """The names of all sites, each with the number of its devices."""
    counted = await gateway.fleet.counted(gateway.records, partial(soon, gateway))
    return {
        "status": "200",
        "items": [{"site": name, "devices": count} for name, count in counted.sites.items()],
    }
