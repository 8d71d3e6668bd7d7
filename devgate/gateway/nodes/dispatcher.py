"""A dispatcher whose devices come from other nodes, and go there, with what is under way."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from devgate.gateway.clock import time
from devgate.gateway.command import CORRECTED, Command
from devgate.gateway.commands.claims import Sent
from devgate.gateway.commands.device_commands import DeviceCommands
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.recovery import ago, sent_before
from devgate.gateway.commands.running import Running
from devgate.gateway.known.directory import Directory
from devgate.gateway.nodes.claimed import Claimed
from devgate.gateway.nodes.records import NotWritten
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store.node_commits import MOVED, Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from devgate.config.settings import CommandSettings

log = logging.getLogger("devgate.commands")


class NodeDispatcher(Dispatcher):
    """Sends for the devices that this node has claimed."""

    shared = True

    def __init__(
        self,
        claimed: Claimed,
        directory: Directory,
        records: Records,
        running: Running,
        settings: CommandSettings,
        sequence: int,
        *,
        trusted: Callable[[], bool],
    ) -> None:
        """`trusted`: whether no other node can have declared this one dead. `sequence`: as for
        Sender."""
        super().__init__(claimed, directory, records, running, settings, sequence)
        # Commands of devices that another node has now: their outcome is that node's to write.
        self.away: dict[str, Command] = {}
        # Commands that are on disk as sent, by id with their place in the order of sending, and
        # were not sent: another node may have ended them as 408.
        self.unsent: dict[str, int] = {}
        self.claimed = claimed
        self.trusted = trusted

    def _next(self, device: DeviceCommands) -> None:
        if not self.claimed.waits(device.imei):
            super()._next(device)

    def free(self, imei: Imei) -> bool:
        """Whether a command for the device would be sent now: the device is here, and it has no
        other command."""
        device = self._devices.get(imei)
        idle = device is None or not (device.current or device.aside or device.waiting)
        ready = self._serving and not self._closed and imei not in self._stalled
        return idle and ready and self.claimed.get(imei) is not None

    def _written(self, device: DeviceCommands, command: Command, error: Exception | None) -> None:
        if error is None:
            command.presumed = False
        if isinstance(error, NotWritten) and error.known:
            self._not_here(command, error.why)
            return self._free(device, command)
        if error is None and not self.trusted():
            # It is on disk as sent, and this node may have been declared dead since then.
            command.set_recorded()
            if command.sequence is not None:
                self.unsent[command.id] = command.sequence
            command.unsent()
            self._outcomes.end_unsent(command, "404", CORRECTED)
            return self._free(device, command)
        if error is None and device.current is not command:
            # The claim in the same commit brought what another node had in flight: this one waits
            # until that has ended.
            command.set_recorded()
            self._wait_again(device, command)
            return self._free(device, command)
        return super()._written(device, command, error)

    def _waiting_journalled(
        self, device: DeviceCommands, command: Command, error: Exception | None
    ) -> None:
        if isinstance(error, NotWritten) and error.known:
            device.waiting.withdraw(command)
            self._not_here(command, error.why)
            return self._next(device)
        if error is not None:
            # A COMMIT without an answer may have been carried out: it may wait on disk.
            command.recorded = True
        return super()._waiting_journalled(device, command, error)

    def _not_here(self, command: Command, why: str) -> None:
        """The row was not written: nothing of the command was sent here."""
        if why == MOVED:
            self.claimed.again(command.imei)
        self._forget(command)
        if command.recorded:
            # Its row is there and belongs to another node by now.
            self.away[command.id] = command
            return
        command.unwritten = why
        command.spent = False
        command.set_recorded()
        command.set_done()

    def not_ended_here(self, command: Command) -> None:
        """The row of the command does not have the end that this node gave it: another node had it
        by then. Its callers get the outcome that the other node writes."""
        if command.id not in self.away and not command.done:
            self.away[command.id] = command.before_its_end()

    def ready(self, imei: Imei) -> None:
        """The device was claimed: what waits for it may go."""
        if device := self._devices.get(imei):
            self._next(device)

    def has(self, imei: Imei) -> bool:
        """Whether there is anything under way for the device here."""
        return imei in self._devices

    def busy(self, imei: Imei) -> bool:
        """Whether a command for the device waits here or is in flight."""
        device = self._devices.get(imei)
        return device is not None and bool(device.current or device.aside or device.waiting)

    def follows(self, id: str | None) -> bool:
        """Whether the outcome of this command may be another node's to write, and matters here."""
        if id is None:
            return False
        return id in self.away or ((one := self.live.get(id)) is not None and one.recorded)

    def release(self, imei: Imei) -> None:
        """Another node has the device and its commands."""
        device = self._devices.get(imei)
        if device is None:
            return
        # The others are being journalled: as this node's commands, or they are refused.
        gone = [command for command in device.waiting if command.recorded]
        for command in gone:
            device.waiting.withdraw(command)
        if device.claim is not None and device.current is not None:
            gone.append(device.current)
            device.current = device.claim = None
            self.in_flight -= 1
        if device.aside is not None and device.aside.command.state != "ended":
            gone.append(device.aside.command)
            device.aside = None
            self.in_flight -= 1
        self._awaited.pop(imei, None)
        if device.current is None and not device.waiting:
            del self._devices[imei]
        for command in gone:
            self._forget(command)
            self.away[command.id] = command

    def adopt(self, claim: Claim) -> None:
        """The device was another node's, or nobody's: adopt its commands."""
        imei = Imei(claim.imei)
        self.release(imei)
        now, wall = trio.current_time(), time()
        # A command that is being journalled as sent waits on disk still: it must not be sent
        # twice.
        commands = [
            self._known(row)
            for row in claim.commands
            if row["state"] != "waiting" or row["id"] not in self.live
        ]
        device = self._device(imei)
        device.registered = now
        self.number_above(*(command.sequence or 0 for command in commands))
        for command in sorted((c for c in commands if c.state == "ended"), key=sent_before):
            self.reopen(command, ago(command.ended_at or wall, wall))
        sent = sorted((c for c in commands if c.state == "sent"), key=sent_before)
        for command in sent:
            self._adopt_in_flight(device, command, ago(command.sent_at or wall, wall))
        known = {command.id: command for command in commands}
        self._adopt_results(imei, claim.held, known, now)
        for command in sorted((c for c in commands if c.state == "waiting"), key=_age):
            self._adopt_waiting(device, command, now, wall)
        if sent:
            log.info("commands in flight came with the device imei=%s count=%s", imei, len(sent))

    def _known(self, row: Mapping[str, Any]) -> Command:
        """The command of this row: the one whose callers wait here, if there are any."""
        row, command = self._records.here(row), self.away.pop(row["id"], None)
        if command is None:
            return Command.of(row)
        command.become(row)
        return command

    def _adopt_in_flight(self, device: DeviceCommands, command: Command, at: float) -> None:
        """Adopt a command that another node has sent: its result may come here."""
        patience = command.timeout or self.results.ack_timeout_of(command.imei)
        if trio.current_time() - at > patience:
            at = trio.current_time()  # no node has read the device meanwhile, or a clock was wrong
        entry = Sent(command, command.kind, command.sequence or 0, at)
        device.claims.reopen(entry)
        self._enter(command)
        self.in_flight += 1
        if device.claim is not None and device.aside is None:
            device.aside = device.claim
        elif device.claim is not None:  # more than two have never been in flight
            self._unanswered(device, device.claim, trio.current_time())
        device.current, device.claim = command, entry
        command.until = at + patience
        self._awaited[device.imei] = None
        self._deadlines.add(command)

    def _adopt_results(
        self,
        imei: Imei,
        held: Sequence[tuple[str, str]],
        known: Mapping[str, Command],
        now: float,
    ) -> None:
        for id, text in held:
            kind, detail = id.partition(":")[2], json.loads(text)
            self.number_above(detail["closed"] or 0)
            if commands := self.restore(imei, kind, detail, known, now):
                self.ambiguous(imei, commands)

    def _adopt_waiting(
        self, device: DeviceCommands, command: Command, now: float, wall: float
    ) -> None:
        if command.expires_at is None:
            command.until = now + self.settings.queue_timeout
        else:
            command.until = now + command.expires_at - wall
        self._enter(command)
        if command.until <= now:
            self._outcomes.end_unsent(command, "410")
            return
        device.waiting.push(command)
        self._deadlines.add(command)

    def _enter(self, command: Command) -> None:
        self.live[command.id] = command
        if command.key is not None:
            self.by_key[command.key] = command

    def reclaim(self, row: Mapping[str, Any]) -> None:
        """Adopt a command that waits and that no other node has: its device had left when it was
        to be sent."""
        command = self.away.pop(row["id"], None)
        if command is None:
            return
        command.become(self._records.here(row))
        device = self._device(command.imei)
        self._adopt_waiting(device, command, trio.current_time(), time())
        self._next(device)

    def ended_elsewhere(self, row: Mapping[str, Any]) -> None:
        """Another node has written this outcome of a command that is known here."""
        command = self.away.pop(row["id"], None)
        if command is None:
            command = self.live.get(row["id"])
            if command is None or command.state == "ended":
                return
            self._lose(command)
        command.become(row)
        command.set_recorded()
        command.set_done()

    def _forget(self, command: Command) -> None:
        self.live.pop(command.id, None)
        if command.key is not None and self.by_key.get(command.key) is command:
            del self.by_key[command.key]

    def _lose(self, command: Command) -> None:
        self._forget(command)
        device = self._devices.get(command.imei)
        if device is None:
            return
        if device.waiting.withdraw(command):
            return
        for claim in (device.claim, device.aside):
            if claim is not None and claim.command is command and command.state != "ended":
                self._credit(device, device.claims.withdraw(lambda one: one is command))
                if claim is device.claim:
                    device.claim = None
                self._free(device, command)


def _age(command: Command) -> str:
    return command.id
