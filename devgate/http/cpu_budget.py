"""How much of a core may be spent on what can wait."""

from __future__ import annotations

import math

# Drawings that can wait take no more than this part of a core, all together: of what the frames
# of ten thousand devices take, that is a few hundredths. To send them takes as much again where
# twenty look.
SHARE = 1000
LONGEST = 300.0  # seconds that a drawing is rested from, at most


def rest(spent: float) -> float:
    """Seconds until as much may be spent again."""
    return min(SHARE * spent, LONGEST)


class Share:
    """Turns of drawings that can wait, so that all of them together leave a core alone."""

    def __init__(self) -> None:
        self._free = -math.inf

    def turn(self, now: float, expected: float) -> float:
        """When a drawing that takes so long may begin."""
        begin = max(now, self._free)
        self._free = begin + rest(expected)
        return begin

    def measured(self, expected: float, spent: float) -> None:
        """It took `spent` seconds of the processor instead."""
        self._free += rest(spent) - rest(expected)
