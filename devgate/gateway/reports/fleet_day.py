"""The fleet over the last day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from devgate.gateway.reports.past import NAMES, Past, counts
from devgate.model import Imei, iso
from devgate.store import statistics, unknown
from devgate.store.absence import Absence, absence
from devgate.store.history import Reading
from devgate.store.statistics import Dark, Odd

DAY = 86400
BUCKET_SECONDS = 300  # a power cut of some minutes can be seen, and a day has 288
HOUR = 3600

# A site went dark when at least MIN_LOST of its devices, and MIN_LOST_PART of them, were lost
# within some minutes. A cut is noticed at different times: heartbeats are a minute apart.
MIN_LOST, MIN_LOST_PART, TOGETHER_SECONDS = 3, 0.3, 300.0
MAX_DARK, MAX_ODD, MAX_LOST = 12, 30, 2000


class FleetCounts(NamedTuple):
    """The counts of the last day."""

    since: int  # the first hour of the chart begins then
    presence: list[tuple[int, int]]
    outcomes: list[tuple[int, str, str, int]]
    sites: dict[str, int]
    outages: list[tuple[Dark, Sequence[str]]]
    odd: list[Odd]
    strangers: int  # unknown devices that tried to register, and nobody has dismissed
    absence: Absence


@dataclass(slots=True)
class Tally:
    """The sums of the events of the last day. Each event is read once.

    With `sites`, here and below, only events about devices at these sites count.
    """

    sites: Collection[str] | None = None
    newest: int = 0  # the last event that is in it
    since: int = 0
    presence: dict[int, int] = field(default_factory=dict)  # by bucket since 1970
    dark: dict[tuple[str, int], Dark] = field(default_factory=dict)  # by site and minute
    # By device, type and hour since 1970: how often, and when the last time.
    odd: dict[tuple[str, str, int], tuple[int, float]] = field(default_factory=dict)

    def add(self, conn: Reading, since: int) -> None:
        """Add the events that are new, and forget those before `since`."""
        some = statistics.some(conn, since, self.newest)
        if some.upto < self.newest:  # the table was emptied
            self.forget()
            some = statistics.some(conn, since, 0)
        # Everything is read before anything is added, or a failing read would leave half of it.
        presence = statistics.changes_of_presence(conn, some, BUCKET_SECONDS, self.sites)
        dark = statistics.dark(conn, some, self.sites)
        odd = statistics.odd(conn, some, HOUR, self.sites)
        self.newest = some.upto
        for number, change in presence:
            self.presence[number] = self.presence.get(number, 0) + change
        for one in dark:
            old = self.dark.get((one.site, one.minute))
            self.dark[one.site, one.minute] = one if old is None else together(old, one)
        for imei, type, hour, times, last in odd:
            before = self.odd.get((imei, type, hour), (0, 0.0))
            self.odd[imei, type, hour] = before[0] + times, max(before[1], last)
        if since > self.since:  # an hour has passed
            self._forget_before(since)

    def _forget_before(self, since: int) -> None:
        self.since = since
        self.presence = {n: c for n, c in self.presence.items() if n * BUCKET_SECONDS >= since}
        self.dark = {key: one for key, one in self.dark.items() if one.first >= since}
        self.odd = {key: one for key, one in self.odd.items() if key[2] * HOUR >= since}

    def forget(self) -> None:
        """Count everything again the next time."""
        self.newest = 0
        for found in (self.presence, self.dark, self.odd):
            found.clear()

    def oddities(self, conn: Reading) -> list[Odd]:
        """The devices that did something unusual last, with their names."""
        found: dict[tuple[str, str], tuple[int, float]] = {}
        for (imei, type, _), (times, last) in self.odd.items():
            before = found.get((imei, type), (0, 0.0))
            found[imei, type] = before[0] + times, max(before[1], last)
        newest = sorted(found.items(), key=lambda one: one[1][1], reverse=True)[:MAX_ODD]
        names = statistics.names(conn, {imei for (imei, _), _ in newest})
        return [
            Odd(imei, type, times, last, *names.get(imei, ("", "")))
            for (imei, type), (times, last) in newest
        ]


def together(one: Dark, other: Dark) -> Dark:
    """The sum of two counts of one site and minute. A device that was lost in both counts
    twice."""
    return one._replace(
        devices=one.devices + other.devices,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
    )


def count(conn: Reading, now: float, tally: Tally | None = None) -> FleetCounts:
    """Count the last day. If `tally` has an earlier count, only events since then are read."""
    tally = Tally() if tally is None else tally
    since, sites_of = int(now) // HOUR * HOUR + HOUR - DAY, tally.sites
    tally.add(conn, since)
    sites = statistics.sites(conn, sites_of)
    minutes = [tally.dark[key] for key in sorted(tally.dark)]
    found = outages(minutes, sites)[:MAX_DARK]
    return FleetCounts(
        since,
        [(number - since // BUCKET_SECONDS, change) for number, change in tally.presence.items()],
        statistics.outcomes(conn, since, HOUR, sites_of),
        sites,
        [(one, statistics.lost(conn, one.site, one.first, one.last, MAX_LOST)) for one in found],
        tally.oddities(conn),
        unknown.waiting(conn, now - DAY) if sites_of is None else 0,
        absence(conn, now, sites, sites_of),
    )


def outages(minutes: Sequence[Dark], sites: Mapping[str, int]) -> list[Dark]:
    """The times at which many devices of a site were lost together; the latest first.

    `minutes` are by site and time.
    """
    found: list[Dark] = []
    for one in minutes:
        before = found[-1] if found else None
        if before and before.site == one.site and one.last - before.first <= TOGETHER_SECONDS:
            devices = min(before.devices + one.devices, sites.get(one.site, one.devices))
            found[-1] = before._replace(devices=devices, last=one.last)
        else:
            found.append(one)
    dark = [
        one
        for one in found
        if one.devices >= MIN_LOST
        and one.devices >= MIN_LOST_PART * sites.get(one.site, one.devices)
    ]
    return sorted(dark, key=lambda one: one.first, reverse=True)


def online_over_day(counted: FleetCounts, online: int, now: float) -> list[dict[str, object]]:
    """How many were online at the end of each bucket: counted backwards from how many are now."""
    changes: dict[int, int] = {}
    newest = max(0, int(now - counted.since) // BUCKET_SECONDS)
    for number, change in counted.presence:
        number = min(max(number, 0), newest)
        changes[number] = changes.get(number, 0) + change
    points: list[dict[str, object]] = []
    for number in range(newest, -1, -1):
        at = min(counted.since + (number + 1) * BUCKET_SECONDS, now)
        points.append({"at": iso(at), "online": max(0, online)})
        online -= changes.get(number, 0)
    return points[::-1]


def by_hour(counted: FleetCounts) -> list[dict[str, Any]]:
    """Starts, stops and their outcomes of each of the 24 hours."""
    rows: list[list[tuple[str, str, int]]] = [[] for _ in range(DAY // HOUR)]
    for number, type, status, times in counted.outcomes:
        rows[min(max(number, 0), len(rows) - 1)].append((type, status, times))
    return [
        {"at": iso(counted.since + number * HOUR), **counts(row)}
        for number, row in enumerate(rows)
    ]


def by_hours(
    counted: FleetCounts, past: Past, days: int, online: int, now: float
) -> tuple[list[dict[str, Any]], bool]:
    """Each hour of `days`, oldest first: its counts, and how many were online at its end.

    Whether all of them are known: the last day is, and hours of the time before may be counted
    later.
    """
    first, last = past.since(days, now), counted.since // HOUR + DAY // HOUR - 1
    today = {one["at"]: one for one in by_hour(counted)}
    changes: dict[int, int] = {}
    for number, change in counted.presence:
        hour = counted.since // HOUR + number * BUCKET_SECONDS // HOUR
        changes[hour] = changes.get(hour, 0) + change
    nothing = {"online": None, **dict.fromkeys(NAMES)}
    found: list[dict[str, Any]] = []
    known: int | None = online  # None: nobody knows any more how many were
    complete = True
    for number in range(last, first - 1, -1):
        at = iso(number * HOUR)
        older = past.hours.get(number)
        if at in today:
            found.append({**today[at], "online": known})
            change = changes.get(number, 0)
        elif older is not None:
            found.append({"at": at, **counts(older.outcomes), "online": known})
            change = older.change
        else:
            found.append({"at": at, **nothing})
            known, complete = None, False
            continue
        if known is not None:
            known = max(0, known - change)
        if past.oldest is not None and number * HOUR <= past.oldest:
            known = None  # there are no events of the time before
    return found[::-1], complete


def dark_items(counted: FleetCounts, is_online: Callable[[Imei], bool]) -> list[dict[str, Any]]:
    """Sites of which many devices went offline together, as items of a reply."""
    return [
        {
            "site": one.site,
            "devices": one.devices,
            "of": counted.sites.get(one.site, one.devices),
            "first": iso(one.first),
            "last": iso(one.last),
            "back": sum(is_online(Imei(imei)) for imei in lost),
        }
        for one, lost in counted.outages
    ]


def odd_items(counted: FleetCounts) -> list[dict[str, object]]:
    """Devices that do something unusual, as items of a reply."""
    return [{**one._asdict(), "last": iso(one.last)} for one in counted.odd]
