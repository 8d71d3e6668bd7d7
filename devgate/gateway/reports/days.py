"""Days of a time zone, and what a device did on one of them. A day is a number since 1970."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from devgate.gateway.command_record import record_outcome
from devgate.store.usage import Day, Machine, PresenceEvent, StartCounts

EPOCH = date(1970, 1, 1).toordinal()
MAX_NAME = 64  # characters of a zone's name
# What a person says became of an unknown outcome, as a report counts it. Who was refunded has paid
# for nothing, whether or not it ran.
VERDICTS = {"ran": "done", "did_not_run": "failed", "refunded": "failed"}


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The zone of that name. Raises ValueError where this machine knows none."""
    if name == "UTC":
        return UTC
    try:
        if not 1 <= len(name) <= MAX_NAME:
            raise KeyError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(
            f"the name of a time zone such as Asia/Shanghai or Europe/Berlin expected, not "
            f"{name[:MAX_NAME]!r} (the package tzdata has them)"
        ) from None


def day_of(at: float, zone: tzinfo) -> int:
    """The day that this time (seconds since 1970) belongs to."""
    return datetime.fromtimestamp(at, zone).toordinal() - EPOCH


def as_date(day: int) -> date:
    """The date of a day."""
    return date.fromordinal(day + EPOCH)


def of_date(found: date) -> int:
    """The day of a date."""
    return found.toordinal() - EPOCH


def bounds(day: int, zone: tzinfo) -> tuple[float, float]:
    """When a day begins and ends (seconds since 1970): 23 to 25 hours."""
    begin, end = (
        datetime.combine(as_date(one), datetime.min.time(), zone).timestamp()
        for one in (day, day + 1)
    )
    return begin, end


def row(
    machine: Machine,
    day: int,
    site: str,
    starts: Iterable[StartCounts],
    online: tuple[int, int] | None,
) -> Day:
    """What a device did on a day; `online` as `online_seconds` has it."""
    counts = dict.fromkeys(("done", "failed", "unknown", "refused", "open"), 0)
    long = 0
    for one in starts:
        outcome = record_outcome(one.state, one.status)
        if outcome == "unknown" and one.verdict is not None:
            outcome = VERDICTS.get(one.verdict, outcome)
        counts["open" if outcome == "pending" else outcome] += one.number
        if outcome == "done":
            long += one.long
    times = machine.unit == "times"
    seconds, span = (None, None) if online is None else online
    return Day(
        day, machine.imei, site, sum(counts.values()), **counts,
        seconds=0 if times else long, times=long if times else 0, online=seconds, span=span,
    )  # fmt: skip


def online_seconds(
    machine: Machine, found: Sequence[PresenceEvent], begin: float, end: float
) -> tuple[int, int] | None:
    """How long the device was online in that time, and out of how long; None: nobody knows.

    Its first day begins when it was first seen. `found` is what `store.usage.presences` has.
    """
    first, *changes = found or [PresenceEvent(machine.imei, begin, None)]
    online = first.online
    if online is None and changes:
        # There are no earlier events: until the first of these it was in the other state, or it
        # was not known yet.
        online = not changes[0].online
        if not online:
            begin = changes[0].at
    if online is None:
        if machine.since is None or machine.since > begin:
            return None  # it was never seen, or no event says how it was then
        online = machine.online
    total, since = 0.0, begin
    for change in changes:
        if online and not change.online:
            total += change.at - since
        elif change.online and not online:
            since = change.at
        online = bool(change.online)
    if online:
        total += end - since
    return round(total), round(end - begin)


def names_a_zone(name: str) -> bool:
    """Whether this machine knows such a zone."""
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def zones_of(names: Collection[str]) -> dict[str, tzinfo]:
    """The zones of these names; UTC for one that this machine does not know any more."""
    return {name: zone_of(name) if names_a_zone(name) else UTC for name in names}
