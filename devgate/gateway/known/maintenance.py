"""Machines and sites in maintenance, in memory: a start does not wait for the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nsmallest

from devgate.gateway.clock import time
from devgate.model import Imei
from devgate.store.maintenance import SITE, MaintenanceEntry


class Maintenance:
    """Machines and whole sites. A site's entry holds for every machine that stands there at the
    moment of a start, so also for one that came later."""

    def __init__(self, site_of: Callable[[Imei], str | None]) -> None:
        """`site_of`: where a machine stands; None if it is not known."""
        self.empty = True  # usually: then a start needs no other check
        self._site_of = site_of
        self._machines: dict[str, MaintenanceEntry] = {}
        self._sites: dict[str, MaintenanceEntry] = {}
        self._first_end: float | None = None  # no entry ends by itself before that

    def __len__(self) -> int:
        """How many entries there are; some may be over by now."""
        return len(self._machines) + len(self._sites)

    def of(self, imei: Imei, site: str | None = None) -> MaintenanceEntry | None:
        """Why customers may not start this machine: its own entry, or its site's. `site`: where it
        stands, if the caller knows that."""
        if self.empty:
            return None
        now = time()
        entry = self._machines.get(imei)
        if entry is not None and not entry.over(now):
            return entry
        if site is None and self._sites:
            site = self._site_of(imei)
        if site:
            entry = self._sites.get(site)
            if entry is not None and not entry.over(now):
                return entry
        return None

    def first(self, count: int) -> list[MaintenanceEntry]:
        """The first `count` entries: sites by name, then machines by IMEI."""
        sites = nsmallest(count, self._sites.values())
        return [*sites, *nsmallest(count - len(sites), self._machines.values())]

    def apply(self, entries: Iterable[MaintenanceEntry]) -> None:
        """Put these entries in force: those that were written since the last look."""
        for entry in entries:
            among = self._sites if entry.kind == SITE else self._machines
            if entry.ended:
                among.pop(entry.name, None)
                continue
            among[entry.name] = entry
            if entry.until is not None and (
                self._first_end is None or entry.until < self._first_end
            ):
                self._first_end = entry.until
        self.empty = not self._machines and not self._sites

    def due(self) -> bool:
        """Whether an entry may have ended by itself since it was last asked."""
        if self._first_end is None or self._first_end > (now := time()):
            return False
        entries = (*self._machines.values(), *self._sites.values())
        later = [one.until for one in entries if one.until is not None and one.until > now]
        self._first_end = min(later, default=None)
        return True
