"""Commands on their way: one queue per device, one in flight, and what a result settles."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from devgate.gateway.claims import Held, Sent
from devgate.gateway.clock import time
from devgate.gateway.command import AMBIGUOUS, Command
from devgate.gateway.deadlines import Deadlines
from devgate.gateway.directory import Directory
from devgate.gateway.lines import Connected, Line, Wire, accepted, what
from devgate.gateway.outcomes import NOT_ON_DISK, Outcomes
from devgate.gateway.records import Records, event_row
from devgate.gateway.results import Results
from devgate.gateway.running import Running
from devgate.model import Imei
from devgate.protocol.session import Result

if TYPE_CHECKING:
    from devgate.config.settings import CommandSettings

PRUNE = 60.0  # seconds between two looks for devices whose last claim has lapsed

RUNS = "the device is running already, and [command] while_running is refuse; nothing was sent"
CONTESTED = "two connections claim this IMEI; nothing was sent"

log = logging.getLogger("devgate.commands")


class Dispatcher:
    """Takes commands through their states: waiting, sent (on disk, then on the wire), ended.

    No command has a task. What moves one on is a call: from whoever pushes it, from the writer
    when its row is on disk, from the desk when the device has answered, from `serve` when its
    time is up. None of these awaits, so that each step is whole.

    A start is never sent twice: the only call of `transmit` stands in `_written`, behind a
    commit that says `sent`, and no command is performed twice after it.
    """

    def __init__(
        self,
        connected: Connected,
        directory: Directory,
        records: Records,
        running: Running,
        settings: CommandSettings,
    ) -> None:
        self.in_flight = 0  # commands between being taken from their queue and their outcome
        self._connected = connected
        self._records = records
        self._running = running
        self._outcomes = outcomes = Outcomes(records, running, connected.from_new_address)
        self.results = Results(directory, records, outcomes)
        self.configure(settings)
        self.sequence = 0  # of the command that was sent last
        self.live, self.by_key, self.counts = outcomes.live, outcomes.by_key, outcomes.counts
        self._lines: dict[Imei, Line] = {}
        # Devices whose answer is awaited, the one that was listened to longest ago first.
        self._awaited: dict[Imei, None] = {}
        self._deadlines = Deadlines()
        self._idle: trio.Event | None = None  # somebody waits until nothing is in flight
        self._serving = False
        self._closed = False
        self._gave_up = False
        # Returns when all that devices have said up to now is read.
        self.caught_up: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    def configure(self, settings: CommandSettings) -> None:
        """Work by these settings from now on."""
        self.settings = settings
        self.results.ack_timeout = settings.ack_timeout
        self.results.late_window = settings.late_window

    async def serve(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Send, and watch the deadlines. Cancelled, what was sent ends as 408; the rest stays."""
        try:
            async with self._outcomes.patient():
                self._serving = True
                for line in list(self._lines.values()):
                    self._next(line)
                task_status.started()
                await self._deadlines.watch(self._judge, PRUNE, self._prune, self.caught_up)
        finally:
            # Also if the gateway is stopped at once: what was sent has an outcome on disk.
            self._closed = True
            self.give_up()
        raise AssertionError("it watches for ever")

    @property
    def waiting(self) -> int:
        return sum(command.state == "waiting" for command in self.live.values())

    def push(self, command: Command, expires_in: float | None) -> bool:
        """Let the command wait for its turn, which may be now. False if too many wait already.

        A command that is kept waits `expires_in` seconds for its device, any other
        as long as `queue_timeout` behind others.
        """
        line = self._line(command.imei)
        if len(line.waiting) >= self.settings.max_waiting:
            return False
        wait = self.settings.queue_timeout if expires_in is None else expires_in
        command.until = trio.current_time() + wait
        line.waiting.push(command)
        self._outcomes.takes(command)
        self._next(line)
        if command.state == "waiting":
            self._deadlines.add(command)
            if not command.noted:
                self._put_down(line, command)
        return True

    def refuse(
        self, command: Command, status: str, message: str | None = None, why: str | None = None
    ) -> None:
        """End a command that never waited."""
        self._outcomes.end_unsent(command, status, message, why)

    def cancel(self, command: Command, why: str) -> bool:
        """End a command that waits. False if it is not waiting any more."""
        if not self._line(command.imei).waiting.remove(command):
            return False
        self._outcomes.end_unsent(command, "410", f"cancelled {why}; nothing was sent")
        return True

    def cancel_starts(self, imei: Imei, why: str) -> None:
        for command in self._line(imei).waiting.starts():
            self._outcomes.end_unsent(command, "410", f"cancelled {why}; nothing was sent")

    def online(self, imei: Imei) -> None:
        """The device has registered: what was kept for it may go."""
        if line := self._lines.get(imei):
            line.registered = trio.current_time()
            self._next(line)

    def disconnected(self, imei: Imei, wire: Wire) -> None:
        """A connection of the device has ended. To be called before its socket is closed, and
        before the device is online on another one."""
        if line := self._lines.get(imei):
            self.results.disconnected(line, wire, trio.current_time())

    def reopen(self, command: Command, unknown_since: float) -> None:
        """After a start of the gateway: this one's result may still come. The oldest first."""
        sequence = command.sequence or 0
        entry = Sent(command, command.kind, sequence, unknown_since=unknown_since)
        self._line(command.imei).claims.reopen(entry)

    def take_up(
        self,
        imei: Imei,
        kind: str,
        detail: Mapping[str, Any],
        known: Mapping[str, Command],
        since: float,
    ) -> list[Command]:
        """After a start of the gateway, as Results.take_up(): behind reopen() of all commands."""
        now = trio.current_time()
        return self.results.take_up(self._line(imei), kind, detail, known, since, now)

    def ambiguous(self, imei: Imei, commands: Sequence[Command]) -> None:
        """These 408s are ambiguous, of which take_up() said so. The last one is the newest."""
        self._outcomes.ambiguous(imei, commands)

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
        return True

    def awaited(self, most: int) -> list[Imei]:
        """Some of the devices whose answers are awaited; the next time others, if there are."""
        some = list(islice(self._awaited, most))
        if len(self._awaited) > most:
            for imei in some:
                del self._awaited[imei]
                self._awaited[imei] = None
        return some

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        if not self.in_flight:
            await trio.lowlevel.checkpoint()
            return
        if self._idle is None:
            self._idle = trio.Event()
        await self._idle.wait()

    def close(self) -> None:
        """The gateway stops: nothing more is sent. What waits is told so; what is kept, stays."""
        self._closed = True
        for line in self._lines.values():
            self._outcomes.end_all(line.waiting.unkept(), "503")
            for command in line.waiting:
                command.done.set()

    def give_up(self) -> None:
        """The gateway stops: nobody waits any longer for the results of what is in flight.

        What is only being put down as sent will not be.
        """
        self._gave_up = True
        now = trio.current_time()
        for line in self._lines.values():
            self._unanswered(line, line.claim, now)
            self._unanswered(line, line.aside, now)

    # The steps of one device's commands

    def _line(self, imei: Imei) -> Line:
        if (line := self._lines.get(imei)) is None:
            line = self._lines[imei] = Line(imei)
        return line

    def _next(self, line: Line) -> None:
        """Take up the next command of this device, if it is that one's turn."""
        if line.claims.groups and line.waiting.stops:
            _make_way(line)
        while self._serving and not self._closed and _ready(line):
            self._overdue(line, trio.current_time())
            if self._connected.get(line.imei) is None:
                self._outcomes.end_all(line.waiting.unkept(), "404")
                for command in list(line.waiting):
                    if not command.noted:  # the device left just before its turn
                        self._put_down(line, command)
                return
            if (taken := line.waiting.take(line.aside is not None)) is not None:
                self._perform(line, taken)

    def _perform(self, line: Line, command: Command) -> None:
        """Put it down as sent; `_written` goes on from there."""
        running = self._running.until(line.imei) is not None and command.type == "start"
        if running and self.settings.while_running == "refuse":
            return self._outcomes.end_unsent(command, "423", RUNS, "running")
        if command.type == "start" and self._connected.contested(line.imei):
            return self._outcomes.end_unsent(command, "423", CONTESTED, "flapping")
        line.current = command
        self.in_flight += 1
        self.sequence += 1
        command.sends(time(), running, self.sequence)
        events = [event_row("command.sent", line.imei, command.id, **what(command))]
        if not command.noted:
            command.noted = True
            events.insert(0, accepted(command))
        self._records.write_then(command, events, partial(self._written, line, command))
        return None

    def _written(self, line: Line, command: Command, error: Exception | None) -> None:
        """It is on disk as sent: send it. Or it is not, and is not sent."""
        if error is not None:
            self._not_written(command, error)
            return self._free(line, command)
        command.recorded.set()
        connection = None if self._gave_up else self._connected.get(line.imei)
        if connection is None:
            return self._left(line, command)
        now = trio.current_time()
        if command.until <= now:  # the commit took long: whoever wanted it has left
            self._outcomes.end_unsent(command, "410")
            return self._free(line, command)
        if not connection.transmit(command.wire()):
            return self._left(line, command)
        line.claim = self.results.sent(line, command, connection, now)
        command.sent_at = sent_at = time()
        self._awaited[line.imei] = None
        command.until = now + (command.timeout or self.results.ack_timeout_of(line.imei))
        self._deadlines.add(command)
        return self.counts.sends(command, sent_at)

    def _not_written(self, command: Command, error: Exception) -> None:
        log.warning("not sent, for it cannot be journalled command=%s", command.id)
        state = self._records.state
        words = f"the gateway cannot write its journal ({state}); nothing was sent"
        self._outcomes.end_unsent(command, "503", words)
        if state == "ok":
            log.error("journal refused a command command=%s error=%s", command.id, error)

    def _left(self, line: Line, command: Command) -> None:
        """Its device went away while it was being put down as sent; nothing was."""
        command.unsent()
        if command.kept and command.until > trio.current_time():
            line.waiting.push_back(command)
            self._deadlines.add(command)
            self._records.post(command)
            if self._closed:
                command.done.set()
        else:
            self._outcomes.end_unsent(command, "503" if self._gave_up else "404")
        self._free(line, command)

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
        self._outcomes.flushed(partial(self._over, line, command))

    def _over(self, line: Line, command: Command, on_disk: bool) -> None:
        if not on_disk:
            # The device has said so, and its word goes on to the caller; but should the
            # gateway be killed before the database is back, the record will say 408.
            command.message += NOT_ON_DISK
        command.done.set()
        self._free(line, command)

    def _free(self, line: Line, command: Command) -> None:
        if line.current is command:
            line.current = None
        else:
            line.aside = None
        self.in_flight -= 1
        if not self.in_flight and self._idle is not None:
            self._idle.set()
            self._idle = None
        self._next(line)

    def _put_down(self, line: Line, command: Command) -> None:
        """It has to wait: on disk before its caller may hear that it was accepted."""
        command.noted = True
        self._records.write_then(
            command, [accepted(command)], partial(self._put_down_done, line, command)
        )

    def _put_down_done(self, line: Line, command: Command, error: Exception | None) -> None:
        if error is None:
            return command.recorded.set()
        log.warning("not kept, it cannot be journalled command=%s error=%s", command.id, error)
        words = f"the gateway cannot write its journal ({self._records.state})"
        if line.waiting.remove(command):
            self._outcomes.end_unsent(command, "503", f"{words}; nothing was sent")
        else:  # its turn has come meanwhile: it is written again, and that decides
            command.noted = False
        return None

    # Deadlines

    def _judge(self, command: Command, now: float) -> None:
        """Its time is up, if nothing has happened to it meanwhile."""
        line = self._line(command.imei)
        self._overdue(line, now)
        if command.until <= now:
            for claim in (line.claim, line.aside):
                if claim is not None and claim.command is command:
                    self._unanswered(line, claim, now)

    def _overdue(self, line: Line, now: float) -> None:
        self._outcomes.end_all(line.waiting.overdue(now), "410")

    def _prune(self, now: float) -> None:
        for imei, line in list(self._lines.items()):
            line.claims.forget(now, self.settings.late_window)
            for kind in line.noted:
                self.results.note(line, kind)
            if not (len(line.claims) or len(line.waiting) or line.current or line.aside):
                del self._lines[imei]


def _ready(line: Line) -> bool:
    """Whether a command waits whose turn it is."""
    if line.current is not None:
        return False
    return len(line.waiting) > 0 if line.aside is None else line.waiting.stops


def _make_way(line: Line) -> None:
    """A stop may go out while results of starts are held."""
    claim = line.claim
    if line.aside is None and claim is not None and claim.kind == "QD" and line.claims.holds("QD"):
        line.aside, line.claim, line.current = claim, None, None
