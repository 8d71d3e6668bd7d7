"""The rows of devices' days, from what the store has of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import NamedTuple

from devgate.gateway.reports.days import bounds, day_of, online_seconds, row, zones_of
from devgate.store import usage as stored
from devgate.store.history import Reading
from devgate.store.usage import Day, Machine

# A day is counted this long after its end: then its last rows are on disk.
GRACE_SECONDS = 90.0


class Look(NamedTuple):
    """The times and zones that one turn of counting uses."""

    now: float
    default: str  # the zone of sites without their own
    zones: Mapping[str, str]  # of sites that have one
    oldest: float  # the time of the oldest command or event
    first: float  # of days that began before this time some commands may be gone
    floor: float  # of days that ended before this time the commands may be gone

    def zone_of(self, site: str) -> str:
        """The name of a site's zone."""
        return self.zones.get(site, self.default)


class Wanted(NamedTuple):
    """A device's day that is to be counted."""

    machine: Machine
    day: int
    zone: str


def the_zone(name: str) -> tzinfo:
    """The zone of that name, as `zones_of` has it."""
    return zones_of((name,))[name]


def anything(conn: Reading, day: int, look: Look) -> bool:
    """Whether there may be something to count of this day, in any zone."""
    begins, ends = zip(
        *(bounds(day, the_zone(name)) for name in {look.default, *look.zones.values()}),
        strict=True,
    )
    over = look.now >= min(ends) + GRACE_SECONDS
    return stored.anything(conn, day, min(begins), max(ends), presence=over)


def count(
    conn: Reading, wanted: Iterable[Wanted], look: Look, *, presence: bool = False
) -> Iterator[Day]:
    """The rows of these days. With `presence`, also how long the devices were online, of days that
    are over."""
    groups: dict[tuple[int, str], list[Machine]] = {}
    for one in wanted:
        groups.setdefault((one.day, one.zone), []).append(one.machine)
    for (day, name), machines in groups.items():
        zone = the_zone(name)
        begin, end = bounds(day, zone)
        if end <= look.floor:
            continue
        imeis = [machine.imei for machine in machines]
        starts = stored.starts(conn, imeis, begin, end)
        known = stored.known(conn, day, imeis)
        over = look.now >= end + GRACE_SECONDS
        online = stored.presences(conn, imeis, begin, end) if presence and over else {}
        for machine in machines:
            before = known.get(machine.imei)
            there = None
            if machine.imei in online and machine.enabled:
                there = online_seconds(machine, online[machine.imei], begin, end)
            # A day that is over belongs to the site where the machine stood.
            past = day < day_of(look.now, zone) or not machine.site
            site = before.site if before is not None and past else machine.site
            found = row(machine, day, site, starts.get(machine.imei, ()), there)
            if before is None and not found.starts and there is None:
                continue
            if before is not None and found.starts < before.starts and begin < look.first:
                continue  # commands of that day have been deleted
            yield found
