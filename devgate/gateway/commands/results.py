"""How long results are awaited, and what of them must be known after a restart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from devgate.gateway.command import Command
from devgate.gateway.commands.claims import Group, HeldResult, Mark, Sent, Settled
from devgate.gateway.commands.device_commands import CommandLink, DeviceCommands
from devgate.gateway.commands.outcomes import Outcomes
from devgate.gateway.commands.slow import Slow
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei

if TYPE_CHECKING:
    from devgate.config.settings import CommandSettings


class Results:
    """Changes the claims of devices' commands, one device at a time. Nothing here awaits."""

    def __init__(
        self,
        directory: Directory,
        records: Records,
        outcomes: Outcomes,
        settings: CommandSettings,
    ) -> None:
        self.apply(settings)
        self.slow = Slow(records)
        self._directory = directory
        self._records = records
        self._outcomes = outcomes

    def apply(self, settings: CommandSettings) -> None:
        """Use these times from now on."""
        self.ack_timeout = settings.ack_timeout
        self.late_window = settings.late_window

    def ack_timeout_of(self, imei: Imei) -> float:
        """The seconds that are in force for the device."""
        seconds = self._directory.ack_timeout(imei)
        return self.ack_timeout if seconds is None else seconds

    def sent(
        self,
        device: DeviceCommands,
        command: Command,
        link: CommandLink,
        mark: Mark | None,
        now: float,
    ) -> Sent[Command]:
        """The command's bytes have just been given to that connection, up to `mark`. Sets its
        `until`."""
        assert command.sequence is not None, "it was journalled as sent"
        entry = Sent(command, command.kind, command.sequence, now, link=link, mark=mark)
        command.until = now + (command.timeout or self.ack_timeout_of(command.imei))
        device.claims.sent(entry, device.registered, self._patience, self.late_window)
        if device.noted or device.claims.open[1:] or device.claims.groups or device.claims.closed:
            self.note(device, command.kind)
        return entry

    def _patience(self, command: Command) -> float:
        return max(command.timeout or 0.0, self.ack_timeout_of(command.imei))

    def late(self, entry: Sent[Command], held: HeldResult) -> None:
        """A result settles a 408."""
        self._outcomes.settle_late(entry.command, held.status)
        self.answered(entry, held)

    def answered(self, entry: Sent[Command], held: HeldResult) -> None:
        """A command has its result: note whether it was too late."""
        imei = entry.command.imei
        if entry.at > -math.inf:
            seconds, limit = held.at - entry.at, self.ack_timeout_of(imei)
            if seconds > limit or self.slow.remembers:
                self.slow.answered(imei, seconds, limit)

    def unanswered(
        self, device: DeviceCommands, entry: Sent[Command], now: float
    ) -> list[Command]:
        """The command in flight has timed out. Returns the commands that are ambiguous."""
        ambiguous = [member.command for member in device.claims.unanswered(entry, now)]
        self.note(device, entry.kind)
        return ambiguous

    def withdraw(self, device: DeviceCommands, id: str) -> Settled[Command]:
        """The outcome of this command is known. Returns what is settled by that."""
        settled = device.claims.withdraw(lambda command: command.id == id)
        for kind in ("QD", "ST"):
            self.note(device, kind)
        return settled

    def disconnected(self, device: DeviceCommands, link: CommandLink, now: float) -> None:
        """As Claims.disconnected(); then writes to disk what held results wait for."""
        device.claims.disconnected(link, device.registered, now)
        for kind in list(device.claims.groups):
            self.note(device, kind)

    def note(self, device: DeviceCommands, kind: str) -> None:
        """Write to disk what a restart must know and the rows of commands do not contain."""
        claims = device.claims
        if len(claims) < 2 and not claims.closed and kind not in device.noted:
            return
        open_ = [entry for entry in claims if entry.kind == kind]
        # A command that has yielded stays so, also when the one that it yielded to has its result.
        matters = len(open_) > 1 or (bool(open_) and open_[0].yielded)
        if matters or kind in claims.groups or kind in claims.closed:
            device.noted |= {kind}
            self._records.open_results(device.imei, kind, _detail(device, kind))
        elif kind in device.noted:
            device.noted -= {kind}
            self._records.open_results(device.imei, kind, "")

    def restore(
        self,
        device: DeviceCommands,
        kind: str,
        detail: Mapping[str, Any],
        known: Mapping[str, Command],
        since: float,
        now: float,
    ) -> list[Command]:
        """After a restart: what note() put on disk. `known` are the commands by id; those that
        are open have been reopened. `since` is when the newest one of the group ended.

        Returns the commands that are ambiguous from now on.
        """
        claims = device.claims
        yielded, last = set(detail["yielded"]), set(detail["last"])
        for entry in claims:
            if entry.kind == kind:
                entry.yielded = entry.command.id in yielded
        device.noted |= {kind}
        if detail["closed"] is not None:
            claims.close(kind, detail["closed"], now)
        group: list[str] = detail["group"]
        if not detail["held"] or not all(_unknown(known.get(id)) for id in group):
            return []
        open_ = {entry.command.id: entry for entry in claims}
        members = [open_.get(id) or _closed(known[id], kind) for id in group]
        for entry in members:
            entry.lost = entry.command.id in last
        held = [HeldResult(status, now, None, ack_sent=True) for status in detail["held"]]
        restored = claims.groups[kind] = Group(members, held)
        if detail["ambiguous"]:
            restored.since = since
            return []
        newest = members[-1]
        ambiguous = [entry.command for entry in claims.unanswered(newest, now)]
        self.note(device, kind)
        return ambiguous


def _unknown(command: Command | None) -> bool:
    return command is not None and command.status in ("000", "408")


def _closed(command: Command, kind: str) -> Sent[Command]:
    return Sent(command, kind, command.sequence or 0, unknown_since=0.0)


def _detail(device: DeviceCommands, kind: str) -> str:
    group = device.claims.groups.get(kind)
    some = [entry for entry in device.claims if entry.kind == kind]
    members = group.members if group else []
    closed = device.claims.closed.get(kind)
    return json.dumps(
        {
            "group": [entry.command.id for entry in members],
            "held": [held.status for held in group.held] if group else [],
            "ambiguous": group is not None and group.since is not None,
            "last": [entry.command.id for entry in members if entry.lost],
            "yielded": [entry.command.id for entry in some if entry.yielded],
            "closed": closed[0] if closed else None,
        }
    )
