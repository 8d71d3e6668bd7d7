"""Pages of devices: filtered, in an order that people choose, forward and back, and counted.

Four steps find a page, each with a bound, so that none takes long with a million devices:

1. What is rare has an index that gives it: at most `device_filters.SMALL_SET` devices, which are
   looked at and sorted as a whole.
2. Some hundreds of devices are looked at in the order of the page. What is found often is found
   near.
3. What is neither is looked for in a larger set, of `device_filters.MAX_DEVICES` at most.
4. Without one it is looked for among some thousands more. The page may then be shorter than was
   asked for; its cursor says how far was looked.

A cursor is an IMEI, or `IMEI:KEY` where the order has a key. It stands for a place, not for a
device: a device that changes its key meanwhile moves, and no other one is missed or comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.store.device_filters import MAX_DEVICES, SMALL_SET, WantedDevices, alone
from devgate.store.device_orders import (
    NEVER,
    RANKS,
    SEEN,
    THERE,
    Key,
    Walk,
    cursor,
    of_time,
    place,
    ranked,
    walk_of,
)
from devgate.store.device_rows import DeviceRow, Rows

FIRST_DEVICES, MORE_DEVICES = (
    500,
    8000,
)  # devices that are looked at in the order of the page, in two steps
# Times MAX_DEVICES: where about that many have a word, no set of them is looked for.
MANY_TIMES = 10


class DevicePage(NamedTuple):
    """Devices, and the cursors behind and before which to go on."""

    rows: Sequence[DeviceRow]
    next: str | None
    prev: str | None
    counted: tuple[int, bool] | None = None  # how many there are, and whether there may be more


def find(
    conn: Connection, wanted: WantedDevices, limit: int, *, sort: str = "imei", down: bool = False,
    after: str | None = None, before: str | None = None, counted: bool = False,
) -> DevicePage:  # fmt: skip
    """At most `limit` devices in that order; `down`: the last first. They come behind the cursor
    `after`, or in front of `before`. `counted`: all are counted, up to MAX_DEVICES.

    Raises CallerError (400) for a cursor of another order.
    """
    back = after is None and before is not None
    start = place(sort, before if back else after, "before" if back else "after")
    look = _Search(conn, wanted, sort, down != back)
    rows, seen = look.rows(start, limit + 1)
    ahead = cursor(seen) if seen is not None else None
    if len(rows) > limit:
        rows = rows[:limit]
        ahead = cursor(rows[-1].key)
    count = None
    if counted:
        everything = start is None and seen is None and ahead is None
        count = (len(rows), False) if everything else look.count()
    if back:
        rows.reverse()
        return DevicePage(rows, cursor(rows[-1].key) if rows else None, ahead, count)
    behind = cursor(rows[0].key) if rows and start is not None else None
    return DevicePage(rows, ahead, behind, count)


class _Search:
    """One search in one direction. `down`: from the last to the first."""

    def __init__(self, conn: Connection, wanted: WantedDevices, sort: str, down: bool) -> None:
        self._conn = conn
        self._wanted = wanted
        self._sort, self._down = sort, down
        self._rows = Rows(conn, wanted, down)

    def rows(self, start: Key | None, limit: int) -> tuple[list[DeviceRow], Key | None]:
        """At most `limit` rows behind `start`; and how far was looked, if that was not to the
        end and there are fewer."""
        if self._sort == "state":
            return self._by_state(start, limit)
        if self._sort == "since":
            return self._by_since(start, limit, self._wanted, (NEVER, SEEN, THERE))
        return self._walked(walk_of(self._sort, self._wanted), start, limit)

    def count(self) -> tuple[int, bool]:
        """How many, at most MAX_DEVICES, and whether there may be more."""
        total, more = self._counted()
        return min(total, MAX_DEVICES), more or total > MAX_DEVICES

    def _counted(self) -> tuple[int, bool]:
        if not self._wanted.filters:
            query = "SELECT count(*) FROM (SELECT 1 FROM device LIMIT :limit) AS found"
            return int(self._conn.scalar(text(query), {"limit": MAX_DEVICES + 1}) or 0), False
        first = None
        if set(self._wanted.filters) == {"text"} and not self._rows.on_sqlite:
            # PostgreSQL reads what the index has of the words to its end before it gives the first
            # device: not where the devices that are near show that these are far too many.
            first = self._count_first()
            if first[0] * self._rows.about() > MANY_TIMES * MAX_DEVICES * (
                FIRST_DEVICES + MORE_DEVICES
            ):
                return first
        if (some := self._rows.few(self._wanted, MAX_DEVICES)) is not None:
            return int(self._rows.whole(some, self._wanted, "count(*)")[0][0]), False
        if alone(self._wanted):
            return MAX_DEVICES + 1, True  # the index had more
        return first or self._count_first()

    def _count_first(self) -> tuple[int, bool]:
        """How many fit of the first ones, and whether there are others."""
        walk = walk_of("imei", self._wanted)
        bound = self._rows.bound(walk, None, FIRST_DEVICES + MORE_DEVICES)
        return self._rows.count(walk, bound, MAX_DEVICES + 1), bound is not None

    # Orders of several indexes

    def _by_state(self, start: Key | None, limit: int) -> tuple[list[DeviceRow], Key | None]:
        """Those that run, then the idle, the offline, the never seen and the disabled ones; each
        by the time since when."""
        found: list[DeviceRow] = []
        for rank in range(RANKS)[:: -1 if self._down else 1]:
            place = None
            if start is not None:
                if (rank > start[0]) if self._down else (rank < start[0]):
                    continue
                place = start[1:] if rank == start[0] else None
            wanted, walks = ranked(self._wanted, rank)
            if wanted is None:
                continue
            rows, seen = self._by_since(place, limit - len(found), wanted, walks)
            found += [row._replace(key=(rank, *row.key)) for row in rows]
            if seen is not None:
                return found, (rank, *seen)
            if len(found) >= limit:
                break
        return found, None

    def _by_since(
        self, start: Key | None, limit: int, wanted: WantedDevices, walks: Sequence[Walk]
    ) -> tuple[list[DeviceRow], Key | None]:
        """The never seen ones have no time, and come as the oldest."""
        walks = of_time(wanted, walks)
        if (some := self._rows.few(wanted, SMALL_SET)) is not None:
            return self._rows.sorted(some, wanted, "since", start, limit), None
        first, horizon = self._merged(walks, start, limit, wanted, FIRST_DEVICES)
        if len(first) >= limit or horizon is None:
            return first[:limit], None
        if (some := self._rows.few(wanted, MAX_DEVICES)) is not None:
            return self._rows.sorted(some, wanted, "since", start, limit), None
        rows, end = self._merged(walks, horizon, limit - len(first), wanted, MORE_DEVICES)
        return first + rows, None if len(first) + len(rows) >= limit else end

    def _merged(
        self,
        walks: Sequence[Walk],
        start: Key | None,
        limit: int,
        wanted: WantedDevices,
        size: int,
    ) -> tuple[list[DeviceRow], Key | None]:
        """From all of them in order; and up to where that is whole, if it is not to the end."""
        found: list[DeviceRow] = []
        horizons: list[Key] = []
        for walk in walks:
            never, place = walk is NEVER, start
            if start is not None:
                if never != (start[0] == 0):
                    if never != self._down:
                        continue  # it lies behind us
                    place = None
                elif never:
                    place = start[1:]
            rows, seen = self._step(walk, place, limit, wanted, size)
            found += [row._replace(key=(0.0, *row.key)) for row in rows] if never else rows
            if seen is not None:
                horizons.append((0.0, *seen) if never else seen)
        found.sort(key=lambda row: row.key, reverse=self._down)
        if not horizons:
            return found[:limit], None
        horizon = max(horizons) if self._down else min(horizons)
        whole = [r for r in found if (r.key >= horizon if self._down else r.key <= horizon)]
        return whole[:limit], horizon

    # One index

    def _walked(
        self, walk: Walk, start: Key | None, limit: int
    ) -> tuple[list[DeviceRow], Key | None]:
        wanted = self._wanted
        if not wanted.filters:
            return self._rows.select(walk, start, None, limit, wanted), None
        if not walk.where and (some := self._rows.few(wanted, SMALL_SET)) is not None:
            return self._rows.sorted(some, wanted, self._sort, start, limit), None
        first, seen = self._step(walk, start, limit, wanted, FIRST_DEVICES)
        if len(first) >= limit or seen is None:
            return first, None
        if (some := self._rows.few(wanted, MAX_DEVICES)) is not None:
            return self._rows.sorted(some, wanted, self._sort, start, limit), None
        rows, end = self._step(walk, seen, limit - len(first), wanted, MORE_DEVICES)
        return first + rows, None if len(first) + len(rows) >= limit else end

    def _step(
        self, walk: Walk, start: Key | None, limit: int, wanted: WantedDevices, size: int
    ) -> tuple[list[DeviceRow], Key | None]:
        """Those among the next `size`; and where these end, unless that is the end of all."""
        bound = self._rows.bound(walk, start, size)
        rows = self._rows.select(walk, start, bound, limit, wanted)
        if len(rows) >= limit:
            return rows, rows[-1].key
        return rows, bound
