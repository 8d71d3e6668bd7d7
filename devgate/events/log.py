"""The numbered log of events: the latest in memory, all of them in the database."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import islice

from trio_util import AsyncValue

from devgate.events.kinds import Event

RING = 1024  # events in memory: who reads no slower than that never asks the database
PAGE = 500  # events that are read at once


class EventLog:
    """Events by their number, without a gap.

    An event is published once it is on disk, so that no number is ever shown
    twice with another meaning, whatever dies. `page(after, limit)` reads older
    ones from the database.
    """

    def __init__(self, last: int, page: Callable[[int, int], Awaitable[Sequence[Event]]]) -> None:
        self._page = page
        self._ring: deque[Event] = deque(maxlen=RING)
        self._last = AsyncValue(last)
        self._positions: dict[object, int] = {}  # of each reader: the last event that it has had

    @property
    def readers(self) -> int:
        """How many follow the log at the moment."""
        return len(self._positions)

    @property
    def lag(self) -> int:
        """By how many events the slowest of them is behind."""
        return max(0, self.last - min(self._positions.values(), default=self.last))

    @property
    def last(self) -> int:
        """The number of the newest event; 0 if there never was one."""
        return int(self._last.value)

    def publish(self, events: Sequence[Event]) -> None:
        """These are on disk now: their numbers go on from the last."""
        if events:
            if self._ring and self._ring[-1].n + 1 != events[0].n:
                self._ring.clear()  # some were not told, for lack of memory: they are on disk
            self._ring.extend(events)
            self._last.value = events[-1].n

    async def follow(self, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Every event after number `after` (None: from now on), in order, for ever.

        A reader that is slow holds nothing up and misses nothing that is still kept:
        it is given from the database what has left the memory. To be left under
        contextlib.aclosing.
        """
        position = self.last if after is None else after
        reader = object()
        try:
            while True:
                self._positions[reader] = position
                newest = await self._last.wait_value(lambda last, seen=position: last > seen)
                found = await self._after(position)
                for event in found:
                    yield event
                    position = self._positions[reader] = event.n
                if not found:  # somebody has emptied the table: there is nothing to wait for
                    position = newest
        finally:
            self._positions.pop(reader, None)

    async def _after(self, position: int) -> Sequence[Event]:
        if self._ring and self._ring[0].n <= position + 1:
            skip = position + 1 - self._ring[0].n
            return list(islice(self._ring, skip, skip + PAGE))
        if found := await self._page(position, PAGE):
            return found
        # Nothing that old is kept any more.
        return list(islice(self._ring, PAGE))
