"""The current connection of each device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from devgate.model import Imei

if TYPE_CHECKING:
    from devgate.config.device import FlappingSettings

C = TypeVar("C")


class Registry(Generic[C]):
    """At most one current connection per IMEI; the newest wins.

    Nothing here awaits, so under trio every method is atomic.
    """

    def __init__(self) -> None:
        self._current: dict[Imei, C] = {}
        # The dict's own method, because a start calls it four times.
        self.get: Callable[[Imei], C | None] = self._current.get

    def __len__(self) -> int:
        return len(self._current)

    def __iter__(self) -> Iterator[Imei]:
        return iter(self._current)

    def take_over(self, imei: Imei, connection: C) -> C | None:
        """Make `connection` current. Returns the one it displaced, for the caller to abort."""
        displaced = self._current.get(imei)
        self._current[imei] = connection
        return None if displaced is connection else displaced

    def release(self, imei: Imei, connection: C) -> bool:
        """Remove `connection`. True if the device is offline now: it is not if another connection
        has displaced this one."""
        if self._current.get(imei) is not connection:
            return False
        del self._current[imei]
        return True


class Flapping:
    """Devices whose takeovers repeat: two of them may share one IMEI.

    Holds only devices that were taken over within the last `within` seconds.
    """

    def __init__(self, takeovers: int, within: float, starts: str = "refuse") -> None:
        self.takeovers = takeovers
        self.within = within
        self.starts = starts  # meanwhile: "refuse" or "send" them
        self.times: dict[Imei, deque[float]] = {}  # of their last takeovers

    def apply(self, settings: FlappingSettings) -> None:
        """Judge by these settings from now on; takeovers that were counted stay counted."""
        self.takeovers = settings.takeovers
        self.within = settings.within
        self.starts = settings.starts

    def taken_over(self, imei: Imei, now: float) -> bool:
        """Count one takeover. True if the device flaps from now on: once for each burst."""
        self._forget(now)
        times = self.times.pop(imei, None) or deque()
        while times and times[0] <= now - self.within:
            times.popleft()
        times.append(now)
        self.times[imei] = times  # to the end: the dict is in the order of the last takeover
        if len(times) > self.takeovers:
            times.popleft()  # already reported; only the last `takeovers` times are needed
            return False
        return len(times) == self.takeovers

    def flaps(self, imei: Imei, now: float) -> bool:
        """Whether takeovers of this device repeat at the moment."""
        times = self.times.get(imei)
        if times is None or len(times) < self.takeovers:
            return False
        return times[-self.takeovers] > now - self.within

    def _forget(self, now: float) -> None:
        while self.times:
            imei = next(iter(self.times))
            if self.times[imei][-1] > now - self.within:
                return
            del self.times[imei]
