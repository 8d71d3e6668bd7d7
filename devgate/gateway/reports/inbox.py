"""How many outcomes are unknown and unresolved: counted seldom, for all who look at a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

import trio

from devgate.gateway.storage import Records
from devgate.store import inbox

FRESH_SECONDS = 1.0  # seconds that a count holds ...
FRESH_TIMES = 20  # ... and this many times as long as counting took: at most a twentieth of a core


@dataclass(slots=True)
class Inbox:
    """The last count. Of those who ask at once, one counts and the others wait for it."""

    last: inbox.Counted = inbox.NONE
    _until: float = 0.0
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def count(self, records: Records) -> inbox.Counted:
        """Up to `inbox.MOST`; the last count while the database is known to be away, so that
        no page waits for that. Raises StoreError."""
        async with self._lock:
            away = records.state != "ok" or records.stuck
            if monotonic() >= self._until and not away:
                began = monotonic()
                self.last = await records.read(inbox.count, inbox.Looked())
                ended = monotonic()
                self._until = ended + max(FRESH_SECONDS, FRESH_TIMES * (ended - began))
            return self.last

    def changed(self) -> None:
        """Somebody has resolved some: the next one who looks counts anew."""
        self._until = 0.0
