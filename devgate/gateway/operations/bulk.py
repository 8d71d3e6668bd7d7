"""Operations on many machines at once: start, stop, edit; and how far a job has come."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any

from devgate.errors import CallerError
from devgate.gateway.bulk import MAX_MACHINES, Job, MachineResult
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import (
    arguments,
    bulk_work,
    device_list,
    devices,
    fleetwide,
    maintenance,
)
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Imei, iso, shown
from devgate.store.device import UNITS

JOB_FIELDS = ("bulk", "imeis", "match", "most", "dry_run")  # of every job
CHANGES = (  # that one edit can make
    "site", "phone", "qr", "unit", "ack_timeout", "enabled", "model", "firmware", "installed_on",
    "note", "tags", "tag", "untag",
)  # fmt: skip
MAX_LISTED = 3000  # IMEIs in a request, which has 64 KiB
PAGE_DEVICES = 250  # that one read returns: devices wait for it
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


async def bulk_start(gateway: Gateway, args: Args, source: str) -> Reply:
    """Start machines that count `unit`. Each has a key of its own: the job's id and its IMEI."""
    asked = {
        "long": arguments.long(args, gateway.settings.command.max_long),
        "unit": arguments.choice(args, "unit", UNITS) or UNITS[0],
        "timeout": arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT_SECONDS),
        "expires": arguments.seconds(args, "expires", arguments.MAX_EXPIRES_SECONDS),
    }
    return await _asked(gateway, args, source, "start", asked)


async def bulk_stop(gateway: Gateway, args: Args, source: str) -> Reply:
    """Stop machines, one after the other."""
    asked = {
        "timeout": arguments.seconds(args, "timeout", arguments.MAX_TIMEOUT_SECONDS),
        "expires": arguments.seconds(args, "expires", arguments.MAX_EXPIRES_SECONDS),
        "cancel": arguments.yes(args, "cancel", False),
    }
    return await _asked(gateway, args, source, "stop", asked)


