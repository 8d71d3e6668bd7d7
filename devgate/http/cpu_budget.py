"""Limits the share of a core for work that can wait."""

from __future__ import annotations

import math

# All drawings that can wait take one part in this many of a core together. That is a few
# hundredths of what the frames of ten thousand devices take. To send them to twenty viewers takes
# as much again.
DRAWINGS_SHARE = 1000
# Glances, which are cheap (a row of a list, two numbers), take one part in this many.
GLANCES_SHARE = 50
MAX_PAUSE_SECONDS = 300.0  # the longest pause after a drawing


def pause_seconds(spent: float, share: int = DRAWINGS_SHARE) -> float:
    """How long to pause after `spent` seconds of the processor."""
    return min(share * spent, MAX_PAUSE_SECONDS)


class CpuShare:
    """Gives turns to drawings that can wait, so that all of them together take one part in `share`
    of a core."""

    def __init__(self, share: int = DRAWINGS_SHARE) -> None:
        self._share = share
        self._free_at = -math.inf

    def turn(self, now: float, expected: float) -> float:
        """When a drawing that takes `expected` seconds of the processor may begin."""
        begin = max(now, self._free_at)
        self._free_at = begin + pause_seconds(expected, self._share)
        return begin

    def measured(self, expected: float, spent: float) -> None:
        """It took `spent` seconds of the processor instead."""
        self._free_at += pause_seconds(spent, self._share) - pause_seconds(expected, self._share)
