"""How commands that were sent end: by a result, by their deadline, or with the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import trio

from devgate.gateway.command import AMBIGUOUS, Command
from devgate.gateway.commands.claims import HeldResult, Sent, Settled
from devgate.gateway.commands.device_commands import CommandLink, DeviceCommands
from devgate.gateway.commands.sending import Sender
from devgate.model import Imei
from devgate.protocol.frames import encode
from devgate.protocol.session import Result


class Settler(Sender):
    """Credits results to commands, and ends those that have none in time."""

    def settle(self, result: Result, now: float, link: CommandLink | None = None) -> bool | None:
        """Credit a device's result. False if no command claims it; None if it is held, and
        acknowledged once it is on disk."""
        device = self._devices.get(result.imei)
        if device is None:
            return False
        claims, kind = device.claims, result.command
        found = claims.settle(kind, result.status, now, self.settings.late_window, link)
        if found is None:
            return False
        if isinstance(found, HeldResult):
            self.results.note(device, kind)
            self._records.flush(partial(_acknowledge, found, result))
            self._next(device)  # a stop may go out meanwhile
            return None
        if device.noted or claims.groups:
            self.results.note(device, kind)
        if link is not None and found and found[0][0].link is link:
            # Its connection stops counting bytes, unless another command on it needs them.
            mark = found[0][0].mark
            for entry in claims.open:
                if entry.link is link:
                    break
            else:
                if mark is not None and not claims.groups:
                    mark.meter.needed = False
        self._credit(device, found)
        return True

    def _credit(self, device: DeviceCommands, found: Settled[Command]) -> None:
        for entry, held in found:
            command = entry.command
            if entry is device.claim:
                device.claim = None
            elif entry is not device.aside:
                self.results.late(entry, held)
                continue
            # It is in time before its deadline, unless its caller has set that.
            if command.timeout or held.at > command.until or self.results.slow.remembers:
                self.results.answered(entry, held)
            self._answered(device, command, held.status)
            self.counts.answering.observe(held.at - entry.at)

    def reopen(self, command: Command, unknown_since: float) -> None:
        """After a start of the gateway: this one's result may still come. The oldest first."""
        sequence = command.sequence or 0
        entry = Sent(command, command.kind, sequence, unknown_since=unknown_since)
        self._device(command.imei).claims.reopen(entry)

    def restore(
        self,
        imei: Imei,
        kind: str,
        detail: Mapping[str, Any],
        known: Mapping[str, Command],
        since: float,
    ) -> list[Command]:
        """After a start of the gateway, as Results.restore(): behind reopen() of all commands."""
        now = trio.current_time()
        return self.results.restore(self._device(imei), kind, detail, known, since, now)

    def ambiguous(self, imei: Imei, commands: Sequence[Command]) -> None:
        """These 408s, which restore() returned, are ambiguous. The last one is the newest."""
        self._outcomes.ambiguous(imei, commands)

    def disconnected(self, imei: Imei, link: CommandLink) -> None:
        """A connection of the device has ended. To be called before its socket is closed, and
        before the device is online on another one."""
        if device := self._devices.get(imei):
            self.results.disconnected(device, link, trio.current_time())

    def withdraw(self, imei: Imei, id: str) -> None:
        """The outcome of this 408 is known from elsewhere: no result settles it any more."""
        if (device := self._devices.get(imei)) is not None:
            self._credit(device, self.results.withdraw(device, id))

    def awaited(self, limit: int) -> list[Imei]:
        """Some of the devices whose answers are awaited; the next time others, if there are."""
        some = list(islice(self._awaited, limit))
        if len(self._awaited) > limit:
            for imei in some:
                del self._awaited[imei]
                self._awaited[imei] = None
        return some

    def _judge(self, command: Command, now: float) -> None:
        """Its deadline has passed. End it, if it has not ended or got another deadline
        meanwhile."""
        device = self._device(command.imei)
        self._overdue(device, now)
        if command.until <= now:
            for claim in (device.claim, device.aside):
                if claim is not None and claim.command is command:
                    self._unanswered(device, claim, now)

    def _unanswered(self, device: DeviceCommands, claim: Sent[Command] | None, now: float) -> None:
        """The device has not answered in time."""
        if claim is None or claim.command.state == "ended":
            return
        if claim is device.claim:
            device.claim = None
        if ambiguous := self.results.unanswered(device, claim, now):
            self._answered(device, claim.command, "408", AMBIGUOUS)
            self._outcomes.ambiguous(device.imei, ambiguous)
        else:
            self._answered(device, claim.command, "408")

    def _answered(
        self, device: DeviceCommands, command: Command, status: str, message: str | None = None
    ) -> None:
        """Give the command its outcome. Its caller gets that once it is on disk."""
        if device.claim is None:
            self._awaited.pop(device.imei, None)
        self._outcomes.end(command, status, message, partial(self._flushed, device, command))

    def _flushed(self, device: DeviceCommands, command: Command, on_disk: bool) -> None:
        if on_disk:
            self._over(device, command, True)
        else:
            self._outcomes.flushed(partial(self._over, device, command), False)

    def _over(self, device: DeviceCommands, command: Command, on_disk: bool) -> None:
        if not on_disk:
            # The caller gets the device's result. But if the gateway is killed before the database
            # is back, the record will say 408.
            command.is_not_on_disk()
        if not (on_disk and command.late):  # a late result is reported once that is on disk, too
            command.set_done()
        self._free(device, command)

    def give_up(self) -> None:
        """The gateway stops: end the commands in flight as 408, without waiting for results.

        A command that is being journalled as sent is not sent.
        """
        self._gave_up = True
        now = trio.current_time()
        for device in self._devices.values():
            self._unanswered(device, device.claim, now)
            self._unanswered(device, device.aside, now)

    def _prune(self, now: float) -> None:
        for imei, device in list(self._devices.items()):
            device.claims.forget(now, self.settings.late_window)
            for kind in device.noted:
                self.results.note(device, kind)
            if not (len(device.claims) or len(device.waiting) or device.current or device.aside):
                del self._devices[imei]


def _acknowledge(held: HeldResult, result: Result, on_disk: bool) -> None:
    """Acknowledge a held result: it is on disk, or the database is away."""
    if held.link is not None and not held.ack_sent:
        link: CommandLink = held.link  # type: ignore[assignment]
        held.ack_sent, held.mark = link.transmit_marked(encode("200", result.said, result.command))
