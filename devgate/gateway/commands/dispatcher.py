"""Commands on their way: one queue per device, one in flight, and what a result settles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import trio

from devgate.gateway.command import Command
from devgate.gateway.commands.claims import Sent
from devgate.gateway.commands.device_commands import DeviceCommands
from devgate.gateway.commands.settling import Settler
from devgate.model import Imei
from devgate.pauses import Pauses

PRUNE_SECONDS = 60.0  # between two searches for devices whose last claim has lapsed


class Dispatcher(Settler):
    """Takes commands through their states: waiting, sent (on disk, then on the wire), ended.

    No command has a task. Calls move it on: by whoever pushes it, by the writer when its row is
    on disk, by the desk when the device has answered, by `serve` when it times out. None of these
    awaits, so no other task runs in the middle of a step.
    """

    async def serve(
        self,
        caught_up: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        pauses: Pauses | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Send, and watch the deadlines. Cancelled, what was sent ends as 408; the rest stays.

        `caught_up` returns when all that devices have sent up to now is read. Deadlines are not
        judged during `pauses`.
        """
        watch = partial(self._deadlines.watch, self._judge, PRUNE_SECONDS, self._prune, caught_up)
        try:
            async with self._outcomes.patient():
                self._begin_waiting()
                task_status.started()
                await (pauses or Pauses()).run(watch)
        finally:
            # Also if the gateway stops at once, commands that were sent get an outcome on disk.
            self._closed = True
            self.give_up()
        raise AssertionError("it watches for ever")

    def hold(self) -> None:
        """Begin no command until go_on(). Commands that are under way go on."""
        self._serving = False

    def go_on(self) -> None:
        """After hold(): begin waiting commands again."""
        for command in self.live.values():
            self._deadlines.add(command)  # a pause may have come between taking and judging one
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        self._serving = True
        for device in list(self._devices.values()):
            self._next(device)

    @property
    def calling_back(self) -> bool:
        """Whether outcomes wait for a database that was away."""
        return self._outcomes.waiting

    async def called_back(self) -> None:
        """Wait until callers have the outcomes that waited for a database that was away."""
        await self._outcomes.called_back()

    async def write_rates(self) -> None:
        """Write how starts went, as far as that waits: for a process that ends."""
        await self._outcomes.write_rates()

    def devices(self) -> list[DeviceCommands]:
        """The devices that have commands, or had some recently."""
        return list(self._devices.values())

    def inherit(self, device: DeviceCommands) -> None:
        """Before serve(): this device's commands come from the program that had them until now."""
        self._devices[device.imei] = device
        for command in (*device.waiting, *(c.command for c in _under_way(device))):
            self.live[command.id] = command
            self._deadlines.add(command)
            if command.key is not None:
                self.by_key[command.key] = command
        for claim in _under_way(device):
            self.in_flight += 1
            self._awaited[device.imei] = None
            assert claim.command.state == "sent", "it is between its first byte and its outcome"

    @property
    def waiting(self) -> int:
        """How many commands wait for their turn."""
        return sum(command.state == "waiting" for command in self.live.values())

    def refuse(
        self, command: Command, status: str, message: str | None = None, why: str | None = None
    ) -> None:
        """End a command that never waited."""
        self._outcomes.end_unsent(command, status, message, why)

    def cancel(self, command: Command, why: str) -> bool:
        """End a command that waits. False if it is not waiting any more."""
        if not self._device(command.imei).waiting.withdraw(command):
            return False
        self._outcomes.end_unsent(command, "410", f"cancelled {why}; nothing was sent")
        return True

    def cancel_starts(self, imei: Imei, why: str) -> None:
        """End all waiting starts of the device as 410; `why` follows "cancelled"."""
        for command in self._device(imei).waiting.starts():
            self._outcomes.end_unsent(command, "410", f"cancelled {why}; nothing was sent")

    def online(self, imei: Imei) -> None:
        """The device has registered: commands that were deferred may go."""
        if device := self._devices.get(imei):
            device.registered = trio.current_time()
            self._next(device)

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        if not self.in_flight:
            await trio.lowlevel.checkpoint()
            return
        if self._idle is None:
            self._idle = trio.Event()
        await self._idle.wait()

    def close(self) -> None:
        """The gateway stops: nothing more is sent. What waits ends as 503, or is deferred."""
        self._closed = True
        for device in self._devices.values():
            self._outcomes.end_all(device.waiting.undeferred(), "503")
            for command in device.waiting:
                command.set_done()


def _under_way(device: DeviceCommands) -> list[Sent[Command]]:
    return [claim for claim in (device.claim, device.aside) if claim is not None]
