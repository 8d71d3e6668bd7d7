"""The events of all nodes, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import trio

from devgate.events.log import EventLog
from devgate.gateway.background import Background
from devgate.gateway.storage import Records
from devgate.store import history, timelines

LOOK_SECONDS = 0.2  # between two looks for events of other nodes
PAGE_EVENTS = 500  # events that one read returns


class Following:
    """Publishes events in this node's log. Numbers are given under a lock that is held until the
    commit has ended: whoever sees a number sees all before it."""

    def __init__(
        self, events: EventLog, records: Records, on_event: Callable[[Sequence[Any]], None]
    ) -> None:
        """`on_event` gets those that were read from the database, other nodes' among them."""
        self._events = events
        self._records = records
        self._on_event = on_event
        self._wake = trio.Event()

    def committed(self, events: Sequence[Sequence[Any]]) -> None:
        """This node has written these: publish them at once if no other node's are before them."""
        if not events:
            return
        if events[0][-1] == self._events.last + 1:
            self._events.publish(events)
        else:
            self._wake.set()

    async def run(self, background: Background) -> NoReturn:
        """Read what other nodes have written, for ever."""
        while True:
            with trio.move_on_after(LOOK_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            await background.until_done("events", self._read, 1.0)

    async def _settled(self) -> bool:
        return await self._records.read(timelines.agreed)

    async def _read(self) -> None:
        while True:
            after = self._events.last
            rows = await self._records.read(history.events_after, after, PAGE_EVENTS)
            if rows and rows[-1][-1] - after != len(rows) and not await self._settled():
                return  # nodes write lost events again: the missing ones are still to come
            last = self._events.last  # this node may have published some meanwhile
            news = [row for row in rows if row[-1] > last]
            self._events.publish(news)
            for row in rows:
                self._on_event(row)
            if len(rows) < PAGE_EVENTS:
                return
