"""Commands on their way: one queue and one runner per device, and what a result settles."""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, NoReturn

import trio
from trio_util import AsyncValue

from devgate.gateway.command import Command
from devgate.gateway.counters import CommandCounts
from devgate.gateway.lines import Connected, Line, accepted, ended, what
from devgate.gateway.records import Records, event_row
from devgate.gateway.running import Running
from devgate.model import Imei
from devgate.protocol.session import Result

if TYPE_CHECKING:
    from devgate.config.settings import CommandSettings

PRUNE = 60.0  # seconds between two looks for devices whose last claim has lapsed

RUNS = "the device is running already, and [command] while_running is refuse; nothing was sent"

log = logging.getLogger("devgate.commands")


class Dispatcher:
    """Everything here but `serve`, `_run` and what they call is synchronous.

    A start is never sent twice: the only call of `transmit` stands in `_perform`,
    behind a commit that says `sent`, and no command is performed twice after it.
    """

    def __init__(
        self, connected: Connected, records: Records, running: Running, settings: CommandSettings
    ) -> None:
        self.settings = settings
        self.live: dict[str, Command] = {}  # by id: all that have not ended
        self.by_key: dict[str, Command] = {}  # those of them that have a key
        self.in_flight = AsyncValue(0)
        self.counts = CommandCounts()
        self._connected = connected
        self._records = records
        self._running = running
        self._lines: dict[Imei, Line] = {}
        self._nursery: trio.Nursery | None = None
        self._closed = False

    async def serve(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Own the runners. Cancelled, what is in flight ends as 408 and what waits stays put."""
        async with trio.open_nursery() as self._nursery:
            for line in self._lines.values():
                self._stir(line)
            task_status.started()
            while True:
                await trio.sleep(PRUNE)
                self._prune(trio.current_time())
        raise AssertionError("a nursery with an endless loop in it ends by an exception")

    @property
    def waiting(self) -> int:
        return sum(command.state == "waiting" for command in self.live.values())

    def push(self, command: Command, expires_in: float | None) -> bool:
        """Let the command wait for its turn. False if too many wait already.

        A command that is kept waits `expires_in` seconds for its device, any other
        as long as `queue_timeout` behind others.
        """
        line = self._line(command.imei)
        if len(line.waiting) >= self.settings.max_waiting:
            return False
        wait = self.settings.queue_timeout if expires_in is None else expires_in
        command.until = trio.current_time() + wait
        line.waiting.push(command)
        self.live[command.id] = command
        if command.key is not None:
            self.by_key[command.key] = command
        self._stir(line)
        return True

    def goes_at_once(self, command: Command) -> bool:
        """True if nothing is between this command, which waits, and its device."""
        line = self._line(command.imei)
        return (
            line.current is None
            and next(iter(line.waiting)) is command
            and self._connected.get(command.imei) is not None
        )

    def cancel(self, command: Command, why: str) -> bool:
        """End a command that waits. False if it is not waiting any more."""
        if not self._line(command.imei).waiting.remove(command):
            return False
        self._end_unsent(command, "410", f"cancelled {why}; nothing was sent")
        return True

    async def put_down(self, command: Command) -> None:
        """It has to wait: on disk before its caller may hear that it was accepted."""
        command.noted = True
        try:
            with trio.CancelScope(shield=True):
                await self._records.write(command, accepted(command))
        except Exception as err:
            log.warning("not kept, it cannot be journalled command=%s error=%s", command.id, err)
            words = f"the gateway cannot write its journal ({self._records.state})"
            if self._line(command.imei).waiting.remove(command):
                self._end_unsent(command, "503", f"{words}; nothing was sent")
            else:  # its turn has come meanwhile: it is written again, and that decides
                command.noted = False
        else:
            command.recorded.set()

    def cancel_starts(self, imei: Imei, why: str) -> None:
        for command in self._line(imei).waiting.starts():
            self._end_unsent(command, "410", f"cancelled {why}; nothing was sent")

    def online(self, imei: Imei) -> None:
        """The device has registered: what was kept for it may go."""
        if line := self._lines.get(imei):
            self._stir(line)

    def reopen(self, command: Command, unknown_since: float) -> None:
        """After a start of the gateway: this one's result may still come."""
        self._line(command.imei).claims.sent(command, command.kind, unknown_since)

    def settle(self, result: Result, now: float) -> bool:
        """Credit a device's result. False if no command claims it."""
        line = self._lines.get(result.imei)
        if line is None:
            return False
        entry = line.claims.settle(result.command, now, self.settings.late_window)
        if entry is None:
            return False
        command = entry.command
        if entry.unknown_since is None:
            command.result = result.status
            command.answered.set()
            line.stir()
        else:
            command.settles_late(result.status, time())
            self.counts.late[command.type, command.status] += 1
            self._running.told(command)
            self._records.post(
                command,
                event_row(
                    "command.late", command.imei, command.id,
                    kind=command.type, long=command.long, status=command.status,
                ),
            )  # fmt: skip
            log.info("late result command=%s status=%s", command.id, command.status)
        return True

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self.in_flight.wait_value(0)

    def close(self) -> None:
        """The gateway stops: nothing more is sent. What waits is told so; what is kept, stays."""
        self._closed = True
        for line in self._lines.values():
            for command in line.waiting.unkept():
                self._end_unsent(command, "503")
            for command in line.waiting:
                command.done.set()
            line.stir()

    def give_up(self) -> None:
        """The gateway stops: nobody waits any longer for the results of what is in flight."""
        for line in self._lines.values():
            if line.current is not None:
                line.current.answered.set()
                line.stir()

    def _line(self, imei: Imei) -> Line:
        if (line := self._lines.get(imei)) is None:
            line = self._lines[imei] = Line(imei)
        return line

    def _stir(self, line: Line) -> None:
        line.stir()
        if not line.served and len(line.waiting) and self._nursery is not None:
            line.served = True
            self._nursery.start_soon(self._run, line)

    async def _run(self, line: Line) -> None:
        """One device's runner: alive while it has commands."""
        try:
            while len(line.waiting) and not self._closed:
                line.changed = trio.Event()
                self._overdue(line)
                if self._connected.get(line.imei) is None:
                    for command in line.waiting.unkept():
                        self._end_unsent(command, "404")
                    for command in list(line.waiting):
                        if not command.noted:  # the device left just before its turn
                            await self.put_down(command)
                    with trio.move_on_at(line.waiting.next_deadline()):
                        if len(line.waiting):
                            await line.changed.wait()
                elif (taken := line.waiting.take()) is not None:
                    line.current = taken
                    self.in_flight.value += 1
                    try:
                        await self._perform(line, taken)
                    finally:
                        self.in_flight.value -= 1
                        line.current = None
        finally:
            line.served = False

    async def _perform(self, line: Line, command: Command) -> None:
        """Put it down as sent, send it, and wait for what the device says."""
        running = self._running.until(line.imei) is not None and command.type == "start"
        if running and self.settings.while_running == "refuse":
            return self._end_unsent(command, "409", RUNS)
        command.sends(time(), running)
        events = [event_row("command.sent", line.imei, command.id, **what(command))]
        if not command.noted:
            command.noted = True
            events.insert(0, accepted(command))
        try:
            await self._records.write(command, *events)
        except Exception as err:
            log.warning("not sent, for it cannot be journalled command=%s", command.id)
            words = f"the gateway cannot write its journal ({self._records.state})"
            self._end_unsent(command, "503", f"{words}; nothing was sent")
            if self._records.state == "ok":
                log.error("journal refused a command command=%s error=%s", command.id, err)
            return None
        command.recorded.set()
        connection = self._connected.get(line.imei)
        if connection is None:
            return self._left(line, command)
        claim = line.claims.sent(command, command.kind)  # before the first byte: it may be quick
        if not connection.transmit(command.wire()):
            line.claims.withdraw(claim)
            return self._left(line, command)
        try:
            await self._answer(line, command)
        finally:
            # Also if the gateway is stopped at once: what was sent has an outcome on disk.
            if command.result is None:
                claim.unknown_since = trio.current_time()
            self._end(command, command.result or "408")
        try:
            if not await self._records.flushed():
                # The device has said so, and its word goes on to the caller; but should the
                # gateway be killed before the database is back, the record will say 408.
                command.message += "; not on disk yet, for the database is away"
        finally:
            command.done.set()
        return None

    async def _answer(self, line: Line, command: Command) -> None:
        """Wait for the device's result. What waits behind it for too long ends meanwhile."""
        self.counts.sends(command, time())
        sent = trio.current_time()
        ends = sent + (command.timeout or self.settings.ack_timeout)
        while not command.answered.is_set() and trio.current_time() < ends:
            line.changed = trio.Event()
            with trio.move_on_at(min(ends, line.waiting.next_deadline())):
                await line.changed.wait()
            self._overdue(line)
        if not command.answered.is_set():
            # After a stall of the loop the result may be here, unread: the desk has its turn.
            await trio.lowlevel.checkpoint()
        if command.result is not None:
            self.counts.answering.observe(trio.current_time() - sent)

    def _overdue(self, line: Line) -> None:
        for command in line.waiting.overdue(trio.current_time()):
            self._end_unsent(command, "410")

    def _left(self, line: Line, command: Command) -> None:
        """Its device went away while it was being put down as sent; nothing was."""
        command.unsent()
        if command.kept and command.until > trio.current_time():
            line.waiting.push_back(command)
            self._records.post(command)
            if self._closed:
                command.done.set()
        else:
            self._end_unsent(command, "404")

    def _end_unsent(self, command: Command, status: str, message: str | None = None) -> None:
        self._end(command, status, message)
        command.done.set()

    def _end(self, command: Command, status: str, message: str | None = None) -> None:
        command.ends(status, time(), message)
        self.counts.ended[command.type, status] += 1
        self.live.pop(command.id, None)
        if command.key is not None:
            self.by_key.pop(command.key, None)
        self._running.told(command)
        self._records.post(command, ended(command))
        command.recorded.set()
        log.info(
            "command ended command=%s imei=%s type=%s status=%s",
            command.id, command.imei, command.type, status,
        )  # fmt: skip

    def _prune(self, now: float) -> None:
        for imei, line in list(self._lines.items()):
            line.claims.forget(now, self.settings.late_window)
            if not (len(line.claims) or len(line.waiting) or line.served):
                del self._lines[imei]
