"""What a job for many machines does. It must not delay other starts: few machines are asked at a
time, at a limited rate, and rows are changed in short transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import trio

from devgate.errors import DevgateError, StoreError, outcome_of
from devgate.gateway.bulk import Job, MachineResult
from devgate.gateway.command import Command, Order
from devgate.gateway.completion import result_of
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import devices, maintenance
from devgate.gateway.operations.arguments import Args
from devgate.model import Imei

MAX_IN_FLIGHT = 16  # machines of a job that have been asked and have not answered
PACE_SECONDS = 0.005  # between two: 200 a second take about 4 % of a core
DEVICES_A_TRANSACTION = 50
EDIT_PAUSE_SECONDS = 0.05  # between two transactions
WRONG_UNIT = {  # by whether the machine counts times
    True: "this machine counts times, not seconds; nothing was sent",
    False: "this machine counts seconds, not times; nothing was sent",
}
# Changes some machines, all or none.
Change = Callable[[Gateway, Args, str], Awaitable[object]]
STOPS = MachineResult("503", outcome_of("503"), "the gateway stops; nothing was sent")


async def order(gateway: Gateway, asked: Mapping[str, Any], job: Job) -> None:
    """Start or stop each machine."""
    remaining, pace = iter(job.imeis), trio.Lock()
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_IN_FLIGHT):
            nursery.start_soon(_order_some, gateway, asked, job, remaining, pace)


async def _order_some(
    gateway: Gateway,
    asked: Mapping[str, Any],
    job: Job,
    remaining: Iterator[Imei],
    pace: trio.Lock,
) -> None:
    for imei in remaining:
        async with pace:
            await trio.sleep(PACE_SECONDS)
        if job.state == "cancelling":
            return
        job.note(imei, await _ordered(gateway, asked, job, imei))


async def _ordered(
    gateway: Gateway, asked: Mapping[str, Any], job: Job, imei: Imei
) -> MachineResult:
    if gateway.orders.closed:
        return STOPS
    try:
        await gateway.knowledge.learn([imei])
    except StoreError as err:
        return MachineResult(err.status, err.outcome, str(err))
    times = gateway.directory.counts_times(imei)
    if job.action == "start" and times != (asked["unit"] == "times"):
        return MachineResult("400", outcome_of("400"), WRONG_UNIT[times])
    order = Order(
        imei,
        job.action,
        asked.get("long"),
        f"{job.id}-{imei}",  # asked again under the same id, it is done once
        asked["timeout"],
        asked["expires"],
        asked.get("cancel", False),
        job.source,
    )
    found = await result_of(partial(gateway.orders.submit, order, True))
    if isinstance(found, Command):
        return MachineResult(found.status, found.outcome, found.message, found.id)
    if isinstance(found, DevgateError):
        return MachineResult(found.status, found.outcome, str(found))
    if isinstance(found, Exception):
        raise found
    return MachineResult(found["status"], found["outcome"], found["message"], found["command"])


async def edit(gateway: Gateway, asked: Mapping[str, Any], job: Job) -> None:
    """Change each machine, some in one transaction."""
    await _some_at_once(gateway, asked, job, devices.edit)


async def maintain(gateway: Gateway, asked: Mapping[str, Any], job: Job) -> None:
    """Put each machine in maintenance, or end it, some in one transaction."""
    given = {name: value for name, value in asked.items() if name != "on"}
    change = maintenance.maintenance_on if asked["on"] else maintenance.maintenance_off
    await _some_at_once(gateway, given, job, change)


async def _some_at_once(
    gateway: Gateway, asked: Mapping[str, Any], job: Job, change: Change
) -> None:
    for start in range(0, len(job.imeis), DEVICES_A_TRANSACTION):
        if job.state == "cancelling":
            return
        some = list(job.imeis[start : start + DEVICES_A_TRANSACTION])
        result = await _changed(gateway, asked, job, some, change)
        if len(some) == 1 or result.outcome == "done":
            for imei in some:
                job.note(imei, result)
        else:  # one was removed meanwhile, or cannot be changed so: find out which
            for imei in some:
                job.note(imei, await _changed(gateway, asked, job, [imei], change))
        await trio.sleep(EDIT_PAUSE_SECONDS)


async def _changed(
    gateway: Gateway, asked: Mapping[str, Any], job: Job, imeis: list[Imei], change: Change
) -> MachineResult:
    if gateway.orders.closed:
        return STOPS
    try:
        # What was begun is finished, so that a cancelled job knows what it has done.
        with trio.CancelScope(shield=True):
            await change(gateway, {"imeis": imeis, **asked}, job.source)
    except DevgateError as err:
        return MachineResult(err.status, err.outcome, str(err))
    return MachineResult("200", "done", "changed")


WORK: Mapping[str, Callable[[Gateway, Mapping[str, Any], Job], Awaitable[None]]] = {
    "start": order,
    "stop": order,
    "edit": edit,
    "maintenance": maintain,
}