async def bulk_edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change the same fields of many machines: move, enable, disable."""
    asked = devices.given({name: args[name] for name in CHANGES if name in args})
    if not asked:
        raise CallerError("400", f"nothing to change: one of {', '.join(CHANGES)} expected")
    devices.check(asked)
    return await _asked(gateway, args, source, "edit", asked)


async def bulk_maintenance(gateway: Gateway, args: Args, source: str) -> Reply:
    """Put machines in maintenance; with `on` false end it."""
    on = arguments.yes(args, "on", True)
    asked = {"on": on, **(maintenance.given(args, time()) if on else {})}
    if not on and (wrong := [name for name in ("reason", "until") if args.get(name) is not None]):
        raise CallerError("400", f"{wrong[0]}: only maintenance that begins has one")
    return await _asked(gateway, args, source, "maintenance", asked)


async def _asked(
    gateway: Gateway, args: Args, source: str, action: str, asked: dict[str, Any]
) -> Reply:
    id = _id(args)
    which = {name: args.get(name) for name in ("imeis", "match")}
    content = {**asked, **which}
    if id is not None and (job := gateway.bulk.get(id)) is not None:
        if (job.action, job.asked) != (action, content):
            raise CallerError("409", f"bulk: {id} is another job; nothing was done")
        return reply_of(job)
    imeis = await _selected(gateway, args, source)
    most = arguments.number(args, "most")
    if most is not None and len(imeis) > most:
        raise CallerError(
            "409", f"most: {len(imeis)} machines match by now, not {most}; nothing was done"
        )
    if arguments.yes(args, "dry_run", False):
        return await _looked_at(gateway, imeis)
    job = Job(id or f"bulk-{secrets.token_hex(8)}", action, source, content, imeis)
    # Another request with this id may have come while the machines were read.
    if gateway.bulk.get(job.id) is None:
        gateway.bulk.add(job, partial(bulk_work.WORK[action], gateway, asked))
    return reply_of(gateway.bulk.find(job.id))


def _id(args: Args) -> str | None:
    given = args.get("bulk")
    if given is not None and not (isinstance(given, str) and JOB_ID.fullmatch(given)):
        raise CallerError(
            "400", "bulk: 1 to 64 letters, digits, dots, dashes and underlines expected, not "
            + shown(given),
        )  # fmt: skip
    return given


async def _selected(gateway: Gateway, args: Args, source: str) -> Sequence[Imei]:
    """The machines of a job. Raises CallerError (400)."""
    listed, match = args.get("imeis"), args.get("match")
    if (listed is None) == (match is None):
        raise CallerError("400", "imeis: either imeis or match expected")
    if listed is not None:
        return arguments.listed(listed, MAX_LISTED)
    if not isinstance(match, dict):
        raise arguments.expected("match", "an object with the filters of `devices`", match)
    if wrong := [name for name in match if name not in device_list.FILTERS]:
        raise CallerError(
            "400", f"match: {', '.join(device_list.FILTERS)} are known, not {shown(wrong[0])}"
        )
    found: list[Imei] = []
    after: object = None
    while True:
        page: dict[str, Any] = await device_list.devices(
            gateway,
            {**match, arguments.OWN_SITES: args.get(arguments.OWN_SITES), "limit": PAGE_DEVICES}
            | ({} if after is None else {"after": after}),
            source,
        )
        found += [Imei(item["imei"]) for item in page["items"]]
        after = page["next"]
        if len(found) > MAX_MACHINES or (len(found) == MAX_MACHINES and after is not None):
            raise CallerError(
                "400", f"match: more than {MAX_MACHINES} machines match, and one job takes no "
                "more; name a site, or another filter",
            )  # fmt: skip
        if after is None:
            return found


async def _looked_at(gateway: Gateway, imeis: Sequence[Imei]) -> Reply:
    """The state of the machines, before anything is asked of them."""
    await gateway.knowledge.learn(imeis)
    online, running = set(await fleetwide.online(gateway)), set(await fleetwide.running(gateway))
    return {
        "status": "200",
        "message": f"{len(imeis)} machines; nothing was done",
        "count": len(imeis),
        "online": sum(one in online for one in imeis),
        "running": sum(one in running for one in imeis),
        "maintenance": sum(gateway.directory.maintenance.of(one) is not None for one in imeis),
        "disabled": sum(gateway.directory.admits(one) is False for one in imeis),
    }


def reply_of(job: Job) -> Reply:
    """How far a job has come."""
    return {
        "status": "200",
        "message": f"{len(job.results)} of {len(job.imeis)} done",
        "bulk": job.id,
        "action": job.action,
        "state": job.state,
        "count": len(job.imeis),
        "done": len(job.results),
        "outcomes": dict(job.outcomes),
        "asked": {name: value for name, value in job.asked.items() if value is not None
                  and name not in ("imeis", "match")},
        "source": job.source,
        "asked_at": iso(job.asked_at),
        "ended_at": iso(job.ended_at),
    }  # fmt: skip


async def bulk(gateway: Gateway, args: Args, source: str) -> Reply:
    """How far a job has come, with a page of its machines: those that have a result, in the order
    of the request. With `failed` only those that were not done."""
    job = _job(gateway, args)
    failed = arguments.yes(args, "failed", False)
    after, limit = arguments.number(args, "after") or 0, arguments.limit(args)
    items: list[Reply] = []
    some: list[tuple[Imei, MachineResult]] = []
    following: int | None = None
    for place in range(after, len(job.imeis)):
        one = job.imeis[place]
        result = job.results.get(one)
        if result is None or (failed and result.outcome == "done"):
            continue
        if len(some) == limit:
            following = place
            break
        some.append((one, result))
    await gateway.knowledge.learn(one for one, _ in some)
    for one, result in some:
        called = gateway.directory.called(one)
        items.append(
            {
                "imei": one,
                "name": called.name if called else "",
                "site": called.site if called else "",
                **result._asdict(),
            }
        )
    return {**reply_of(job), "items": items, "next": following}


async def bulks(gateway: Gateway, args: Args, source: str) -> Reply:
    """The jobs that are remembered, newest first."""
    return {"status": "200", "items": [reply_of(job) for job in gateway.bulk], "next": None}


async def bulk_cancel(gateway: Gateway, args: Args, source: str) -> Reply:
    """Ask nothing more of the machines of a job. Raises CallerError (409) if it has ended."""
    job = _job(gateway, args)
    if job.over:
        raise CallerError("409", f"bulk: {job.id} has ended already")
    gateway.bulk.cancel(job)
    return reply_of(job)


def _job(gateway: Gateway, args: Args) -> Job:
    id = _id(args)
    if id is None:
        raise CallerError("400", "bulk: the id of a job expected, not nothing")
    return gateway.bulk.find(id)
