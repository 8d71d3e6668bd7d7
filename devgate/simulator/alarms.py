"""One timer for the whole fleet: a scope for each device's next deadline would cost 0.7 KB."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import NoReturn

import trio

from devgate.alarm import Alarm

# An alarm that was replaced by an earlier one stays in the heap until its time. So none is set for
# later than this: it rings early, and its device sets it again.
MAX_ALARM_SECONDS = 60.0
ROUND_ALARMS = 256  # alarms in one round: other tasks get their turn in between


class Alarms:
    """For each number from 0 on, at most one time at which `ring(number, now)` is called."""

    def __init__(self, count: int, ring: Callable[[int, float], None]) -> None:
        self._at = [math.inf] * count
        self._heap: list[tuple[float, int]] = []
        self._ring = ring
        self._alarm = Alarm()

    def set(self, number: int, at: float, now: float) -> None:
        """Ring at `at`, or earlier: a device that was woken too early sets it again."""
        if at == math.inf:
            return
        at = min(at, now + MAX_ALARM_SECONDS)
        if at < self._at[number]:
            self._at[number] = at
            heapq.heappush(self._heap, (at, number))
            if at < self._alarm.at:
                self._alarm.advance(at)

    async def run(self) -> NoReturn:
        """Ring each alarm at its time. An exception of ring() ends this."""
        heap = self._heap
        while True:
            now = trio.current_time()
            for _ in range(ROUND_ALARMS):
                if not heap or heap[0][0] > now:
                    break
                at, number = heapq.heappop(heap)
                if at == self._at[number]:  # else an earlier one has rung
                    self._at[number] = math.inf
                    self._ring(number, now)
            await self._alarm.wait(heap[0][0] if heap else math.inf)
