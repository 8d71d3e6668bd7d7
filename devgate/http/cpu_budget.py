"""Limits the share of a core for work that can wait."""

from __future__ import annotations

import math

# Drawings that can wait take no more than this part of a core, all together: of what the frames
# of ten thousand devices take, that is a few hundredths. To send them takes as much again where
# twenty look.
SHARE = 1000
# ... and what costs next to nothing (a row of a list, two numbers) no more than that one.
GLANCES = 50
LONGEST = 300.0  # seconds that a drawing is rested from, at most


def rest(spent: float, share: int = SHARE) -> float:
    """Seconds until as much may be spent again."""
    return min(share * spent, LONGEST)


class Share:
    """Turns of drawings that can wait, so that all of them together leave a core alone: they take
    one part in `share` of it."""

    def __init__(self, share: int = SHARE) -> None:
        self._share = share
        self._free = -math.inf

    def turn(self, now: float, expected: float) -> float:
        """When a drawing that takes so long may begin."""
        begin = max(now, self._free)
        self._free = begin + rest(expected, self._share)
        return begin

    def measured(self, expected: float, spent: float) -> None:
        """It took `spent` seconds of the processor instead."""
        self._free += rest(spent, self._share) - rest(expected, self._share)
