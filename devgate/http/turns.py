"""How much of one turn of the loop HTTP may have.

Devices, callers and HTTP share one loop. A peer of HTTP can send more in a moment than is worked
off in a second: 64 KiB of small frames of HTTP/2 take 100 ms, and 300 peers have as much ready.
So input is taken in small pieces, and only one piece is worked off between two looks at the
devices, whoever it is from.
"""

from __future__ import annotations

import trio


class Turns:
    """One piece for each turn of the loop. Whoever waits longest is next."""

    def __init__(self) -> None:
        self._lock = trio.Lock()
        self.taken = 0

    async def take(self) -> None:
        """Wait for a turn. What the caller does until it awaits again is its piece."""
        # The lock passes from one waiting task to the next, and a task that gets it runs in the
        # next turn of the loop, not in this one.
        async with self._lock:
            self.taken += 1
