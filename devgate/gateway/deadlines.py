"""When which command is to be looked at again."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from itertools import count

from devgate.gateway.command import Command

ROOM = 1024  # entries that are kept without asking which of them are over


class Deadlines:
    """The `until` of commands that wait or are on their way: trio's clock. No I/O.

    What is over before its time, or has got another, is passed over when its turn comes, or
    thrown out with all others of its kind once there may be more of them than of the rest. So
    thousands of commands that are answered at once cost one look, and not one each.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Command]] = []
        self._numbers = count()  # two of one time: commands themselves have no order
        self._full = ROOM

    def add(self, command: Command) -> float:
        """Look at the command at its `until`, which is returned."""
        if len(self._heap) >= self._full:
            self._heap = [entry for entry in self._heap if not _over(*entry)]
            heapify(self._heap)
            self._full = max(ROOM, 2 * len(self._heap))
        heappush(self._heap, (command.until, next(self._numbers), command))
        return command.until

    def next(self) -> float:
        """When the first of them is due; infinity if none is."""
        heap = self._heap
        while heap and _over(*heap[0]):
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def due(self, now: float) -> list[Command]:
        """Take out those whose time has come, the earliest first."""
        found = []
        while self.next() <= now:
            found.append(heappop(self._heap)[2])
        return found


def _over(until: float, _: int, command: Command) -> bool:
    return command.state == "ended" or command.until != until
