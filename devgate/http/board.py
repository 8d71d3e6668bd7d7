"""A board: one picture in parts, drawn again when it is due, and its viewers.

The first few changes that concern this board alone are shown at once, all others later. What is
cheap to draw (a row of a list, a number in memory) is shown within a second: that is a glance.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import NamedTuple

import trio

from devgate.events.kinds import Event
from devgate.events.log import EventLog
from devgate.http.cpu_budget import CpuShare, pause_seconds
from devgate.http.problems import written

GAP_SECONDS = 0.5  # seconds at least from one drawing of a board to the next
# Drawings at once within these seconds: a start makes four events.
MAX_QUICK, QUICK_SECONDS = 6, 30.0
LATER_SECONDS = 10.0  # seconds between two drawings of what can wait


class Concern(Enum):
    """What an event is to a board."""

    NONE = 0
    LATER = 1  # the board is drawn again when it has its turn
    AT_ONCE = 2
    ROW = 3  # one of its rows is drawn again within a second, and the board when it has its turn


# Draws all parts (True), or only the cheap ones and the rows that events concerned (False). Such a
# row is a part named PART/ROW. None: the board cannot be drawn now.
Draw = Callable[[bool], Awaitable[Mapping[str, str] | None]]
Concerns = Callable[[Event], Concern]


class Hub(NamedTuple):
    """What all boards work with."""

    log: EventLog
    clock: Callable[[], float]  # seconds of the processor that were used
    share: CpuShare
    glances: CpuShare


class Board:
    """One picture in parts."""

    def __init__(self, draw: Draw, concerns: Concerns, pulse: float, hub: Hub) -> None:
        self.viewers = 0
        self.over = False  # it will not be drawn again
        self.number = 0  # of the newest drawing
        self.position = -1  # the newest event that it knows of
        self.scope = trio.CancelScope()
        self._draw, self._concerns, self._pulse, self._hub = draw, concerns, pulse, hub
        self._parts: Mapping[str, str] = {}
        self._changes = self._whole = b""
        self._unsure = False  # a viewer has a picture that may differ from ours
        self._last = -math.inf  # when it was drawn
        self._quick: deque[float] = deque(maxlen=MAX_QUICK)  # when it was drawn at once
        self._at_once, self._later = math.inf, math.inf  # when it is due, for either reason
        self._glance, self._glanced = math.inf, -math.inf  # when one is due, and the last was
        self._reserved: float | None = None  # seconds of the processor, for the next glance
        self._sleeping = trio.CancelScope()
        self._cost = self._cost_of_glance = 0.0  # seconds of the processor, the last time
        self._waiting = trio.lowlevel.ParkingLot()

    def join(self, seen: int) -> Viewer:
        """A viewer whose picture shows all events up to `seen`, and perhaps later ones."""
        if not self.number and self._hub.log.last > seen:
            self._be_due(at_once=self._soonest())  # apply() gets the events after these
        self._unsure = self._unsure or self.position < seen or not self.number
        return Viewer(self, seen)

    async def after(self, number: int) -> None:
        """Wait until there is a newer drawing than this one, or the board is over."""
        while self.number == number and not self.over:
            await self._waiting.park()

    def changes_since(self, number: int) -> bytes:
        """What changed since that drawing, as a server-sent event; empty if nothing changed."""
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
        elif concern is not Concern.NONE:
            self._be_due(later=self._last + LATER_SECONDS)
            if concern is Concern.ROW:
                self.glance()

    def glance(self) -> None:
        """Draw the cheap parts soon."""
        if self._reserved is None:
            self._reserved = self._cost_of_glance
            self._be_due(glance=self._hub.glances.turn(trio.current_time(), self._reserved))

    def apply_all(self) -> None:
        """Events may have been missed: the board is drawn again when it has its turn."""
        self._be_due(later=self._last + LATER_SECONDS)

    def end(self) -> None:
        """End the streams of all viewers."""
        self.over = True
        self._waiting.unpark_all()

    async def run(self) -> None:
        """Draw when it is due, until cancelled."""
        self._later = trio.current_time() + self._pulse
        while True:
            expected = await self._turn()
            spent = self._hub.clock()
            await self._paint()
            self._cost = self._hub.clock() - spent
            if expected is not None:
                self._hub.share.measured(expected, self._cost)

    def _soonest(self) -> float:
        full = len(self._quick) == MAX_QUICK
        return max(self._last + GAP_SECONDS, self._quick[0] + QUICK_SECONDS if full else -math.inf)

    def _be_due(
        self, at_once: float = math.inf, later: float = math.inf, glance: float = math.inf
    ) -> None:
        self._at_once = min(self._at_once, at_once)
        self._glance = min(self._glance, glance)
        if later < self._later:
            self._later = later
            self._sleeping.deadline = min(self._sleeping.deadline, later)
        self._sleeping.deadline = min(self._sleeping.deadline, at_once, glance)

    async def _turn(self) -> float | None:
        """Wait until the board is to be drawn. Returns the expected seconds of the processor if
        the drawing had a turn of the budget, and None if it is drawn at once."""
        while (due := min(self._at_once, self._later)) > trio.current_time():
            await self._wait(due)
        expected = None
        if self._at_once > (now := trio.current_time()):
            expected = self._cost
            self._later = -math.inf  # it has its turn: no other event has to ask for one
            turn = self._hub.share.turn(now, expected)
            # The drawing before may have been one at once, which the budget does not know of.
            turn = max(turn, self._last + pause_seconds(expected))
            while (until := min(self._at_once, turn)) > now:
                self._be_due(glance=max(now, max(self._last, self._glanced) + LATER_SECONDS))
                await self._wait(until)
                now = trio.current_time()
        if self._at_once <= (now := trio.current_time()):
            self._quick.append(now)
        return expected

    async def _wait(self, until: float) -> None:
        """Wait until then, or until a glance is due, which is drawn here."""
        with trio.CancelScope(deadline=min(until, self._glance)) as self._sleeping:
            await trio.sleep_forever()
        if self._glance > trio.current_time():
            return
        self._glance, self._glanced = math.inf, trio.current_time()
        expected, self._reserved = self._reserved or 0.0, None
        spent = self._hub.clock()
        if parts := await self._draw(False):
            self._show(parts)
        self._cost_of_glance = self._hub.clock() - spent
        self._hub.glances.measured(expected, self._cost_of_glance)

    async def _paint(self) -> None:
        self._last = trio.current_time()
        self._at_once, self._later = math.inf, self._last + self._pulse
        position = self._hub.log.last
        if (parts := await self._draw(True)) is not None:
            self.position = position
            # Rows that were drawn by themselves may differ from these parts: all are sent.
            if self._parts.keys() - parts.keys():
                self._parts = {}
            self._show(parts, self._unsure)
            self._unsure = False

    def _show(self, parts: Mapping[str, str], anyway: bool = False) -> None:
        """Give viewers the parts that changed. Parts that are not among these stay."""
        changed = {name: part for name, part in parts.items() if self._parts.get(name) != part}
        if changed or anyway:
            self._parts = {**self._parts, **changed}
            self._whole, self._changes = b"", _encode(changed) if changed else b""
            self.number += 1
            self._waiting.unpark_all()


def _encode(parts: Mapping[str, str]) -> bytes:
    return b"event: parts\ndata: %s\n\n" % written(dict(parts))


class Viewer:
    """A viewer of a board, and what is new to this one."""

    def __init__(self, board: Board, seen: int) -> None:
        self._board, self._seen = board, seen
        self._first = True
        # The newest drawing may be newer than the picture that this one has.
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
