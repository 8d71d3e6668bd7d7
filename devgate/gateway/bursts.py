"""Events that repeat: the first of a minute are reported one by one, the others as a count."""

from __future__ import annotations

from collections.abc import Iterator

from devgate.model import Imei

MAX_REPORTED = 10  # events of one kind and device in a window that are reported one by one
WINDOW_SECONDS = 60.0
# Devices that are counted at once. With more, those with the fewest events are forgotten: so a
# storm of a million registrations takes no memory here.
MAX_DEVICES = 65_536


class BurstCounter:
    """Counts events of one kind by device, from the beginning of a window to its end."""

    def __init__(self) -> None:
        self._counts: dict[Imei, int] = {}

    def count(self, imei: Imei) -> int:
        """Count one more. Returns how many the device has in this window. Each up to MAX_REPORTED
        gets an event, and the one after that gets an event with a count."""
        counts = self._counts
        count = counts[imei] = counts.get(imei, 0) + 1
        if len(counts) > MAX_DEVICES:
            min_count = MAX_REPORTED // 2
            self._counts = {imei: count for imei, count in counts.items() if count > min_count}
            if len(self._counts) > MAX_DEVICES // 2:
                self._counts.clear()
        return count

    def over(self) -> Iterator[tuple[Imei, int]]:
        """End the window. Yields each device with how many of its events were not reported."""
        counts, self._counts = self._counts, {}
        for imei, count in counts.items():
            if count > MAX_REPORTED + 1:
                yield imei, count - MAX_REPORTED - 1


class Window:
    """Windows of `seconds`, one after the other."""

    def __init__(self, seconds: float = WINDOW_SECONDS) -> None:
        self._seconds = seconds
        self._ends: float | None = None

    def over(self, now: float) -> bool:
        """True once at the end of each window."""
        if self._ends is None:
            self._ends = now + self._seconds
        if now < self._ends:
            return False
        self._ends = now + self._seconds
        return True
