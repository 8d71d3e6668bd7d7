"""One task that waits for the earliest of many deadlines."""

from __future__ import annotations

import math

import trio


class Alarm:
    """Wakes the task that waits, at the earliest deadline.

    If deadlines are set often, compare with `at` before calling advance().
    """

    def __init__(self) -> None:
        # When the task wakes, by trio's clock. Minus infinity while it is awake: it computes the
        # next deadline by itself before it waits again.
        self.at = -math.inf
        self._nap = trio.CancelScope()

    def advance(self, at: float = -math.inf) -> None:
        """Wake the task by that time, if it would sleep longer. Without one, at once."""
        if at < self.at:
            self.at = self._nap.deadline = at

    async def wait(self, until: float) -> float:
        """Sleep until then, or an earlier time that was set meanwhile. Returns that time."""
        self.at = until
        with trio.CancelScope(deadline=until) as self._nap:
            await trio.sleep_forever()
        at, self.at = self.at, -math.inf
        return at
