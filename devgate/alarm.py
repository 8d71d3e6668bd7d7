"""One task that waits for the earliest of many deadlines."""

from __future__ import annotations

import math

import trio


class Alarm:
    """Wakes the task that waits, at the earliest deadline.

    If deadlines are set often, compare with `at` before you call advance().
    """

    def __init__(self) -> None:
        # When the task wakes, by trio's clock. Minus infinity while it is awake: it computes the
        # next deadline by itself before it waits again.
        self.at = -math.inf
        self._nap = trio.CancelScope()

    def advance(self, at: float = -math.inf) -> None:
        """Wake the task at that time at the latest. Without an argument: at once."""
        if at < self.at:
            self.at = self._nap.deadline = at

    async def wait(self, until: float) -> float:
        """Sleep until then, or until an earlier time that is set meanwhile. Returns that time."""
        self.at = until
        with trio.CancelScope(deadline=until) as self._nap:
            await trio.sleep_forever()
        at, self.at = self.at, -math.inf
        return at
