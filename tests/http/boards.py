"""A board whose picture shows how often it was drawn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager

import trio

from devgate.events.kinds import Event
from devgate.events.log import EventLog, EventPage
from devgate.http.board import Board, Concern
from devgate.http.boards import Boards

OWN, OTHER, ROW = "860000000000001", "860000000000002", "860000000000003"

PULSE = 60.0


class Picture:
    """The picture of a board: how many events concerned it, or the parts that a test sets."""

    def __init__(self, seen: Callable[[], int], cost: float = 0.0) -> None:
        self.drawn: list[float] = []  # when
        self.glances: list[float] = []  # when only the cheap parts were drawn
        self.spent = 0.0
        self.parts: dict[str, str] = {}
        self.glimpsed = "count"  # the part that is cheap
        self.glance_cost = 0.0
        self._seen, self._cost = seen, cost

    async def draw(self, whole: bool) -> Mapping[str, str] | None:
        if not whole:
            if not self.drawn:
                return None  # as a page that has no values yet
            self.glances.append(trio.current_time())
            self.spent += self.glance_cost
            return {self.glimpsed: f"about {self._seen()}"}
        self.drawn.append(trio.current_time())
        self.spent += self._cost
        return self.parts or {"still": "-", "count": str(self._seen())}


class Rig:
    def __init__(self, cost: float = 0.0) -> None:
        self.log = EventLog(0, self._none)
        self.stopping = trio.Event()
        self.picture = Picture(lambda: self.log.last, cost)
        self.state = "ok"
        self.boards = Boards(
            self.log, self.stopping, lambda: self.picture.spent, lambda: self.state
        )

    @staticmethod
    async def _none(after: int, until: int, limit: int, types: Set[str]) -> EventPage:
        return EventPage((), after + 1, after)

    def happens(self, imei: str = OTHER, times: int = 1) -> None:
        first = self.log.last + 1
        events = [Event(0.0, "device.online", imei, None, "{}", first + n) for n in range(times)]
        self.log.publish(events)

    @staticmethod
    def concern(event: Event) -> Concern:
        return {OWN: Concern.AT_ONCE, ROW: Concern.ROW}.get(str(event.imei), Concern.LATER)

    async def look(
        self, got: list[tuple[float, bytes]], until: float, key: str = "a", seen: int | None = None
    ) -> None:
        """Look until then, as a page's stream does."""
        seen = self.log.last if seen is None else seen
        with (
            trio.move_on_at(until),
            self.boards.looking(key, self.picture.draw, self.concern, PULSE) as board,
        ):
            await self._next(board, seen, got)

    @staticmethod
    async def _next(board: Board, seen: int, got: list[tuple[float, bytes]]) -> None:
        viewer = board.join(seen)
        while not board.over:
            if text := await viewer.news():
                got.append((trio.current_time(), text))


@asynccontextmanager
async def rig(cost: float = 0.0) -> AsyncIterator[tuple[Rig, trio.Nursery]]:
    made = Rig(cost)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.boards.run)
        yield made, nursery
        nursery.cancel_scope.cancel()
