"""Ends the commands and marks the devices of dead nodes, in slices. Any live node does this."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from devgate.gateway.command import Command
from devgate.gateway.commands.recovery import UNSENT
from devgate.gateway.details import command_front, corrected, ended, offline
from devgate.model import Called, Imei
from devgate.store import devices as stored
from devgate.store import node_orphans
from devgate.store.history import Reading
from devgate.store.node_orphans import SLICE_ROWS, add_events, orphaned_commands, orphaned_devices
from devgate.store.node_rows import upsert

DIED = (
    "sent, and its node died before an answer came: the outcome is unknown, "
    "the device may have done it"
)
OFFLINE = "its node died"

log = logging.getLogger("devgate.nodes")

# Settles one slice in a transaction. Returns how many rows that were.
Settle = Callable[[Reading, float], int]


def commands(conn: Reading, now: float) -> int:
    """End commands that no node has any more. A command that waits for its device to register goes
    on waiting: the node where the device registers adopts it."""
    found = [Command.of(row) for row in orphaned_commands(conn, now)]
    for command in found:
        if command.state == "sent":
            command.ends("408", now, DIED)
        elif command.expires_at is None:
            command.ends("503", now, UNSENT)
        else:
            command.ends("410", now)
    unsent = [one.values() for one in found if not one.spent and one.key is not None]
    others = [one.values() for one in found if one.spent or one.key is None]
    upsert(conn, "refused", unsent)
    upsert(conn, "command", others)
    called = _called(conn, found)
    events = [ended(one, command_front(one, called.get(one.imei)), now).values for one in found]
    add_events(conn, events, {one.id for one in found})
    for one in found:
        log.info("command of a dead node ended command=%s status=%s", one.id, one.status)
    return len(found)


def devices(conn: Reading, now: float) -> int:
    """Mark devices of dead nodes offline."""
    found = orphaned_devices(conn, now)
    events = [offline(Imei(imei), now, OFFLINE, number).values for imei, number in found]
    add_events(conn, events, set())
    return len(found)


def correct(conn: Reading, now: float, unsent: Mapping[str, int]) -> int:
    """A node that was declared dead knows that no byte of these commands went out. `unsent` has
    their ids and their places in the order of sending. Those that ended as 408 become 404, as do
    those that have not ended yet, and their keys are free. Returns how many there were."""
    found = [
        Command.of(row)
        for row in node_orphans.unknown(conn, sorted(unsent))
        if row["sequence"] == unsent[row["id"]]
    ]
    events, called = [], _called(conn, found)
    for command in found:
        tell = corrected
        if command.state == "sent":
            command.ends("404", now)
            tell = ended
        command.corrected()
        events.append(tell(command, command_front(command, called.get(command.imei)), now).values)
    upsert(conn, "refused", [one.values() for one in found])
    add_events(conn, events, {one.id for one in found})
    for one in found:
        log.warning("command corrected, nothing of it was sent command=%s", one.id)
    return len(found)


def _called(conn: Reading, commands: Iterable[Command]) -> Mapping[Imei, Called]:
    """The names of the devices of these: devices of another node are not in memory here."""
    found = stored.among(conn, {command.imei for command in commands})
    return {device.imei: Called(device.id, device.name, device.site) for device in found}


STEPS: tuple[Settle, ...] = (commands, devices)


def more(count: int) -> bool:
    """Whether there may be another slice."""
    return count >= SLICE_ROWS
