"""Events that a target has not taken yet: in order per device, devices side by side. No I/O."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from devgate.events.kinds import Event

# Events held in memory for one target, a few hundred bytes each. All others stay in the
# database until there is room.
MAX_PENDING = 1000
# How many events may be read beyond the oldest that was not taken. A gateway that starts reads at
# most this many again, to find those that were not taken.
MAX_AHEAD = 100_000


class Window:
    """The events between what a target has taken and what was read for it.

    A lane holds the events of one device, the oldest first; only that one may be delivered. A lane
    whose event failed pauses; the others go on. Events without a device share a lane.

    `reached` and `gaps` are those of an earlier window, which this one continues: events that were
    taken then are not delivered again, although some before them were not taken.
    """

    def __init__(self, position: int, reached: int = 0, gaps: Sequence[int] = ()) -> None:
        self.read = position  # the newest event that was looked at
        self.reached = max(position, reached)  # the newest event that was taken
        # Up to this event the earlier window had taken all events, except these gaps.
        self._known = self.reached
        self._gaps = frozenset(gaps)
        self._looked = 0  # events that were looked at
        self._pending: dict[int, Event] = {}  # in the order of their numbers
        self._before: dict[int, int] = {}  # how many were looked at before each of them
        self._lanes: dict[str, deque[Event]] = {}
        self._ready: list[int] = []  # heap: events in front of lanes that may go now
        self._resting: list[tuple[float, int]] = []  # heap: when they may go, the others
        self._tries: dict[int, int] = {}  # failed ones of events in front

    @property
    def position(self) -> int:
        """Every event up to this number was taken, or is none of the target's."""
        return next(iter(self._pending)) - 1 if self._pending else self.read

    @property
    def oldest(self) -> Event | None:
        """The oldest event that was not taken yet; None if all were."""
        return next(iter(self._pending.values()), None)

    @property
    def full(self) -> bool:
        """Whether no more may be read: MAX_PENDING events wait, or MAX_AHEAD events were read
        beyond the oldest."""
        if not self._pending:
            return False
        ahead = self._looked - self._before[next(iter(self._pending))]
        return len(self._pending) >= MAX_PENDING or ahead >= MAX_AHEAD

    @property
    def tries(self) -> int:
        """How often the event with the most failures has failed."""
        return max(self._tries.values(), default=0)

    def __len__(self) -> int:
        return len(self._pending)

    def gaps(self) -> list[int]:
        """The events up to `reached` that were not taken, in order."""
        found = list(takewhile(lambda n: n < self.reached, self._pending))
        if self.read < self._known:
            found += sorted(n for n in self._gaps if n > self.read)
        return found

    def had(self, event: Event) -> bool:
        """True if it was taken before this window."""
        return event.n <= self._known and event.n not in self._gaps

    def lacks(self, number: int) -> int:
        """How many events between the last that was read and this number were never taken."""
        first, last = self.read + 1, number - 1
        gone = sum(first <= n <= last for n in self._gaps)
        return last - max(self.read, min(last, self._known)) + gone

    def skip(self, event: Event) -> None:
        """Note that it was read, and is not for the target."""
        self.read = event.n
        self._looked += 1

    def passes(self, number: int) -> None:
        """Note that no event up to this number is for the target."""
        self.read = max(self.read, number)

    def add(self, event: Event) -> None:
        """Add an event that was read and is to be delivered."""
        self.read = event.n
        self._pending[event.n] = event
        self._before[event.n] = self._looked
        self._looked += 1
        lane = self._lanes.setdefault(event.imei or "", deque())
        lane.append(event)
        if len(lane) == 1:
            heapq.heappush(self._ready, event.n)

    def next_time(self, now: float) -> float:
        """When an event may be delivered: `now`, later, or infinity until something else
        happens."""
        if self._ready:
            return now
        return max(now, self._resting[0][0]) if self._resting else math.inf

    def next(self, now: float) -> Event | None:
        """The oldest event that may be delivered. The caller must call delivered() or failed()."""
        while self._resting and self._resting[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._resting)[1])
        return self._pending[heapq.heappop(self._ready)] if self._ready else None

    def delivered(self, event: Event) -> None:
        """The receiver has taken it; the next event of its lane may be delivered."""
        self.reached = max(self.reached, event.n)
        lane = self._lanes[event.imei or ""]
        lane.popleft()
        del self._pending[event.n], self._before[event.n]
        self._tries.pop(event.n, None)
        if lane:
            heapq.heappush(self._ready, lane[0].n)
        else:
            del self._lanes[event.imei or ""]

    def failed(self, event: Event) -> int:
        """Count a failure. Returns how often this event has failed; call rests() next."""
        self._tries[event.n] = self._tries.get(event.n, 0) + 1
        return self._tries[event.n]

    def rests(self, event: Event, until: float) -> None:
        """Note that it has failed and may be delivered again at `until` (by the clock of
        next())."""
        heapq.heappush(self._resting, (until, event.n))

    def wake(self) -> None:
        """End the pauses of all lanes: the failures were the receiver's."""
        for _, n in self._resting:
            heapq.heappush(self._ready, n)
        self._resting.clear()
