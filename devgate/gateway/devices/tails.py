"""When a tail has waited long enough."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

C = TypeVar("C")


class Tails(Generic[C]):
    """Connections whose last bytes may still become a frame, longest wait first.

    All wait equally long, so the order of the last bytes is the order of the
    deadlines: a dict is queue enough, and moving to its end costs the same for
    one connection as for ten thousand. It is an OrderedDict, of which the first can be
    taken away at the same cost: of 30,000 in a plain one this took half a second.
    """

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self._since: OrderedDict[C, float] = OrderedDict()

    def waits(self, connection: C, now: float) -> None:
        """Its tail waits from now on (trio's clock), behind all others."""
        self._since.pop(connection, None)
        self._since[connection] = now

    def since(self) -> Mapping[C, float]:
        """Those that wait, and since when."""
        return self._since

    def __contains__(self, connection: C) -> bool:
        return connection in self._since

    def __len__(self) -> int:
        return len(self._since)

    def done(self, connection: C) -> None:
        """Its tail waits no more; if it did not, nothing happens."""
        self._since.pop(connection, None)

    def next_deadline(self) -> float:
        """When the first of them is due, on the clock of `now`; infinity if none waits."""
        return next((t + self.wait for t in self._since.values()), math.inf)

    def due(self, now: float) -> Iterator[C]:
        """Take those that have waited long enough, one after the other."""
        while self.next_deadline() <= now:
            connection, _ = self._since.popitem(last=False)
            yield connection
