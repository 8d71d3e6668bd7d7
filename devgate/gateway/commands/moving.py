"""The commands of all devices, as values: one gateway hands them over to another program.

What is on disk is not enough: after a crash, what was sent ends as 408. Here it goes on, with its
deadline, and so does what waits for its turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from devgate.gateway.command import COLUMNS, Command
from devgate.gateway.commands.claims import Group, HeldResult, Sent
from devgate.gateway.commands.device_commands import CommandLink, DeviceCommands
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.model import Imei
from devgate.net.link import Mark

# Whether a connection is handed over, too. The others end with the gateway that has them.
Moves = Callable[[object], bool]
# A mark of the connection that was handed over, at the place that it had.
Remark = Callable[[CommandLink, int], Mark]

Packed = dict[str, Any]


def pack_commands(dispatcher: Dispatcher) -> Iterator[Packed]:
    """All commands that the devices' rows refer to. Nothing may wait for the journal."""
    for command in _known(dispatcher.devices()).values():
        yield {**command.row(), "until": command.until}


def pack_devices(dispatcher: Dispatcher, moves: Moves, now: float) -> Iterator[Packed]:
    """The commands of each device by their ids, and what results depend on. `now`, as all times:
    trio's clock of this process."""
    for device in dispatcher.devices():
        entries = list(_entries(device))
        numbers = {entry: number for number, entry in enumerate(entries)}
        yield {
            "imei": device.imei,
            "registered": device.registered,
            "noted": sorted(device.noted),
            "current": device.current.id if device.current else None,
            "claim": numbers.get(device.claim) if device.claim else None,
            "aside": numbers.get(device.aside) if device.aside else None,
            "waiting": [command.id for command in device.waiting],
            "entries": [_entry(entry, moves, now) for entry in entries],
            "open": [numbers[entry] for entry in device.claims.open],
            "groups": {
                kind: {
                    "members": [numbers[entry] for entry in group.members],
                    "held": [_held(held, moves) for held in group.held],
                    "since": group.since,
                }
                for kind, group in device.claims.groups.items()
            },
            "closed": {kind: list(closed) for kind, closed in device.claims.closed.items()},
        }


def _known(devices: Iterable[DeviceCommands]) -> dict[str, Command]:
    known: dict[str, Command] = {}
    for device in devices:
        for command in device.waiting:
            known[command.id] = command
        for entry in _entries(device):
            known[entry.command.id] = entry.command
    return known


def _entries(device: DeviceCommands) -> Iterable[Sent[Command]]:
    found: dict[Sent[Command], None] = dict.fromkeys(device.claims.open)
    for group in device.claims.groups.values():
        found.update(dict.fromkeys(group.members))
    for claim in (device.claim, device.aside):
        if claim is not None:
            found[claim] = None
    return found


def _entry(entry: Sent[Command], moves: Moves, now: float) -> Packed:
    entry.look(now)
    here, lost, heard = False, entry.lost, entry.heard
    if entry.link is not None:
        here = moves(entry.link)
        if not here:  # its connection ends with this process, as in Sent.disconnected()
            lost, heard = entry.mark is not None and entry.seen is None, entry.link.heard
    return {
        "command": entry.command.id,
        "kind": entry.kind,
        "sequence": entry.sequence,
        "at": entry.at,
        "unknown_since": entry.unknown_since,
        "yielded": entry.yielded,
        "here": here,
        "mark": _place(entry.mark) if here else None,
        "seen": entry.seen,
        "lost": lost,
        "heard": heard,
        "later": entry.later,
    }


def _held(held: HeldResult, moves: Moves) -> Packed:
    here, repeat = held.link is not None and moves(held.link), held.may_repeat
    if held.link is not None and not here:  # as HeldResult.disconnected()
        repeat = not held.ack_sent or (held.mark is not None and not held.mark.acknowledged())
    return {
        "status": held.status,
        "at": held.at,
        "here": here,
        "mark": _place(held.mark) if here else None,
        "ack_sent": held.ack_sent,
        "may_repeat": repeat,
    }


def _place(mark: object) -> int | None:
    return getattr(mark, "place", None)


class UnpackedCommands:
    """Puts it into the dispatcher of another program, before that serves."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        connection: Callable[[Imei], CommandLink | None],
        remark: Remark,
        shift: float,
    ) -> None:
        """`connection` finds those that were handed over; `shift` is added to times."""
        self.commands: dict[str, Command] = {}
        self._dispatcher = dispatcher
        self._connection = connection
        self._remark = remark
        self._shift = shift

    def command(self, packed: Mapping[str, Any]) -> None:
        """One of pack_commands(). All of them come before the devices."""
        command = Command.of({**dict.fromkeys(COLUMNS), **packed})
        command.until = packed["until"] + self._shift
        self.commands[command.id] = command

    def device(self, packed: Mapping[str, Any]) -> None:
        """One of pack_devices()."""
        device = DeviceCommands(Imei(packed["imei"]))
        link = self._connection(device.imei)
        entries = [self._entry(one, link) for one in packed["entries"]]
        device.registered = packed["registered"] + self._shift
        device.noted = frozenset(packed["noted"])
        device.waiting.extend(self.commands[id] for id in packed["waiting"])
        device.claims.open = [entries[number] for number in packed["open"]]
        for kind, group in packed["groups"].items():
            device.claims.groups[kind] = Group(
                [entries[number] for number in group["members"]],
                [self._held(one, link) for one in group["held"]],
                self._time(group["since"]),
            )
        for kind, (sequence, since) in packed["closed"].items():
            device.claims.closed[kind] = sequence, since + self._shift
        for name in ("claim", "aside"):
            if packed[name] is not None:
                setattr(device, name, entries[packed[name]])
        if packed["current"] is not None:
            device.current = self.commands[packed["current"]]
        self._dispatcher.inherit(device)

    def _entry(self, packed: Mapping[str, Any], link: CommandLink | None) -> Sent[Command]:
        here = packed["here"] and link is not None
        return Sent(
            self.commands[packed["command"]],
            packed["kind"],
            packed["sequence"],
            packed["at"] + self._shift,
            self._time(packed["unknown_since"]),
            packed["yielded"],
            link if here else None,
            self._mark(packed["mark"], link) if here else None,
            self._time(packed["seen"]),
            packed["lost"],
            packed["heard"] + self._shift,
            packed["later"],
        )

    def _held(self, packed: Mapping[str, Any], link: CommandLink | None) -> HeldResult:
        here = packed["here"] and link is not None
        return HeldResult(
            packed["status"],
            packed["at"] + self._shift,
            link if here else None,
            self._mark(packed["mark"], link) if here else None,
            packed["ack_sent"],
            packed["may_repeat"],
        )

    def _mark(self, place: int | None, link: CommandLink | None) -> Mark | None:
        return None if place is None or link is None else self._remark(link, place)

    def _time(self, at: float | None) -> float | None:
        return at if at is None or math.isinf(at) else at + self._shift
