"""When each command is to be judged again: the deadlines of all that wait or are in flight."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NoReturn

import trio

from devgate.alarm import Alarm
from devgate.gateway.command import Command

COMMANDS_A_TURN = 64  # judged before other tasks have their turn: some milliseconds
RETRY_SECONDS = 0.5  # until a command that could not be judged is judged again
MIN_PRUNED_ENTRIES = 1024  # a shorter heap is not searched for entries that are over

log = logging.getLogger("devgate.commands")


class Deadlines:
    """The `until` of commands that wait or are in flight: trio's clock.

    An entry whose command has ended, or has another deadline now, is skipped when it is due. Once
    there may be more such entries than others, all of them are removed together. So thousands of
    commands that are answered at once cost one pass over the heap, not one each.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Command]] = []
        self._numbers = count()  # orders entries of one time: commands have no order
        self._full = MIN_PRUNED_ENTRIES
        self._alarm = Alarm()  # of watch()

    def add(self, command: Command) -> None:
        """Look at the command at its `until`."""
        if len(self._heap) >= self._full:
            self._heap = [entry for entry in self._heap if not _over(*entry)]
            heapify(self._heap)
            self._full = max(MIN_PRUNED_ENTRIES, 2 * len(self._heap))
        heappush(self._heap, (command.until, next(self._numbers), command))
        if command.until < self._alarm.at:
            self._alarm.advance(command.until)

    def next(self) -> float:
        """When the first of them is due; infinity if none is."""
        heap = self._heap
        while heap and _over(*heap[0]):
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def due(self, now: float) -> list[Command]:
        """Remove and return those that are due, the earliest first."""
        found = []
        while self.next() <= now:
            found.append(heappop(self._heap)[2])
        return found

    async def watch(
        self,
        judge: Callable[[Command, float], None],
        every: float,
        besides: Callable[[float], None],
        caught_up: Callable[[], Awaitable[None]],
    ) -> NoReturn:
        """Judge each command when it is due, and call `besides` every `every` seconds.

        Both get the time, and must not await. If a command is due, `caught_up` is awaited first:
        after a stall of the loop its result may be here, unread.
        """
        done = trio.current_time()
        while True:
            await self._alarm.wait(min(self.next(), done + every))
            if due := self.due(trio.current_time()):
                await caught_up()
            now = trio.current_time()
            failed = []
            for number, command in enumerate(due, 1):
                try:
                    judge(command, now)
                except Exception:
                    # It has no outcome for now. All other commands must get theirs.
                    log.exception("deadline could not be judged command=%s", command.id)
                    failed.append(command)
                # A network that is gone ends all commands at once.
                if not number % COMMANDS_A_TURN:
                    await trio.lowlevel.checkpoint()
            if failed:
                await trio.sleep(RETRY_SECONDS)
                for command in failed:
                    if command.state != "ended":
                        self.add(command)
            if now >= done + every:
                done = now
                try:
                    besides(now)
                except Exception:
                    log.exception("tidying up failed")


def _over(until: float, _: int, command: Command) -> bool:
    return command.state == "ended" or command.until != until
