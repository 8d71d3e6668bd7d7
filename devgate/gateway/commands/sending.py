"""From a device's queue to its connection: a command's turn, its row, and its bytes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from devgate.gateway.clock import time
from devgate.gateway.command import TEST, Command
from devgate.gateway.commands.deadlines import Deadlines
from devgate.gateway.commands.device_commands import Connected, DeviceCommands
from devgate.gateway.commands.outcomes import Outcomes
from devgate.gateway.commands.results import Results
from devgate.gateway.commands.running import Running
from devgate.gateway.details import accepted, sent
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei

if TYPE_CHECKING:
    from devgate.config.settings import CommandSettings

RUNS = "the device is running already, and [command] while_running is refuse; nothing was sent"
CONTESTED = "two connections claim this IMEI; nothing was sent"
MAINTAINED = "the device is in maintenance; nothing was sent"
DEVICES_A_TURN = 64  # devices before other tasks have their turn: some milliseconds

log = logging.getLogger("devgate.commands")


class Sender:
    """Sends each device's commands, one at a time, in their turn.

    A start is never sent twice: only `_written` transmits it, after the commit of its `sent` row,
    and no command is performed again after that.

    Sender, Settler and Dispatcher are one object, in three files: a start passes through all
    three without calls between objects.
    """

    shared = False  # whether other nodes take commands that wait on disk

    def __init__(
        self,
        connected: Connected,
        directory: Directory,
        records: Records,
        running: Running,
        settings: CommandSettings,
        sequence: int = 0,
    ) -> None:
        """`sequence`: the number of the command that was sent last, by this run or before it."""
        # Fields are changed by whoever calls: a caller's task (push, cancel), the writer's (a row
        # is on disk), the desk's (a result), and the one of Dispatcher.serve (a deadline). None of
        # these calls awaits, so no other task runs in the middle of one. Exceptions are below.
        self.in_flight = 0  # commands between leaving their queue and their outcome on disk
        self._connected = connected
        self._records = records
        self._running = running
        outcomes = Outcomes(records, running, connected.from_new_address, self.shared)
        self._outcomes, self._maintenance = outcomes, directory.maintenance
        self.results = Results(directory, records, outcomes, settings)
        self.settings = settings  # replaced by a reload, in the task that acts on signals
        self.sequence = sequence
        self.live, self.by_key, self.counts = outcomes.live, outcomes.by_key, outcomes.counts
        # By IMEI: made by callers' tasks, pruned by that of Dispatcher.serve.
        self._devices: dict[Imei, DeviceCommands] = {}
        # Devices whose answer is awaited, the one that was read longest ago first. The writer's
        # task adds one; the desk's reorders them, and removes those that have answered.
        self._awaited: dict[Imei, None] = {}
        self._deadlines = Deadlines()
        # Devices with a deferred command that was due while nothing could be journalled: added by
        # the writer's task, removed by a task of its own (_resume).
        self._stalled: dict[Imei, DeviceCommands] = {}
        self._idle: trio.Event | None = None  # somebody waits until nothing is in flight
        self._serving = False  # set by the task of Dispatcher.serve
        self._closed = False  # set by the task that stops the gateway, or that of serve
        self._gave_up = False  # set by the same tasks

    def number_above(self, *sequences: int) -> None:
        """Commands that are sent from now on have higher numbers than these."""
        self.sequence = max(self.sequence, *sequences, 0)

    def apply(self, settings: CommandSettings) -> None:
        """Work by these settings from now on."""
        self.settings = settings
        self.results.apply(settings)

    def _device(self, imei: Imei) -> DeviceCommands:
        if (device := self._devices.get(imei)) is None:
            device = self._devices[imei] = DeviceCommands(imei)
        return device

    def push(self, command: Command, expires_in: float | None) -> bool:
        """Add the command to its device's queue; it may be sent now. False if the queue is full.

        A deferred command waits `expires_in` seconds, any other one `queue_timeout`.
        """
        device = self._devices.get(command.imei) or self._device(command.imei)
        waiting = device.waiting
        if len(waiting) >= self.settings.max_waiting:
            return False
        wait = self.settings.queue_timeout if expires_in is None else expires_in
        command.until = trio.current_time() + wait
        if command.type == "start":
            waiting.append(command)
        else:
            waiting.push(command)
        self.live[command.id] = command
        if command.key is not None:
            self.by_key[command.key] = command
        self._next(device)
        if command.state == "waiting":
            self._deadlines.add(command)
            if not command.noted:
                self._journal_waiting(device, command)
        return True

    def _next(self, device: DeviceCommands) -> None:
        """Begin the next command of this device, if it is due."""
        waiting = device.waiting
        if device.claims.groups and waiting and waiting[0].type == "stop":
            _make_way(device)
        while self._serving and not self._closed and device.current is None and waiting:
            if device.aside is not None and waiting[0].type != "stop":
                return
            if device.imei in self._stalled:
                return
            self._overdue(device, trio.current_time())
            if self._connected.get(device.imei) is None:
                self._outcomes.end_all(waiting.undeferred(), "404")
                for command in list(waiting):
                    if not command.noted:  # the device left just before its turn
                        self._journal_waiting(device, command)
                return
            if not waiting or (device.aside is not None and waiting[0].type != "stop"):
                continue
            if waiting[0].noted and not waiting[0].recorded:
                return  # `_waiting_journalled` goes on: until then nobody knows whether it waits
            self._perform(device, waiting.pop(0))

    def _overdue(self, device: DeviceCommands, now: float) -> None:
        """End those that should have been sent by now. Usually one waits, and none is overdue."""
        for command in device.waiting:
            if command.until <= now:
                return self._outcomes.end_all(device.waiting.overdue(now), "410")
        return None

    def _perform(self, device: DeviceCommands, command: Command) -> None:
        """Journal it as sent; `_written` goes on from there."""
        now = time() if command.noted else command.accepted_at  # which is this moment
        running = command.type == "start" and self._running.end(device.imei, 0.0) > now
        if running and self.settings.while_running == "refuse":
            return self._outcomes.end_unsent(command, "423", RUNS, "running")
        # Orders has checked that for a command that has just come.
        if command.noted and self._contested(command):
            return self._outcomes.end_unsent(command, "423", CONTESTED, "flapping")
        if command.noted and self._maintained(command):
            return self._outcomes.end_unsent(command, "423", MAINTAINED, "maintenance")
        device.current = command
        self.in_flight += 1
        self.sequence += 1
        command.sends(now, running, self.sequence)
        events = (sent,) if command.noted else (accepted, sent)
        command.noted = True
        self._records.write(command, events, now, partial(self._written, device, command))
        return None

    def _contested(self, command: Command) -> bool:
        imei, connected = command.imei, self._connected
        return (
            command.type == "start" and imei in connected.taken_over and connected.contested(imei)
        )

    def _maintained(self, command: Command) -> bool:
        return (
            command.type == "start"
            and command.why != TEST
            and self._maintenance.of(command.imei) is not None
        )

    def _written(self, device: DeviceCommands, command: Command, error: Exception | None) -> None:
        """If it is on disk as sent: send it. If that failed, it is not sent."""
        if error is not None:
            self._not_written(device, command, error)
            return self._free(device, command)
        command.set_recorded()
        connection = None if self._gave_up else self._connected.get(device.imei)
        if connection is None:
            return self._left(device, command)
        now = trio.current_time()
        if command.until <= now:  # the commit took so long that its caller does not wait any more
            self._outcomes.end_unsent(command, "410")
            return self._free(device, command)
        has_gone, mark = connection.transmit_marked(command.frame())
        if not has_gone:
            return self._left(device, command)
        device.claim = self.results.sent(device, command, connection, mark, now)
        command.sent_at = sent_at = time()
        self._awaited[device.imei] = None
        self._deadlines.add(command)
        return self.counts.sends(command, sent_at)

    def _not_written(self, device: DeviceCommands, command: Command, error: Exception) -> None:
        log.warning("not sent, for it cannot be journalled command=%s", command.id)
        state = self._records.state
        promised = command.deferred and command.recorded
        if promised and state != "ok" and not self._closed:
            # It goes on waiting, for as long as its caller has asked. Its device is connected: it
            # is sent as soon as it can be journalled.
            self._wait_again(device, command)
            self._stalled[device.imei] = device
            return
        words = f"the gateway cannot write its journal ({state}); nothing was sent"
        self._outcomes.end_unsent(command, "503", words)
        if state == "ok":
            log.error("journal refused a command command=%s error=%s", command.id, error)

    def _left(self, device: DeviceCommands, command: Command) -> None:
        """Its device went away while it was being journalled as sent; nothing was sent."""
        if command.deferred and command.until > trio.current_time():
            self._wait_again(device, command)
            if self._closed:
                command.set_done()
        else:
            command.unsent()
            self._outcomes.end_unsent(command, "503" if self._gave_up else "404")
        self._free(device, command)

    def _wait_again(self, device: DeviceCommands, command: Command) -> None:
        command.unsent()
        device.waiting.push_back(command)
        self._deadlines.add(command)
        self._records.post(command)

    def soon(self, task: Callable[[], Awaitable[None]]) -> bool:
        """Run this beside the service. False: that has ended, and nothing is run."""
        return self._outcomes.soon(task)

    def store_well(self) -> None:
        """The store takes commands again."""
        if self._stalled:
            self._outcomes.soon(self._resume)

    async def _resume(self) -> None:
        """Begin again with commands that could not be journalled."""
        stalled, self._stalled = self._stalled, {}
        for number, device in enumerate(stalled.values(), 1):
            self._next(device)
            if not number % DEVICES_A_TURN:
                await trio.lowlevel.checkpoint()

    def _free(self, device: DeviceCommands, command: Command) -> None:
        if device.current is command:
            device.current = None
        elif device.aside is not None and device.aside.command is command:
            device.aside = None
        # Otherwise the device came back to this node with other commands while it was written.
        self.in_flight -= 1
        if not self.in_flight and self._idle is not None:
            self._idle.set()
            self._idle = None
        self._next(device)

    def _journal_waiting(self, device: DeviceCommands, command: Command) -> None:
        """It has to wait: on disk before its caller may hear that it was accepted."""
        command.noted = command.accepting = True
        journalled = partial(self._waiting_journalled, device, command)
        self._records.write(command, (accepted,), time(), journalled)

    def _waiting_journalled(
        self, device: DeviceCommands, command: Command, error: Exception | None
    ) -> None:
        command.accepting = False
        if error is None:
            command.set_recorded()
        else:
            log.warning(
                "not accepted, it cannot be journalled command=%s error=%s", command.id, error
            )
            if device.waiting.withdraw(command):  # otherwise it has ended meanwhile
                words = f"the gateway cannot write its journal ({self._records.state})"
                self._outcomes.end_unsent(command, "503", f"{words}; nothing was sent")
        self._next(device)  # its turn may have come meanwhile, or that of the one behind it


def _make_way(device: DeviceCommands) -> None:
    """A stop may go out while results of starts are held."""
    claim = device.claim
    if (
        device.aside is None
        and claim is not None
        and claim.kind == "QD"
        and device.claims.holds("QD")
    ):
        device.aside, device.claim, device.current = claim, None, None
