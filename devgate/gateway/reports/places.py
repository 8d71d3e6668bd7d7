"""The places of sites, read once a minute for all who look at the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import trio

from devgate.gateway.storage import Records
from devgate.store.places import SitePlace, places

FRESH_SECONDS = 60.0
READING_SHARE = 0.02  # of the time, that may be spent with reading


@dataclass(slots=True)
class Places:
    """The last look. Those who ask at once wait for one."""

    _found: Sequence[SitePlace] = ()
    _until: float = 0.0
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def found(self, records: Records) -> Sequence[SitePlace]:
        """Raises StoreError."""
        async with self._lock:
            if (began := monotonic()) >= self._until:
                self._found = await records.read(places)
                took = monotonic() - began
                self._until = monotonic() + max(FRESH_SECONDS, took / READING_SHARE)
            return self._found

    def changed(self) -> None:
        """A machine was moved: read the places again when they are asked for."""
        self._until = 0.0
