"""What many look at and one draws: the parts of live pages, drawn once for all who see the same.

What it costs is bounded, whatever happens and however many look. A board is drawn while somebody
looks at it, when an event concerns it or time has passed. Of what concerns it alone it shows the
first few at once; with all else it takes its time, and all boards together take a small part of
a core. Those who look are sent the parts that changed, all of them the same bytes.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from enum import Enum
from time import process_time

import trio

from devgate.errors import DevgateError
from devgate.events.kinds import Event
from devgate.events.log import EventLog
from devgate.http.cpu_budget import Share, rest
from devgate.http.problems import written

log = logging.getLogger("devgate.http")

GAP = 0.5  # seconds at least from one drawing of a board to the next
BURST, WITHIN = 6, 30.0  # draws at once, in that many seconds: a start makes four events
CALM = 10.0  # seconds between two drawings of what can wait
GATHER = 0.5  # seconds in which events gather before anybody looks at them


class Concern(Enum):
    """What an event is to a board."""

    NONE = 0
    CALM = 1  # it shows it some time
    AT_ONCE = 2


# Draws all parts; or, not `whole`, those that cost next to nothing. None: it cannot be drawn now.
Draw = Callable[[bool], Awaitable[Mapping[str, str] | None]]
Concerns = Callable[[Event], Concern]


class Board:
    """One picture in parts."""

    def __init__(self, draw: Draw, concerns: Concerns, pulse: float, hub: Boards) -> None:
        self.viewers = 0
        self.over = False  # nothing more will come
        self.number = 0  # of the newest drawing
        self.position = -1  # the newest event that it knows of
        self.scope = trio.CancelScope()
        self._draw, self._concerns, self._pulse, self._hub = draw, concerns, pulse, hub
        self._parts: Mapping[str, str] = {}
        self._changes = self._whole = b""
        self._unsure = False  # somebody looks whose picture is not known here
        self._last = -math.inf  # when it was drawn
        self._quick: deque[float] = deque(maxlen=BURST)  # when it was drawn at once
        self._at_once, self._calm = math.inf, math.inf  # when it is due, for either reason
        self._rest = trio.CancelScope()
        self._cost = 0.0  # seconds of the processor, the last time
        self._lot = trio.lowlevel.ParkingLot()

    def join(self, seen: int) -> Viewer:
        """For one who has a picture that knows of all events up to `seen`, and perhaps of more."""
        if not self.number and self._hub.log.last > seen:
            self._be_due(at_once=self._soonest())  # later ones are taken into account
        self._unsure = self._unsure or self.position < seen or not self.number
        return Viewer(self, seen)

    async def after(self, number: int) -> None:
        """Wait until there is a newer one, or it is over."""
        while self.number == number and not self.over:
            await self._lot.park()

    def changes_since(self, number: int) -> bytes:
        """What changed since that drawing, as a server-sent event; empty if nothing did."""
        return self._changes if number + 1 == self.number else self.whole

    @property
    def whole(self) -> bytes:
        """All parts, as a server-sent event."""
        if not self._whole:
            self._whole = _encode(self._parts)
        return self._whole

    def apply(self, event: Event) -> None:
        """An event has happened: the board is drawn again if it concerns it."""
        if event.n <= self.position:
            return
        concern = self._concerns(event)
        if concern is Concern.AT_ONCE:
            self._be_due(at_once=self._soonest())
        elif concern is Concern.CALM:
            self._be_due(calm=self._last + CALM)

    def apply_all(self) -> None:
        """Nobody knows what happened."""
        self._be_due(calm=self._last + CALM)

    def end(self) -> None:
        """Ends the streams of all who look."""
        self.over = True
        self._lot.unpark_all()

    async def run(self) -> None:
        """Draw when it is due, until cancelled."""
        self._calm = trio.current_time() + self._pulse
        while True:
            expected = await self._turn()
            spent = self._hub.clock()
            await self._paint()
            self._cost = self._hub.clock() - spent
            if expected is not None:
                self._hub.share.measured(expected, self._cost)

    def _soonest(self) -> float:
        full = len(self._quick) == BURST
        return max(self._last + GAP, self._quick[0] + WITHIN if full else -math.inf)

    def _be_due(self, at_once: float = math.inf, calm: float = math.inf) -> None:
        self._at_once = min(self._at_once, at_once)
        if calm < self._calm:
            self._calm = calm
            self._rest.deadline = min(self._rest.deadline, calm)
        self._rest.deadline = min(self._rest.deadline, at_once)

    async def _turn(self) -> float | None:
        """Wait until it is to be drawn. What is expected to be spent, if that is rested from."""
        await self._wait(min(self._at_once, self._calm))
        expected = None
        if self._at_once > (now := trio.current_time()):
            expected = self._cost
            self._calm = -math.inf  # it has its turn: nobody need ask for another
            turn = self._hub.share.turn(now, expected)
            turn = max(turn, self._last + rest(expected))  # it may have been drawn at once
            while (until := min(self._at_once, turn)) > now:
                if now >= self._last + CALM and (parts := await self._draw(False)):
                    self._show(parts)
                await self._wait(min(until, now + CALM))
                now = trio.current_time()
        if self._at_once <= (now := trio.current_time()):
            self._quick.append(now)
        return expected

    async def _wait(self, until: float) -> None:
        with trio.CancelScope(deadline=until) as self._rest:
            await trio.sleep_forever()

    async def _paint(self) -> None:
        self._last = trio.current_time()
        self._at_once, self._calm = math.inf, self._last + self._pulse
        position = self._hub.log.last
        if (parts := await self._draw(True)) is not None:
            self.position = position
            self._show(parts, self._unsure)
            self._unsure = False

    def _show(self, parts: Mapping[str, str], anyway: bool = False) -> None:
        """Tell those who look what these change. Parts that are not among them stay."""
        changed = {name: part for name, part in parts.items() if self._parts.get(name) != part}
        if changed or anyway:
            self._parts = {**self._parts, **changed}
            self._whole, self._changes = b"", _encode(changed) if changed else b""
            self.number += 1
            self._lot.unpark_all()


def _encode(parts: Mapping[str, str]) -> bytes:
    return b"event: parts\ndata: %s\n\n" % written(dict(parts))


class Viewer:
    """One who looks at a board, and what is new to this one."""

    def __init__(self, board: Board, seen: int) -> None:
        self._board, self._seen = board, seen
        self._first = True
        # What is there may be newer than what this one has.
        self._has = board.number - (board.number > 0)

    async def news(self) -> bytes:
        """The next change as a server-sent event: at first the whole, if that is newer.

        Empty if there is nothing new to this one, or if the board is over.
        """
        board = self._board
        await board.after(self._has)
        had, self._has = self._has, board.number
        if not self._first:
            return board.changes_since(had)
        if board.over or board.position < self._seen:
            return b""
        self._first = False
        return board.whole


class Boards:
    """All boards that somebody looks at. Without any, nothing runs."""

    def __init__(
        self, log: EventLog, stopping: trio.Event, clock: Callable[[], float] = process_time
    ) -> None:
        self.log = log
        self.clock = clock
        self.share = Share()
        self._stopping = stopping
        self._boards: dict[Hashable, Board] = {}
        self._watching: trio.CancelScope | None = None
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Draw while others look, until cancelled. When the gateway stops, all boards are over."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await self._stopping.wait()
            self._nursery.cancel_scope.cancel()
        for board in self._boards.values():
            board.end()
        self._nursery = None

    @contextmanager
    def looking(
        self, key: Hashable, draw: Draw, concerns: Concerns, pulse: float
    ) -> Iterator[Board]:
        """The board of that key, made for the first who looks and given up by the last.

        It is drawn in the name of the first: the key says all that a drawing depends on.
        """
        board = self._boards.get(key)
        if board is None or board.over:
            board = self._boards[key] = Board(draw, concerns, pulse, self)
            self._begin(board)
        board.viewers += 1
        try:
            yield board
        finally:
            board.viewers -= 1
            if not board.viewers:
                board.scope.cancel()
                if self._boards.get(key) is board:
                    del self._boards[key]
                if not self._boards and self._watching is not None:
                    self._watching.cancel()
                    self._watching = None

    def _begin(self, board: Board) -> None:
        if self._nursery is None:
            board.end()
            return
        if self._watching is None:
            self._watching = trio.CancelScope()
            self._nursery.start_soon(self._watch, self._watching, self.log.last)
        self._nursery.start_soon(self._run, board)

    async def _run(self, board: Board) -> None:
        """A fault in one board ends that one alone; who looks at it comes back to another."""
        with board.scope:
            try:
                await board.run()
            except Exception:
                log.exception("live page crashed")
                board.end()

    async def _watch(self, scope: trio.CancelScope, position: int) -> None:
        with scope:
            while True:
                try:
                    await self._follow(position)
                except DevgateError:  # so far behind that the database is asked, and it is away
                    await trio.sleep(CALM)
                    position = self.log.last
                    for board in self._boards.values():
                        board.apply_all()

    async def _follow(self, position: int) -> None:
        async with aclosing(self.log.follow(position)) as events:
            async for event in events:
                for board in self._boards.values():
                    board.apply(event)
                if event.n >= self.log.last:
                    await trio.sleep(GATHER)
