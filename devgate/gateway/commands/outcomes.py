"""How commands end: what is journalled, counted and logged, and when callers get the outcome."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from devgate.gateway.clock import time
from devgate.gateway.command import ANSWERS, Command
from devgate.gateway.commands.running import Running
from devgate.gateway.commands.start_rates import StartRates
from devgate.gateway.counters import CommandCounts
from devgate.gateway.details import ambiguous, ended, name_of, settled_late
from devgate.gateway.storage import Records
from devgate.model import Imei

UNCERTAIN_SECONDS = 5.0  # that a caller waits to know whether another node has its command

log = logging.getLogger("devgate.commands")


class Outcomes:
    """The commands that have not ended, and how they end. Nothing here awaits: callers that wait
    are called back."""

    def __init__(
        self,
        records: Records,
        running: Running,
        from_new_address: Callable[[Imei], bool] = lambda imei: False,
        shared: bool = False,
    ) -> None:
        """`shared`: other nodes take commands that wait on disk, when the device registers
        there."""
        self.live: dict[str, Command] = {}  # by id: all that have not ended
        self.by_key: dict[str, Command] = {}  # those of them that have a key
        self.counts = CommandCounts()
        self._shared = shared
        self._records = records
        self._running = running
        self._rates = StartRates(records)
        self._from_new_address = from_new_address
        self._nursery: trio.Nursery | None = None
        self._waiting = 0  # tasks that wait for the disk before callers get an outcome
        self._fewer = trio.lowlevel.ParkingLot()

    @property
    def waiting(self) -> bool:
        """Whether outcomes wait for a database that was away."""
        return self._waiting > 0

    async def called_back(self) -> None:
        """Wait until callers have the outcomes that waited for a database that was away."""
        while self._waiting:
            await self._fewer.park()

    @asynccontextmanager
    async def patient(self) -> AsyncIterator[None]:
        """In this block, outcomes wait some seconds for a database that is away, and StartRates
        are written."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._rates.run)
            try:
                yield
            finally:
                self._nursery.cancel_scope.cancel()
                self._nursery = None

    def soon(self, task: Callable[[], Awaitable[None]]) -> bool:
        """Run this beside the service. False: that has ended, and nothing is run."""
        if self._nursery is None:
            return False
        self._nursery.start_soon(task)
        return True

    async def write_rates(self) -> None:
        """Write the StartRates that wait to be written: for a process that ends."""
        await self._rates.flush(0.0)

    def end_all(self, commands: Iterable[Command], status: str) -> None:
        """end_unsent() each of them with this status."""
        for command in commands:
            self.end_unsent(command, status)

    def end_unsent(
        self, command: Command, status: str, message: str | None = None, why: str | None = None
    ) -> None:
        """Nothing of it was sent. Its caller gets that outcome once it is on disk."""
        if why is not None:
            command.why = why
        on_disk = partial(self.flushed, partial(self._unsent_flushed, command))
        self.end(command, status, message, on_disk)

    def end(
        self, command: Command, status: str, message: str | None, on_disk: Callable[[bool], None]
    ) -> None:
        """Give it its outcome. `on_disk` is called as by Records.flush(), and calls back those who
        wait."""
        now = time()
        command.ends(status, now, message)
        if status in ANSWERS:
            command.new_address = self._from_new_address(command.imei)
        self.counts.ended[command.type, status] += 1
        self.live.pop(command.id, None)
        if command.key is not None:
            self.by_key.pop(command.key, None)
        runs = self._running.note_outcome(command, now)
        self._rates.note(command)
        log.info(
            "command ended command=%s imei=%s type=%s status=%s",
            command.id, command.imei, command.type, status,
        )  # fmt: skip
        self._records.post_event(command, ended, now, on_disk, runs)
        command.front = None  # the command may stay in memory for hours, with no more events

    def ambiguous(self, imei: Imei, commands: Sequence[Command]) -> None:
        """These commands are 408s, and fewer answers came than commands. The last one is the
        newest.

        At a node one of them may be open again: another node had it, and had not ended it.
        """
        commands = [command for command in commands if command.status == "408"]
        if not commands:
            return
        for command in commands:
            command.is_ambiguous(commands[-1].id)
        for command in commands[:-1]:
            self._records.post(command)
        called = self._records.called(imei)
        self._records.post(commands[-1], ambiguous(commands, called))
        log.warning(
            "results are ambiguous imei=%s name=%s commands=%s",
            imei, name_of(called), " ".join(command.id for command in commands),
        )  # fmt: skip

    def settle_late(self, command: Command, status: str) -> None:
        """A result has come after the 408. Who asks for the command from now on gets it once it is
        on disk: if the gateway is killed before, the record says 408."""
        now = time()
        command.settles_late(status, now)
        command.done = False
        command.new_address = self._from_new_address(command.imei)
        self.counts.late[command.type, status] += 1
        runs = self._running.note_outcome(command, now)
        self._rates.note_late(command)
        log.info("late result command=%s status=%s", command.id, status)
        on_disk = partial(self.flushed, partial(_late_flushed, command))
        self._records.post_event(command, settled_late, now, on_disk, runs)

    def flushed(self, on_done: Callable[[bool], None], on_disk: bool) -> None:
        """The callback of Records.flush(). Calls `on_done` once what was posted is on disk; with
        False if that takes too long."""
        if on_disk or self._nursery is None:
            on_done(on_disk)
        else:
            self._wait(self._nursery, partial(self._wait_for_disk, on_done))

    def _wait(self, nursery: trio.Nursery, wait: Callable[[], Awaitable[None]]) -> None:
        self._waiting += 1
        nursery.start_soon(self._counted, wait)

    async def _counted(self, wait: Callable[[], Awaitable[None]]) -> None:
        try:
            await wait()
        finally:
            self._waiting -= 1
            self._fewer.unpark_all()

    async def _wait_for_disk(self, on_done: Callable[[bool], None]) -> None:
        on_disk = False
        try:
            on_disk = await self._records.flushed()
        finally:
            on_done(on_disk)

    def _unsent_flushed(self, command: Command, on_disk: bool) -> None:
        waits_on_disk = command.may_be_on_disk and (command.deferred or self._shared)
        if on_disk or not waits_on_disk or self._nursery is None:
            _complete(command)
        else:
            self._wait(self._nursery, partial(self._wait_until_certain, command))

    async def _wait_until_certain(self, command: Command) -> None:
        """A deferred start has ended. On disk it still waits, or will as soon as the running
        commit is done: if this gateway were killed, the next one would send it. So its caller
        gets "nothing was sent" once the end is on disk, or once it has expired.

        Another node may have sent it by then: then the outcome is unknown.
        """
        on_disk = False
        until = trio.current_time() + UNCERTAIN_SECONDS if self._shared else command.until
        try:
            while not on_disk and command.may_be_on_disk and until > trio.current_time():
                on_disk = await self._records.flushed()
        finally:
            if self._shared and not on_disk:
                command.may_be_elsewhere()
            elif not on_disk and until > trio.current_time():  # the gateway stops
                command.is_not_on_disk()
            _complete(command)


def _late_flushed(command: Command, on_disk: bool) -> None:
    """Callers get its late result: it is on disk, or that takes too long."""
    if not on_disk:
        command.is_not_on_disk()
    command.set_done()


def _complete(command: Command) -> None:
    command.set_recorded()
    command.set_done()
