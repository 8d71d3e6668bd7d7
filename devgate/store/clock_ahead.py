"""The difference of the database's clock to this machine's: nodes compare times by it."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from devgate.store.nodes import boottime

RIGHT_SECONDS = 1.0  # a clock that is not further from the database's counts as right
CLOSE_SECONDS = 0.1  # a trip that took less says enough of the clock
STEP_SECONDS = 0.05  # by which two clocks may differ in a trip, or one of them was set meanwhile


class ClockAhead:
    """Measured by each trip that asks for the database's time."""

    def __init__(
        self, wall: Callable[[], float] = time, steady: Callable[[], float] = boottime
    ) -> None:
        """`wall` is the clock that rows have their times of, which may be set, and which may stand
        off the machine's own (gateway/clock.py); `steady` is one that never is."""
        self.seconds = 0.0  # the database's clock is ahead of `wall`
        self._wall, self._steady = wall, steady
        self._asked = self._began = 0.0
        self._way = CLOSE_SECONDS  # seconds to the database and back, at the most

    @property
    def wrong(self) -> float:
        """`seconds`, or 0 where `wall` is right: its times go to the database as they are then."""
        return self.seconds if abs(self.seconds) > RIGHT_SECONDS else 0.0

    def ask(self) -> None:
        """The question goes out."""
        self._asked, self._began = self._wall(), self._steady()

    def answered(self, now: float) -> None:
        """The answer is here: the database's time."""
        took = self._steady() - self._began
        if abs(self._wall() - self._asked - took) > STEP_SECONDS:
            return  # this machine's clock was set meanwhile
        # What was asked with it takes its time, too: the quickest trip says how long the way is.
        self._way = min(self._way * 1.01, took)
        ahead = now - self._asked - self._way / 2
        # A slow one is right within what it took. A clock that was set by more is known by it.
        if took < CLOSE_SECONDS or abs(ahead - self.seconds) > took:
            self.seconds = ahead
