"""How commands that were sent end: by a result, by their deadline, or with the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import trio

from devgate.gateway.command import AMBIGUOUS, Command
from devgate.gateway.commands.claims import Held, Sent, Settled
from devgate.gateway.commands.device_commands import Line, Wire
from devgate.gateway.commands.outcomes import NOT_ON_DISK
from devgate.gateway.commands.sending import Sender
from devgate.model import Imei
from devgate.protocol.session import Result


class Settler(Sender):
    """Credits results to commands, and ends those that have none in time."""

    def settle(self, result: Result, now: float, wire: Wire | None = None) -> bool | None:
        """Credit a device's result. False if no command claims it; None if it is held, and
        acknowledged once it is on disk."""
        line = self._lines.get(result.imei)
        if line is None:
            return False
        found = self.results.settle(line, result, now, wire)
        if isinstance(found, Held):
            self._next(line)  # a stop may go out meanwhile
            return None
        if found is None:
            return False
        self._credit(line, found)
        return True

    def _credit(self, line: Line, found: Settled[Command]) -> None:
        for entry, held in found:
            command = entry.command
            if entry is line.claim:
                line.claim = None
            elif entry is not line.aside:
                self.results.late(entry, held)
                continue
            self.counts.answering.observe(held.at - entry.at)
            self.results.answered(entry, held)
            self._answered(line, command, held.status)

    def reopen(self, command: Command, unknown_since: float) -> None:
        """After a start of the gateway: this one's result may still come. The oldest first."""
        sequence = command.sequence or 0
        entry = Sent(command, command.kind, sequence, unknown_since=unknown_since)
        self._line(command.imei).claims.reopen(entry)

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
        return self.results.restore(self._line(imei), kind, detail, known, since, now)

    def ambiguous(self, imei: Imei, commands: Sequence[Command]) -> None:
        """These 408s are ambiguous, of which restore() said so. The last one is the newest."""
        self._outcomes.ambiguous(imei, commands)

    def disconnected(self, imei: Imei, wire: Wire) -> None:
        """A connection of the device has ended. To be called before its socket is closed, and
        before the device is online on another one."""
        if line := self._lines.get(imei):
            self.results.disconnected(line, wire, trio.current_time())

    def withdraw(self, imei: Imei, id: str) -> None:
        """The outcome of this 408 is known from elsewhere: no result settles it any more."""
        if (line := self._lines.get(imei)) is not None:
            self._credit(line, self.results.withdraw(line, id))

    def awaited(self, most: int) -> list[Imei]:
        """Some of the devices whose answers are awaited; the next time others, if there are."""
        some = list(islice(self._awaited, most))
        if len(self._awaited) > most:
            for imei in some:
                del self._awaited[imei]
                self._awaited[imei] = None
        return some

    def _judge(self, command: Command, now: float) -> None:
        """Its time is up, if nothing has happened to it meanwhile."""
        line = self._line(command.imei)
        self._overdue(line, now)
        if command.until <= now:
            for claim in (line.claim, line.aside):
                if claim is not None and claim.command is command:
                    self._unanswered(line, claim, now)

    def _unanswered(self, line: Line, claim: Sent[Command] | None, now: float) -> None:
        """The device has not answered what was sent to it, and nobody waits for it any longer."""
        if claim is None or claim.command.state == "ended":
            return
        if claim is line.claim:
            line.claim = None
        if ambiguous := self.results.unanswered(line, claim, now):
            self._answered(line, claim.command, "408", AMBIGUOUS)
            self._outcomes.ambiguous(line.imei, ambiguous)
        else:
            self._answered(line, claim.command, "408")

    def _answered(
        self, line: Line, command: Command, status: str, message: str | None = None
    ) -> None:
        """It has its outcome; its caller hears of it once that is on disk."""
        if line.claim is None:
            self._awaited.pop(line.imei, None)
        self._outcomes.end(command, status, message)
        self._records.flush(partial(self._flushed, line, command))

    def _flushed(self, line: Line, command: Command, on_disk: bool) -> None:
        if on_disk:
            self._over(line, command, True)
        else:
            self._outcomes.flushed(partial(self._over, line, command), False)

    def _over(self, line: Line, command: Command, on_disk: bool) -> None:
        if not on_disk:
            # The device has said so, and its word goes on to the caller; but should the
            # gateway be killed before the database is back, the record will say 408.
            command.message += NOT_ON_DISK
        command.set_done()
        self._free(line, command)

    def give_up(self) -> None:
        """The gateway stops: nobody waits any longer for the results of what is in flight.

        What is only being journalled as sent will not be sent.
        """
        self._gave_up = True
        now = trio.current_time()
        for line in self._lines.values():
            self._unanswered(line, line.claim, now)
            self._unanswered(line, line.aside, now)

    def _prune(self, now: float) -> None:
        for imei, line in list(self._lines.items()):
            line.claims.forget(now, self.settings.late_window)
            for kind in line.noted:
                self.results.note(line, kind)
            if not (len(line.claims) or len(line.waiting) or line.current or line.aside):
                del self._lines[imei]
