"""Operations that only look."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import trio

from devgate import __version__
from devgate.errors import CallerError, no_device
from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.command_record import record
from devgate.gateway.devices.presence import heard
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, fleetwide, nodes, quarantine
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.model import Imei, iso, shown
from devgate.store import devices as stored
from devgate.store import history as stored_history
from devgate.store.device import Device
from devgate.store.history import Reading
from devgate.store.maintenance import SITE

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


async def status(gateway: Gateway, args: Args, source: str) -> Reply:
    """The gateway's state; with `imei` that of one device. Raises CallerError (300)."""
    imei = arguments.maybe_device(args)
    return _gateway(gateway) if imei is None else await _device(gateway, imei)


def _gateway(gateway: Gateway) -> Reply:
    gateway.trimming.report_clock()
    return {
        "status": "200",
        "version": __version__,
        "pid": os.getpid(),
        "uptime": round(monotonic() - gateway.since, 3),
        "listen": dict(gateway.listens),
        "connections": len(gateway.desk.connections),
        "registered": len(gateway.presence),
        "devices": len(gateway.directory),
        "in_flight": gateway.dispatcher.in_flight,
        "waiting": gateway.dispatcher.waiting,
        "memory": memory()[1],
        "store": gateway.records.state,
        "quarantine": quarantine.found(gateway),
        "database": gateway.records.database,
        "draining": gateway.orders.closed,
        "takeovers": gateway.presence.takeovers,
        "last_event": gateway.events.last,
        "clock": gateway.trimming.clock.state,
        "background": dict(gateway.background.states),
        "log_dropped": gateway.log_dropped(),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        **_cluster(gateway),
    }


def _cluster(gateway: Gateway) -> Reply:
    """What a node adds: from memory, because a status must not wait for the database."""
    if gateway.cluster is None:
        return {}
    return {"node": gateway.cluster.node, "nodes": [*map(nodes.item, gateway.cluster.nodes)]}


def memory() -> tuple[int, int]:
    """Bytes of this process: its address space, and its resident memory."""
    with open("/proc/self/statm") as statm:
        space, held, *_ = statm.read().split()
    return int(space) * PAGE_SIZE, int(held) * PAGE_SIZE


async def _device(gateway: Gateway, imei: Imei) -> Reply:
    await gateway.records.flushed()
    device, row, last = await gateway.records.read(_one, imei)
    late = gateway.dispatcher.results.slow.get(imei)
    return {
        "status": "200",
        **item(gateway, device, row),
        # How late its last answers came, if it keeps answering later than ack_timeout.
        "slow": late and {"seconds": round(late.seconds, 1), "ack_timeout": late.ack_timeout},
        "last": record(last[0]) if last else None,
    }


def _one(
    conn: Reading, imei: Imei
) -> tuple[Device, stored_history.Record | None, Sequence[stored_history.Record]]:
    device = stored.get(conn, imei)
    if device is None:
        raise no_device(imei)
    row = stored_history.presence_of(conn, [imei]).get(imei)
    return device, row, stored_history.page(conn, imei=imei, limit=1)


def item(gateway: Gateway, device: Device, row: Mapping[str, Any] | None) -> Reply:
    """One device, as lists and `status` show it."""
    connection = gateway.current(device.imei)
    since: float | None
    if connection is not None:
        online, since = True, connection.registered_at
        address: str | None = connection.link.address
        last_heard: float | None = heard(connection, trio.current_time())
    else:
        online = fleetwide.elsewhere(gateway, row)
        since = row["since"] if row else None
        address = row["address"] if row else None
        last_heard = row["heard"] if row else None
    return {
        "imei": device.imei,
        "id": device.id,
        "name": device.name,
        "site": device.site,
        "enabled": device.enabled,
        "online": online,
        "since": iso(since),
        "address": address,
        "heard": iso(last_heard),
        "running_until": iso(_running_until(gateway, device.imei, row)),
        "unit": device.unit,
        "maintenance": maintained(gateway, device),
    }


def maintained(gateway: Gateway, device: Device) -> Reply | None:
    """Why customers may not start this device; None: they may."""
    entry = gateway.directory.maintenance.of(device.imei, device.site)
    if entry is None:
        return None
    return {
        "whole_site": entry.kind == SITE,
        "reason": entry.reason,
        "since": iso(entry.since),
        "until": iso(entry.until),
        "source": entry.source,
    }


def _running_until(gateway: Gateway, imei: Imei, row: Mapping[str, Any] | None) -> float | None:
    if gateway.cluster is None or gateway.current(imei) is not None:
        return gateway.running.until(imei)
    until: float | None = row["running_until"] if row else None
    return until if until is not None and until > time() else None


def command_id(args: Args) -> str:
    """The field `command`, which is required. Raises CallerError (400)."""
    return arguments.required(args, "command", "the id of a command")


async def find(gateway: Gateway, id: str) -> Command:
    """The command with this id. Raises CallerError if there is none."""
    if (live := gateway.dispatcher.live.get(id)) is not None:
        return live
    return Command.of(await row_of(gateway, id))


async def row_of(gateway: Gateway, id: str) -> stored_history.Record:
    """The row of this command. Raises CallerError if there is none."""
    await gateway.records.flushed()
    row = await gateway.records.read(stored_history.by_id, id)
    if row is None:
        raise CallerError("400", f"command: no command has the id {shown(id)}")
    return row


async def imei_of(gateway: Gateway, id: str) -> Imei:
    """Whose command this is. Raises CallerError if there is none."""
    live = gateway.dispatcher.live.get(id)
    return live.imei if live is not None else Imei((await row_of(gateway, id))["imei"])


async def command(gateway: Gateway, args: Args, source: str) -> Reply:
    """The record of a command. Raises CallerError (400) if there is none."""
    id = command_id(args)
    if (live := gateway.dispatcher.live.get(id)) is not None:
        return reply_of(live)
    return record(await row_of(gateway, id))


def reply_of(command: Command) -> Reply:
    """A command's record as a reply."""
    return record(command.row())
