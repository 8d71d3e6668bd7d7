"""The new program restores its state from the messages of the old one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

import trio

from devgate.gateway.commands import moving as commands
from devgate.gateway.commands.orders import Orders
from devgate.gateway.devices import moving as devices
from devgate.gateway.gateway import Gateway
from devgate.model import Imei
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.upgrade.channel import Broken, Channel, Message

GAVE_UP = "the gateway that runs goes on by itself"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that are filled."""

    gateway: Gateway
    database: Database
    journal: Journal
    make_link: devices.MakeLink
    blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    """Run a function that blocks, in a thread."""


class Filled(NamedTuple):
    """What this program still needs once it is the gateway."""

    moved: list[devices.MovedConnection]  # connections that are to be read
    awaited: list[str]  # ids of commands for which callers of the old process wait
    # Devices whose connections were not handed over, and whether they were announced as online.
    not_moved: list[tuple[str, bool]]


async def next_of(channel: Channel, type: str) -> Message:
    """The next message, which is of this type. Raises Broken."""
    message = await channel.receive()
    if message.type != type:
        raise Broken(f"{GAVE_UP}: it says {message.type}, and {type} was expected")
    return message


async def fill(channel: Channel, parts: Parts) -> Filled:
    """Read the whole state of the running gateway. Raises Broken."""
    gateway = parts.gateway
    message = await next_of(channel, "ahead")
    # Both programs count from the same boot; trio adds a number of its own.
    shift = trio.current_time() - monotonic() - message.content["clock"]
    found = devices.UnpackedConnections(
        gateway.desk,
        gateway.presence,
        gateway.acceptor.crowds,
        parts.make_link,
        gateway.settings.device.max_outbox,
        shift,
    )
    known = commands.UnpackedCommands(
        gateway.dispatcher, gateway.presence.get, devices.remark, shift
    )
    while True:
        _all_of(found, message)
        if message.content["last"]:
            break
        message = await next_of(channel, "ahead")
    # Polled early, so that it takes no time while devices wait. The old program still reads them.
    gateway.desk.lifetimes.poll_all(found.connections.values())
    await channel.send("aware")
    state = (await next_of(channel, "state")).content
    while (message := await channel.receive()).type != "end":
        content = message.content
        if message.type == "connections":
            _all_of(found, message)
        elif message.type == "again":
            for place, row in content["rows"]:
                found.again(place, row)
        elif message.type == "gone":
            for place in content["places"]:
                found.gone(place)
        elif message.type == "commands":
            for row in content["rows"]:
                known.command(row)
        elif message.type == "devices":
            for row in content["rows"]:
                known.device(row)
        else:
            raise Broken(f"{GAVE_UP}: it says {message.type}")
    found.end()
    moved = list(found.connections.values())
    counts = len(moved), gateway.dispatcher.in_flight
    if counts != (message.content["connections"], message.content["in_flight"]):
        raise Broken(f"{counts} arrived of {message.content}")
    gateway.dispatcher.number_above(state["sequence"])
    assert isinstance(gateway.orders, Orders), "it works alone"
    gateway.orders.ids.last = int(state["last_id"])
    gateway.presence.number_above(state["generation"])
    gateway.running.load({Imei(imei): at for imei, at in state["running"].items()})
    if (arrival := parts.database.arrival) is not None:  # from SQLite to PostgreSQL
        await parts.blocking(arrival.catch_up)
    await gateway.knowledge.catch_up()
    if gateway.knowledge.revision != state["revision"]:
        raise Broken("devices were changed in the database at this moment: try again")
    last = await parts.blocking(parts.journal.begin_again)
    if last != state["last_event"]:
        raise Broken(f"the newest event is {last}, and {state['last_event']} was expected")
    gateway.events.begin_at(last)
    return Filled(moved, state["awaited"], state["left"])


def _all_of(found: devices.UnpackedConnections, message: Message) -> None:
    for fd, row in zip(message.fds, message.content["rows"], strict=True):
        found.one(fd, row)
