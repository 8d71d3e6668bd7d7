"""The old program sends its state while nothing changes any more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import trio

from devgate.gateway.commands.moving import pack_commands, pack_devices
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.moving import moves
from devgate.gateway.gateway import Gateway
from devgate.upgrade.ahead import Ahead, parts
from devgate.upgrade.channel import Channel

MESSAGE_COMMANDS = 200  # commands, or devices with commands, in a message


async def tell(channel: Channel, gateway: Gateway, ahead: Ahead) -> dict[Connection, None]:
    """Send everything that the new program needs. Returns the connections that it gets. Raises
    Broken."""
    dispatcher = gateway.dispatcher
    now = trio.current_time()
    remainder = ahead.remainder()
    moved = remainder.moved
    await channel.send(
        "state",
        sequence=dispatcher.sequence,
        last_id=str(gateway.orders.ids.last),
        generation=gateway.presence.generation,
        revision=gateway.knowledge.revision,
        last_event=gateway.events.last,
        running=gateway.running.all(),
        awaited=[one.id for one in dispatcher.live.values() if one.has_callers],
        left=[
            [one.session.imei, one.announced]
            for one in gateway.desk.connections.values()
            if one not in moved and one.session.imei is not None and not moves(one.link)
        ],
    )
    if remainder.gone:
        await channel.send("gone", places=remainder.gone)
    for some in parts(remainder.changed):
        await channel.send("again", rows=some)
    for some in parts(remainder.fresh):
        await channel.send("connections", [fd for fd, _ in some], rows=[row for _, row in some])
    await _chunks(channel, "commands", pack_commands(dispatcher))
    await _chunks(channel, "devices", pack_devices(dispatcher, moved.__contains__, now))
    await channel.send("end", connections=len(moved), in_flight=dispatcher.in_flight)
    return moved


async def _chunks(channel: Channel, type: str, rows: Iterator[dict[str, Any]]) -> None:
    while some := list(islice(rows, MESSAGE_COMMANDS)):
        await channel.send(type, rows=some)
