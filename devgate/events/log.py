"""The numbered log of events: the newest ones in memory, all of them in the database."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from trio_util import AsyncValue

from devgate.events.kinds import Event

RING_EVENTS = 1024  # events in memory: readers that are closer to the end need no database
PAGE_EVENTS = 500  # events that are read at once

_event: Callable[[Sequence[Any]], Event] = partial(tuple.__new__, Event)  # Event.of(), sooner


class EventPage(NamedTuple):
    """A page for a reader: events behind its position, oldest first."""

    events: Sequence[Event]
    first: int  # the first number behind the position that is still kept, whatever its type
    # Up to this number the page has all events that the reader wants. Equal to the position: no
    # event behind it is kept.
    end: int


# A page behind `after`, of events up to `until`, at most `limit` of these types (none: of all).
ReadPage = Callable[[int, int, int, Set[str]], Awaitable[EventPage]]


class LogReader:
    """A reader of the log, at its own pace."""

    def __init__(self, log: EventLog, position: int, types: Set[str]) -> None:
        self.position = position  # the last event that it has read: the reader sets it
        self.types = types
        self._log = log

    async def more(self) -> EventPage:
        """The next page behind the position; waits until there is one.

        A page may be empty: no event up to its end is of the reader's types.
        """
        return await self._log.after(self.position, self.types)


class EventLog:
    """Events by their number, without a gap.

    An event is published once it is on disk, so that no number is ever shown twice with another
    meaning, also after a crash. `page` reads older ones from the database.
    """

    def __init__(self, last: int, page: ReadPage) -> None:
        self._page = page
        self._ring: deque[Event] = deque(maxlen=RING_EVENTS)
        self._last = AsyncValue(last)
        self._readers: set[LogReader] = set()

    @property
    def readers(self) -> int:
        """How many follow the log at the moment."""
        return len(self._readers)

    @property
    def lag(self) -> int:
        """By how many events the slowest of them is behind."""
        return max(0, self.last - min((one.position for one in self._readers), default=self.last))

    @property
    def last(self) -> int:
        """The number of the newest event; 0 if there never was one."""
        return int(self._last.value)

    def begin_at(self, last: int) -> None:
        """Continue after that number: another gateway has written the log until now."""
        self._last.value = last

    def publish(self, rows: Sequence[Sequence[Any]]) -> None:
        """Publish events that are on disk now, as the columns of Event. Their numbers follow the
        last one."""
        if rows:
            events = list(map(_event, rows))
            if self._ring and self._ring[-1].n + 1 != events[0].n:
                self._ring.clear()  # memory ran out before some were published: they are on disk
            self._ring.extend(events)
            self._last.value = events[-1].n

    @contextmanager
    def reading(self, after: int, types: Set[str] = frozenset()) -> Iterator[LogReader]:
        """A reader of the events after number `after`: of these types; none given: of all.

        A slow reader delays nobody, and misses no event that still exists: older ones are read
        from the database.
        """
        reader = LogReader(self, after, types)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def follow(self, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Every event after number `after` (None: from now on), in order, without end.

        Use it with contextlib.aclosing.
        """
        with self.reading(self.last if after is None else after) as reader:
            while True:
                page = await reader.more()
                for event in page.events:
                    yield event
                    reader.position = event.n
                reader.position = page.end

    async def after(self, position: int, types: Set[str]) -> EventPage:
        """For a reader: the next page, once there is something behind its position."""
        last = await self._last.wait_value(lambda last: last > position)
        if not (self._ring and self._ring[0].n <= position + 1):
            page = await self._page(position, last, PAGE_EVENTS, types)
            if page.end > position:
                return page
            if not self._ring:  # the table was emptied: waiting would find nothing
                return EventPage((), last + 1, last)
        # From memory. If that begins later, no event before it is kept any more.
        first = self._ring[0].n
        skip = max(0, position + 1 - first)
        events = list(islice(self._ring, skip, skip + PAGE_EVENTS))
        wanted = [event for event in events if event.matches(types)] if types else events
        return EventPage(wanted, events[0].n, events[-1].n)
