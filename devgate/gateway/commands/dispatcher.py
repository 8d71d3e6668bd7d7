"""Commands on their way: one queue per device, one in flight, and what a result settles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from devgate.gateway.command import Command
from devgate.gateway.commands.settling import Settler
from devgate.model import Imei

PRUNE = 60.0  # seconds between two looks for devices whose last claim has lapsed


class Dispatcher(Settler):
    """Takes commands through their states: waiting, sent (on disk, then on the wire), ended.

    No command has a task. What moves one on is a call: from whoever pushes it, from the writer
    when its row is on disk, from the desk when the device has answered, from `serve` when its
    time is up. None of these awaits, so that each step is whole.
    """

    async def serve(
        self,
        caught_up: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Send, and watch the deadlines. Cancelled, what was sent ends as 408; the rest stays.

        `caught_up` returns when all that devices have said up to now is read.
        """
        try:
            async with self._outcomes.patient():
                self._serving = True
                for device in list(self._devices.values()):
                    self._next(device)
                task_status.started()
                await self._deadlines.watch(self._judge, PRUNE, self._prune, caught_up)
        finally:
            # Also if the gateway is stopped at once: what was sent has an outcome on disk.
            self._closed = True
            self.give_up()
        raise AssertionError("it watches for ever")

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
