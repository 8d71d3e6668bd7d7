"""Counts what reports show, beside the service and in short steps.

Three things are counted: commands that have changed (the events say which), days that are over,
and days that must be counted again, from the newest to the oldest: all days of a new database, or
those of a site whose zone was changed. How far each is stands on disk, written with its rows. So a
restart, or another leading node, goes on where this one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate.gateway.background import Background
from devgate.gateway.clock import Clock, time
from devgate.gateway.reports.counting import (
    GRACE_SECONDS,
    Look,
    Wanted,
    anything,
    count,
    the_zone,
)
from devgate.gateway.reports.days import bounds, day_of
from devgate.gateway.storage import Records
from devgate.store import history, usage_sums
from devgate.store import usage as stored
from devgate.store import usage_work as work
from devgate.store import zones as site_zones
from devgate.store.history import TRIM_ROWS, Reading
from devgate.store.numbering import time_of
from devgate.store.usage import Day, Machine
from devgate.store.usage_work import ALL, SITE, SITES, ZONE, State, Work

if TYPE_CHECKING:
    from devgate.config.settings import Settings

TURN_SECONDS = 60.0  # between two turns
ASKED_SECONDS = 2.0  # between two turns while somebody reads reports
EVENTS_A_STEP = 2000
MACHINES_A_STEP = 200  # about 10 ms
PAUSE_FACTOR = 4  # a pause is four times as long as the step before: a fifth of a core
MAX_PAUSE_SECONDS = 5.0
AGAIN_SECONDS = 20.0  # of a turn for days that are counted again; then changes are counted
MAX_STEPS = 100  # of a turn, to delete what is too old
ROWS_A_STEP = 1000  # of days that are added to the sums of sites: about 5 ms


class Usage:
    """Keeps `usage_day` up to date. In a cluster the leading node does this."""

    def __init__(
        self, records: Records, settings: Settings, background: Background, clock: Clock
    ) -> None:
        self._records = records
        self._settings = settings
        self._background = background
        self._clock = clock
        self._more = False  # there is something left to be counted again
        self._read = trio.Event()  # somebody reads a report

    def apply(self, settings: Settings) -> None:
        """Count by what these settings say from now on."""
        self._settings = settings

    async def run(self) -> NoReturn:
        """Count for ever."""
        while True:
            await self._background.until_done("reports", self.turn)
            self._read = trio.Event()
            if not self._more:
                with trio.move_on_after(TURN_SECONDS):
                    await trio.sleep(ASKED_SECONDS)
                    await self._read.wait()

    def read(self) -> None:
        """Somebody reads a report: count soon what has changed."""
        self._read.set()

    async def turn(self) -> None:
        """What has changed since the last turn, days that are over, and a part of what is to be
        counted again. Raises StoreError."""
        now, default = time(), self._settings.report.zone
        keep = self._settings.store.keep_commands
        state, look, tasks = await self._records.change(_begun, now, default, keep)
        await self._follow(state.position, look)
        for task in tasks:
            if task.name.startswith(ZONE):
                await self._close(task, look)
        self._more = await self._count_again(
            [one for one in tasks if not one.name.startswith(ZONE)], look
        )
        self._more |= await self._sum_up()
        await self._forget()

    async def _follow(self, position: int, look: Look) -> None:
        while True:
            began = monotonic()
            found = await self._records.read(stored.changes, position, EVENTS_A_STEP)
            if found is None:
                return
            for commands in _parts(sorted(found.commands)):
                rows = await self._records.read(_changed, commands, look)
                await self._records.change(stored.save, rows)
                await self._pause(began)
                began = monotonic()
            await self._records.change(work.counted_up_to, found.upto, found.at)
            if found.last:
                return  # later changes are for the next turn, so that each turn ends
            position = found.upto
            await self._pause(began)

    async def _close(self, task: Work, look: Look) -> None:
        """Days of a zone that are over, one after the other."""
        zone = task.name.removeprefix(ZONE)
        while look.now >= bounds(task.day + 1, the_zone(zone))[1] + GRACE_SECONDS:
            began = monotonic()
            rows, last = await self._records.read(_closed, task, zone, look)
            after = task._replace(imei=last) if last else Work(task.name, task.day + 1, "")
            await self._records.change(_write, rows, task, after)
            task = after
            await self._pause(began)

    async def _count_again(self, tasks: Sequence[Work], look: Look) -> bool:
        """Whether there is something left."""
        ends = monotonic() + AGAIN_SECONDS
        for first in tasks:
            task: Work | None = first
            while task is not None:
                if monotonic() >= ends:
                    return True
                began = monotonic()
                rows, after = await self._records.read(_again, task, look)
                await self._records.change(_write, rows, task, after)
                task = after
                await self._pause(began)
        return False

    async def _sum_up(self) -> bool:
        """Days that were there before there were sums of sites. Whether there are more."""
        ends = monotonic() + AGAIN_SECONDS
        began = monotonic()
        while await self._records.change(usage_sums.sum_up, ROWS_A_STEP):
            if monotonic() >= ends:
                return True
            await self._pause(began)
            began = monotonic()
        return False

    async def _forget(self) -> None:
        now = self._clock.trusted()
        if now is None:
            return
        before = day_of(now - self._settings.report.keep, the_zone("UTC"))
        for _ in range(MAX_STEPS):
            if await self._records.change(work.forget, before, TRIM_ROWS) < TRIM_ROWS:
                await self._records.change(usage_sums.forget, before, TRIM_ROWS)
                return
            await trio.sleep(0.1)

    async def _pause(self, began: float) -> None:
        await trio.sleep(min(MAX_PAUSE_SECONDS, PAUSE_FACTOR * (monotonic() - began)))


def _begun(conn: Reading, now: float, default: str, keep: float) -> tuple[State, Look, list[Work]]:
    """What there is to do. Has days counted again where zones have changed, and where the database
    is new or another copy."""
    zones = site_zones.zones(conn)
    number, at = history.newest(conn)
    at = at or now  # without any event all that is there is counted
    state = work.state(conn)
    first = work.oldest_command(conn) or now
    oldest = min(first, history.oldest_event(conn) or now)
    floor = now - keep
    # In a young database nothing is gone: its first day may be counted in another zone.
    look = Look(
        now, default, zones, oldest, floor if work.has_all_commands(conn) else first, floor
    )
    if state is None:
        state = State(number, at, default)
        work.begin(conn, state)
        _order(conn, ALL, look)
    elif state.position > number or work.oldest_number(conn) > state.position + 1:
        # Another copy of the database, or events that were deleted before they were counted.
        state = state._replace(position=number, at=at)
        work.restart_at(conn, number, at)
        _order(conn, ALL, look)
    if state.zone != default:
        work.set_zone(conn, default)
        _order(conn, SITES, look)
    wanted = {ZONE + name for name in (default, *zones.values())}
    there = {one.name: one.day for one in work.works(conn) if one.name.startswith(ZONE)}
    for name in sorted(wanted):
        yesterday = day_of(now, the_zone(name.removeprefix(ZONE))) - 1
        # Where the clock was ahead, days were counted that are still to come.
        if there.get(name, yesterday + 1) > yesterday:
            work.keep(conn, Work(name, yesterday, ""))
    for name in there.keys() - wanted:
        work.drop(conn, name)
    return state, look, work.works(conn)


def _order(conn: Reading, name: str, look: Look) -> None:
    """Count again, from tomorrow back: somewhere it has begun."""
    work.keep(conn, Work(name, day_of(look.now, the_zone("UTC")) + 1, ""))


def _changed(conn: Reading, commands: Sequence[tuple[str, str]], look: Look) -> list[Day]:
    """The days of these commands, each once."""
    machines = stored.machines(conn, {imei for imei, _ in commands})
    wanted = set[Wanted]()
    for imei, id in commands:
        at = time_of(id)
        if at is not None and at >= look.floor:
            machine = machines.get(imei) or _removed(conn, imei, at, look)
            zone = look.zone_of(machine.site)
            wanted.add(Wanted(machine, day_of(at, the_zone(zone)), zone))
    return list(count(conn, wanted, look))


def _removed(conn: Reading, imei: str, at: float, look: Look) -> Machine:
    """A device that is not known any more, at the site where it stood then: by another zone its
    start would be of another day, and count twice."""
    day, site = day_of(at, the_zone("UTC")), ""
    for near in (day, day - 1, day + 1):
        if found := stored.known(conn, near, [imei]).get(imei):
            if day_of(at, the_zone(look.zone_of(found.site))) == near:
                return Machine(imei, found.site)
            site = site or found.site
    return Machine(imei, site)


def _closed(conn: Reading, task: Work, zone: str, look: Look) -> tuple[list[Day], str]:
    """The next devices of the day that follows; "" as the last of them: that were all."""
    found = stored.some_machines(conn, task.imei, MACHINES_A_STEP)
    mine = [Wanted(one, task.day + 1, zone) for one in found if look.zone_of(one.site) == zone]
    last = found[-1].imei if len(found) == MACHINES_A_STEP else ""
    return list(count(conn, mine, look, presence=True)), last


def _again(conn: Reading, task: Work, look: Look) -> tuple[list[Day], Work | None]:
    """The next devices of that day; and where to go on, None if nothing is left."""
    site = task.name.removeprefix(SITE) if task.name.startswith(SITE) else None
    passes = not task.imei and not anything(conn, task.day, look)
    found = [] if passes else stored.some_machines(conn, task.imei, MACHINES_A_STEP, site)
    wanted = [Wanted(one, task.day, look.zone_of(one.site)) for one in found]
    if task.name == SITES:
        wanted = [one for one in wanted if one.machine.site not in look.zones]
    rows = list(count(conn, wanted, look, presence=True))
    if len(found) == MACHINES_A_STEP:
        return rows, task._replace(imei=found[-1].imei)
    # A day earlier than in UTC: it begins at different times.
    if task.day < day_of(max(look.oldest, look.floor), the_zone("UTC")):
        return rows, None
    return rows, Work(task.name, task.day - 1, "")


def _write(conn: Reading, rows: Sequence[Day], before: Work, after: Work | None) -> None:
    stored.save(conn, rows)
    work.advance(conn, before, after)


def _parts(commands: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    for start in range(0, len(commands), MACHINES_A_STEP):
        yield commands[start : start + MACHINES_A_STEP]
