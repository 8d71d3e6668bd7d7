"""The remembered counts of the last day and month: of the fleet, and of the sites of those who are
limited to some. They are counted when somebody asks, rarely, and once for all who ask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time

import trio

from devgate.gateway.reports.fleet_day import FleetCounts, Tally, count
from devgate.gateway.reports.past import Past
from devgate.gateway.storage import Records

# A count is used for this time, and at least for 20 times as long as counting took: so it takes at
# most a twentieth of a core.
FRESH_SECONDS, FRESH_TIMES = 5.0, 20
# If counting takes at most WAIT_SECONDS, callers wait for it. Otherwise it is done beside the
# service, and callers get the last count, if that is not older than OLD_SECONDS.
WAIT_SECONDS, OLD_SECONDS = 0.05, 600.0
MAX_PARTS = 200  # groups of sites that are remembered

# Runs a task beside the service, whatever it raises; False: that has ended.
Soon = Callable[[Callable[[], Awaitable[None]]], bool]


@dataclass(slots=True)
class Fleet:
    """The last count of the fleet, or of some sites. Of those who ask at once, one counts and the
    others wait for it."""

    sites: frozenset[str] | None = None  # None: all of them
    _counted: FleetCounts | None = None
    _until: float = 0.0  # it is fresh
    _took: float = 0.0  # seconds
    _refreshed: bool = True  # nothing counts beside the service
    last: Mapping[str, object] | None = None  # the last reply of `fleet`
    past: Past = field(init=False)
    _tally: Tally = field(init=False)
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _parts_lock: trio.Lock = field(default_factory=trio.Lock)  # of all `_parts`
    _parts: OrderedDict[frozenset[str], Fleet] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.past, self._tally = Past(self.sites), Tally(self.sites)

    def of(self, sites: frozenset[str] | None) -> Fleet:
        """The counts of these sites, which all callers with the same sites share. Of all such
        groups of sites, one is counted at a time."""
        if sites is None:
            return self
        if (part := self._parts.pop(sites, None)) is None:
            part = Fleet(sites, _lock=self._parts_lock)
        self._parts[sites] = part
        if len(self._parts) > MAX_PARTS:
            self._parts.popitem(last=False)
        return part

    async def counted(self, records: Records, soon: Soon) -> FleetCounts:
        """The counts of the last day, at most FRESH_SECONDS old where counting is quick.

        Those who ask at once wait for one count. Where it takes long, it is left to `soon`, and
        the last one is returned. Raises StoreError.
        """
        late = monotonic() - self._until
        if self._counted is not None and self._took > WAIT_SECONDS and late < OLD_SECONDS:
            if late >= 0 and self._refreshed:
                self._refreshed = not soon(partial(self._refresh, records))
            return self._counted
        return await self._count(records)

    async def _count(self, records: Records) -> FleetCounts:
        async with self._lock:
            if self._counted is None or monotonic() >= self._until:
                began = monotonic()
                self._counted = await records.read(count, time(), self._tally)
                ended = monotonic()
                self._took = ended - began
                self._until = ended + max(FRESH_SECONDS, FRESH_TIMES * self._took)
            return self._counted

    async def _refresh(self, records: Records) -> None:
        try:
            await self._count(records)
        finally:
            self._refreshed = True
