"""Limits the rate of posts to one target, and slows down when it fails. No I/O."""

from __future__ import annotations

import math
import random

FIRST_SECONDS = 0.5  # seconds until the second try, doubled with every further one ...
MAX_SECONDS = 300.0  # ... up to this: so a receiver that is back gets its events within this time
MAX_PARALLEL = 8  # deliveries at once, each of another device
# Deliveries a second: a receiver that comes back after a day must not be overloaded, and the
# gateway needs its time for devices: one delivery costs about half a millisecond.
MAX_RATE = 200.0
BURST_DELIVERIES = 20  # deliveries that may follow one another without a pause
# After this many failures in a row the receiver is at fault, not the events.
RECEIVER_FAILURES = 5


def delay(failures: int, dice: random.Random) -> float:
    """Seconds to wait after this many failures, randomised so that retries do not coincide."""
    longest = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 30))
    return longest * dice.uniform(0.5, 1.0)


class Backoff:
    """The limits of the target as a whole. Times are seconds of one clock."""

    def __init__(self, dice: random.Random, failures: int = 0, rests_until: float = 0.0) -> None:
        self.failures = failures  # in a row
        self.rests_until = rests_until
        self.limit = 1  # deliveries at once: one more with each that was taken
        self.under_way = 0
        self._dice = dice
        self._slot = -math.inf  # when the next delivery is due at MAX_RATE
        self._failed_at = -math.inf
        self._ill = 0  # of the failures in a row, the latest that were the receiver's fault

    def next_time(self, now: float) -> float:
        """When a delivery may begin: `now`, later, or infinity until another one has ended."""
        if self.under_way >= self.limit:
            return math.inf
        return max(now, self.rests_until, self._slot)

    def begins(self, now: float) -> None:
        """A delivery begins at `now`."""
        self.under_way += 1
        self._slot = max(self._slot, now - BURST_DELIVERIES / MAX_RATE) + 1 / MAX_RATE

    def ends(self) -> None:
        """A delivery has ended, with or without success."""
        self.under_way -= 1

    def succeeds(self) -> bool:
        """Note a success. True if it ended a series of failures that were the receiver's fault."""
        was_ill = self.failures >= RECEIVER_FAILURES
        self.failures = self._ill = 0
        self.limit = min(self.limit + 1, MAX_PARALLEL)
        return was_ill

    def pause_after(self, failures: int) -> float:
        """Seconds to wait with an event after this many failures of it."""
        return delay(failures, self._dice)

    def failed(self, began: float, now: float, *, ill: bool, wait: float) -> None:
        """Slow down. `ill`: it was the receiver's fault; `wait`: seconds that it asked for."""
        self.limit = max(1, self.limit // 2)
        if began >= self._failed_at:  # concurrent failures count as one
            self.failures += 1
            self._ill = self._ill + 1 if ill else 0
            self._failed_at = now
        if self._ill > 1 or (wait and ill):  # a single broken connection does not count
            pause = max(wait, delay(self._ill - 1, self._dice))
        elif self.failures >= RECEIVER_FAILURES:
            pause = delay(self.failures - RECEIVER_FAILURES + 1, self._dice)
        else:
            return
        self.rests_until = max(self.rests_until, now + pause)
