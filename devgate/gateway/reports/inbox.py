"""The number of unknown and unresolved outcomes: counted rarely, shared by all pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

import trio

from devgate.gateway.storage import Records
from devgate.store import inbox

# A count is used for this time, and at least for 20 times as long as counting took: so it takes at
# most a twentieth of a core.
FRESH_SECONDS, FRESH_TIMES = 1.0, 20
MAX_GROUPS = 1000  # groups of sites whose counts are remembered


@dataclass(slots=True)
class Inbox:
    """The last count. Of those who ask at once, one counts and the others wait for it."""

    last: inbox.InboxCount = inbox.NONE
    _until: float = 0.0
    _of_sites: dict[frozenset[str], tuple[float, inbox.InboxCount]] = field(default_factory=dict)
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def count(
        self, records: Records, sites: frozenset[str] | None = None
    ) -> inbox.InboxCount:
        """Up to `inbox.MAX_COUNT`, or of these sites; the last count while the database is known
        to be away, so that no page waits for that. Raises StoreError."""
        async with self._lock:
            if sites is not None:
                return await self._count_of(records, sites)
            away = records.state != "ok" or records.stuck
            if monotonic() >= self._until and not away:
                began = monotonic()
                self.last = await records.read(inbox.count, inbox.InboxFilter())
                ended = monotonic()
                self._until = ended + max(FRESH_SECONDS, FRESH_TIMES * (ended - began))
            return self.last

    async def _count_of(self, records: Records, sites: frozenset[str]) -> inbox.InboxCount:
        until, last = self._of_sites.get(sites, (0.0, inbox.NONE))
        if monotonic() >= until and records.state == "ok" and not records.stuck:
            began = monotonic()
            last = await records.read(inbox.count, inbox.InboxFilter(sites=sites))
            ended = monotonic()
            if len(self._of_sites) >= MAX_GROUPS:
                self._of_sites.clear()
            until = ended + max(FRESH_SECONDS, FRESH_TIMES * (ended - began))
            self._of_sites[sites] = (until, last)
        return last

    def changed(self) -> None:
        """Somebody has resolved some: the next one who looks counts again."""
        self._until = 0.0
        self._of_sites.clear()
