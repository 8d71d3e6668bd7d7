"""The difference of the database's clock to this machine's: nodes compare times by it."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from devgate.store.nodes import boottime

RIGHT_SECONDS = 1.0  # a clock counts as right if it differs from the database's by at most this
CLOSE_SECONDS = 0.1  # a trip that took less measures the clock well enough
STEP_SECONDS = 0.05  # two clocks that differ by more after a trip: one was set meanwhile


class ClockAhead:
    """Measured by each trip that asks for the database's time."""

    def __init__(
        self, wall: Callable[[], float] = time, steady: Callable[[], float] = boottime
    ) -> None:
        """`wall` is the clock for the times of rows. It may be set, and may differ from the
        machine's own (gateway/clock.py). `steady` is a clock that is never set."""
        self.seconds = 0.0  # by which the database's clock is ahead of `wall`
        self._wall, self._steady = wall, steady
        self._asked = self._began = 0.0
        self._way = CLOSE_SECONDS  # seconds to the database and back, at the most

    @property
    def wrong(self) -> float:
        """`seconds`, or 0 if `wall` is right: then its times are written unchanged."""
        return self.seconds if abs(self.seconds) > RIGHT_SECONDS else 0.0

    def ask(self) -> None:
        """Note that the question is sent now."""
        self._asked, self._began = self._wall(), self._steady()

    def answered(self, now: float) -> None:
        """The answer has come: `now` is the database's time."""
        took = self._steady() - self._began
        if abs(self._wall() - self._asked - took) > STEP_SECONDS:
            return  # this machine's clock was set meanwhile
        # Other statements in the trip take time, too: the quickest trip shows the network's part.
        self._way = min(self._way * 1.01, took)
        ahead = now - self._asked - self._way / 2
        # A slow one is right within what it took. A clock that was set by more is known by it.
        if took < CLOSE_SECONDS or abs(ahead - self.seconds) > took:
            self.seconds = ahead
