"""From what a caller orders to a command: keys, refusals, and the wait for the outcome."""

from __future__ import annotations

from time import time

import trio
from ulid import ULID

from devgate.errors import CallerError, StoreError
from devgate.gateway.command import Command, Order
from devgate.gateway.directory import Directory
from devgate.gateway.dispatcher import RUNS, Dispatcher
from devgate.gateway.lines import Connected, ended
from devgate.gateway.records import Records
from devgate.gateway.running import Running
from devgate.model import Imei
from devgate.store import history

Refusal = tuple[str, str | None]  # a status, and words if they are not the usual ones


class Orders:
    """Takes orders. What is taken runs on, whatever becomes of its caller."""

    def __init__(
        self,
        directory: Directory,
        connected: Connected,
        dispatcher: Dispatcher,
        running: Running,
        records: Records,
    ) -> None:
        self.closed = False  # the gateway is stopping
        self._directory = directory
        self._connected = connected
        self._dispatcher = dispatcher
        self._running = running
        self._records = records
        self._looking: dict[str, trio.Event] = {}  # keys that are being looked up
        self._turns: dict[Imei, trio.StrictFIFOLock] = {}  # devices whose orders queue for that

    async def submit(self, order: Order, *, wait: bool = True) -> Command:
        """Carry out the order. Returns when the command has ended, or (not `wait`) is on disk.

        An order whose key is spent returns the command that spent it. Raises
        CallerError (409) if that one was for something else, and StoreError (503) if
        it cannot be looked up; then nothing was sent.
        """
        command = await self._taken(order)
        await (command.done if wait else command.recorded).wait()
        if not command.recorded.is_set():  # the gateway stops, and this one is kept
            await command.recorded.wait()
        if command.ended_at is not None and command.sent_at is None:
            await self._records.flushed()  # what is answered is never forgotten
        return command

    async def _taken(self, order: Order) -> Command:
        """Take the order before anything else happens, in the order in which orders came.

        A stop that comes behind a start shall not overtake it while that one's key is
        being looked up.
        """
        turn = self._turns.get(order.imei)
        if order.key is None and turn is None:
            command = Command(str(ULID()), order, time())
            await self._begin(command, order)
            return command
        if turn is None:
            turn = self._turns[order.imei] = trio.StrictFIFOLock()
        # Once it is here it is taken: its caller's end is not its own.
        with trio.CancelScope(shield=True):
            await turn.acquire()
            try:
                if order.key is None:
                    command = Command(str(ULID()), order, time())
                    await self._begin(command, order)
                else:
                    command = await self._keyed(order, order.key)
                if turn.statistics().tasks_waiting:
                    # The runner, which has just been told, takes this one before the next comes.
                    await trio.lowlevel.checkpoint()
            finally:
                if not turn.statistics().tasks_waiting:
                    del self._turns[order.imei]
                turn.release()
        return command

    async def _keyed(self, order: Order, key: str) -> Command:
        """The one command of this key. Of callers at once, one looks it up and the others wait."""
        while (command := self._dispatcher.by_key.get(key)) is None:
            if (looking := self._looking.get(key)) is None:
                command = await self._look_up(order, key)
                break
            await looking.wait()
        if command.content != order.content:
            raise CallerError(
                "409",
                f"key: {key!r} was used for another command, {command.id}; nothing was sent",
            )
        return command

    async def _look_up(self, order: Order, key: str) -> Command:
        looking = self._looking[key] = trio.Event()
        command = Command(str(ULID()), order, time())
        try:
            if not await self._records.flushed():
                raise StoreError(
                    f"key: it cannot be looked up ({self._records.state}); nothing was sent"
                )
            earlier = await self._records.read(history.by_key, key)
            if earlier is None:
                await self._begin(command, order)
            else:
                command = Command.of(earlier)
                command.done.set()  # a record: nothing will happen to it here
            return command
        finally:
            del self._looking[key]
            looking.set()

    async def _begin(self, command: Command, order: Order) -> None:
        """Refuse the command, or let it wait for its turn."""
        if order.cancel:
            self._dispatcher.cancel_starts(order.imei, f"by the stop {command.id}")
        if (refusal := self._refusal(order)) is not None:
            self._refuse(command, *refusal)
        elif not self._dispatcher.push(command, order.expires):
            self._refuse(command, "429", None)
        elif not self._dispatcher.goes_at_once(command):
            await self._dispatcher.put_down(command)

    def _refusal(self, order: Order) -> Refusal | None:
        """Why nothing may be sent, if so."""
        admitted = self._directory.admits(order.imei)
        if self.closed:
            return "503", None
        if admitted is None:
            return "300", None
        if not admitted:
            return "401", None
        if order.expires is None and self._connected.get(order.imei) is None:
            return "404", None
        if (
            order.type == "start"
            and self._dispatcher.settings.while_running == "refuse"
            and self._running.until(order.imei) is not None
        ):
            return "409", RUNS
        return None

    def _refuse(self, command: Command, status: str, message: str | None) -> None:
        command.ends(status, time(), message)
        self._dispatcher.counts.ended[command.type, status] += 1
        self._records.post(command, ended(command))
        command.recorded.set()
        command.done.set()
