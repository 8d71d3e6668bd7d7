"""Operations on unknown devices: those that were refused when they tried to register."""

from __future__ import annotations

import logging

from devgate.errors import CallerError, NotThere
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, devices
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Imei, iso
from devgate.store import unknown as stored

APPROVE = "approve"  # what [device] registration must be

log = logging.getLogger("devgate.devices")


async def unknown_devices(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of them: who tried last comes first."""
    after, limit = arguments.text(args, "after", 15), arguments.limit(args)
    reason = arguments.choice(args, "reason", stored.REASONS)
    dismissed = arguments.yes(args, "dismissed", False)
    gateway.desk.unregistered.attempts.flush()
    await gateway.records.flushed()
    if after is not None and await gateway.records.read(stored.one, after) is None:
        raise NotThere(f"after: {after} is kept no longer; begin at the first page")
    count, rows = await gateway.records.read(
        stored.page, reason=reason, dismissed=dismissed, after=after, limit=limit + 1
    )
    items = [_item(row) for row in rows[:limit]]
    return {
        "status": "200",
        "items": items,
        "next": items[-1]["imei"] if len(rows) > limit else None,
        "count": count,
        "registration": gateway.settings.device.registration,
    }


def _item(row: stored.Row) -> Reply:
    times = {"first_at": iso(row["first_at"]), "last_at": iso(row["last_at"])}
    return {**row, **times, "dismissed": bool(row["dismissed"])}


async def approve(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a device that tried to register. Raises CallerError: 300 for one that did not, 409
    where [device] registration does not permit it, and as `add` does."""
    imei = arguments.device(args)
    if gateway.settings.device.registration != APPROVE:
        raise CallerError(
            "409",
            f'[device] registration is "listed": an admin adds {imei} (`devgate devices add '
            f'{imei}`); or set registration = "approve"',
        )
    row = await _row(gateway, imei)
    await gateway.knowledge.learn([imei])
    if row["reason"] == "disabled" and gateway.directory.admits(imei) is False:
        raise CallerError("409", f"imei: {imei} is known and disabled; enable it instead")
    reply = await devices.add(gateway, args, source)
    log.info("unknown device approved imei=%s source=%s", imei, source)
    return {**reply, "message": f"approved {imei}; it is added, and may register"}


async def dismiss(gateway: Gateway, args: Args, source: str) -> Reply:
    """Leave a device out of the list; with `dismissed` false, take that back."""
    imei, dismissed = arguments.device(args), arguments.yes(args, "dismissed", True)
    await _row(gateway, imei)
    await gateway.records.change(stored.dismiss, imei, dismissed)
    log.info("unknown device dismissed imei=%s dismissed=%s source=%s", imei, dismissed, source)
    return {
        "status": "200",
        "message": f"{imei} is left out of the list"
        if dismissed
        else f"{imei} is in the list again",
        "imei": imei,
        "dismissed": dismissed,
    }


async def _row(gateway: Gateway, imei: Imei) -> stored.Row:
    gateway.desk.unregistered.attempts.flush()
    await gateway.records.flushed()
    row = await gateway.records.read(stored.one, imei)
    if row is None:
        raise CallerError("300", f"no device with the IMEI {imei} has tried to register")
    return row
