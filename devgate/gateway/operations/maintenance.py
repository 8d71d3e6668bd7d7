"""Operations on maintenance: a machine, or a whole site, stays connected and takes no customer's
start. Staff may start it (`test_start`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from devgate.errors import CallerError
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Imei, iso
from devgate.store import maintenance as stored
from devgate.store.device import MAX_NAME
from devgate.store.maintenance import IMEI, SITE, MaintenanceEntry

TARGET_FIELDS = ("imei", "imeis", "site")
MAX_REASON = 200  # characters

log = logging.getLogger("devgate.devices")


async def maintenance(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of what is in maintenance: sites first, then machines by IMEI."""
    limit, sites = arguments.limit(args), arguments.own_sites(args)
    rows = await gateway.records.read(stored.page, time(), _after(args), limit + 1, sites)
    items = [item(*row) for row in rows[:limit]]
    last = rows[limit - 1][0] if len(rows) > limit else None
    return {
        "status": "200", "items": items, "next": None if last is None else f"{last[0]}:{last[1]}"
    }  # fmt: skip


def _after(args: Args) -> tuple[str, str] | None:
    given = arguments.text(args, "after", MAX_NAME + 5)
    if given is None:
        return None
    kind, colon, name = given.partition(":")
    if not colon or kind not in (IMEI, SITE):
        raise arguments.expected("after", "the `next` of a page", given)
    return kind, name


def item(entry: MaintenanceEntry, name: str | None, site: str | None) -> Reply:
    """One entry as the list has it; `name` and `site` are those of a machine."""
    whole = entry.kind == SITE
    return {
        "imei": None if whole else entry.name,
        "name": None if whole else name,
        "site": entry.name if whole else site,
        "reason": entry.reason,
        "since": iso(entry.since),
        "until": iso(entry.until),
        "source": entry.source,
    }


def given(args: Args, now: float) -> dict[str, Any]:
    """The reason and the end of maintenance that begins. Raises CallerError (400)."""
    reason = arguments.text(args, "reason", MAX_REASON)
    return {"reason": reason, "until": arguments.later(args, "until", now)}


def _which(args: Args) -> tuple[str, Sequence[str]]:
    """The machines, or the site, of the request."""
    named = [name for name in TARGET_FIELDS if args.get(name) is not None]
    if len(named) != 1:
        said = " and ".join(named) or "nothing"
        raise CallerError("400", f"imei: either imei, imeis or site expected, not {said}")
    if "site" not in named:
        return IMEI, arguments.devices(args)
    site = arguments.text(args, "site", MAX_NAME)
    assert site is not None, "it was looked at"
    return SITE, [site]


async def maintenance_on(gateway: Gateway, args: Args, source: str) -> Reply:
    """Refuse customers' starts, of devices all or none, or of a site. Raises CallerError: 300,
    and 409 where too much is in maintenance."""
    now = time()
    kind, names = _which(args)
    said = given(args, now)
    await _learn(gateway, kind, names)
    found = await gateway.records.change(
        stored.begin, kind, names, said["reason"] or "", said["until"], source[:160], now
    )
    await gateway.knowledge.refresh_maintenance()
    for entry in found:
        gateway.knowledge.tell_maintenance("maintenance.began", entry, source)
    log.info(
        "maintenance began first=%s count=%s until=%s source=%s",
        names[0], len(names), iso(said["until"]), source,
    )  # fmt: skip
    what = "is" if len(names) == 1 else "are"
    return _reply(f"{_named(kind, names)} {what} in maintenance", kind, names, found[0])


async def maintenance_off(gateway: Gateway, args: Args, source: str) -> Reply:
    """Let customers start again. What was not in maintenance stays as it is."""
    now = time()
    kind, names = _which(args)
    await _learn(gateway, kind, names)
    ended = await gateway.records.change(stored.end, kind, names, now)
    await gateway.knowledge.refresh_maintenance()
    for entry in ended:
        gateway.knowledge.tell_maintenance("maintenance.ended", entry, source)
    log.info("maintenance ended first=%s count=%s source=%s", names[0], len(ended), source)
    what = _named(kind, names)
    if len(names) == 1:
        text = f"{what} is no longer in maintenance" if ended else f"{what} was not in maintenance"
        still = gateway.directory.maintenance.of(Imei(names[0])) if kind == IMEI else None
        if still is not None:
            text += f"; its site {still.name} still is"
    else:
        text = f"{len(ended)} of {what} were in maintenance, and are no longer"
    return _reply(text, kind, names, None)


async def _learn(gateway: Gateway, kind: str, names: Sequence[str]) -> None:
    """Have the names of these devices in memory, for events."""
    if kind == IMEI:
        await gateway.knowledge.learn(names)


def _named(kind: str, names: Sequence[str]) -> str:
    if len(names) > 1:
        return f"{len(names)} devices"
    return f"the site {names[0]}" if kind == SITE else names[0]


def _reply(text: str, kind: str, names: Sequence[str], entry: MaintenanceEntry | None) -> Reply:
    now: Mapping[str, Any] = {} if entry is None else {
        "reason": entry.reason, "since": iso(entry.since), "until": iso(entry.until)
    }  # fmt: skip
    return {
        "status": "200",
        "message": text,
        "imeis": list(names) if kind == IMEI else [],
        "site": names[0] if kind == SITE else None,
        **now,
    }
