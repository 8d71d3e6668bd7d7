"""Pages of devices: filtered, in an order that people choose, forward and back, and counted.

Four steps find a page, each with a bound, so that none takes long with a million devices:

1. What is rare has an index that gives it: at most `device_filters.SMALL` devices, which are
   looked at and sorted as a whole.
2. Some hundreds of devices are looked at in the order of the page. What is found often is found
   near.
3. What is neither is looked for in a larger set, of `device_filters.MOST` at most.
4. Without one it is looked for among some thousands more. The page may then be shorter than was
   asked for; its cursor says how far was looked.

A cursor is an IMEI, or `IMEI:KEY` where the order has a key. It stands for a place, not for a
device: a device that changes its key meanwhile moves, and no other one is missed or comes twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from devgate.store.device import COLUMNS, Device
from devgate.store.device_filters import MOST, SMALL, Wanted, alone, as_list, conditions, few
from devgate.store.device_orders import (
    KEYS,
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

NEAR, FAR = 500, 8000  # devices that are looked at in the order of the page, in two steps
PRESENCE = ("online", "since", "heard", "address", "running_until", "incarnation")
_SHOWN = ", ".join([*(f"d.{c}" for c in COLUMNS), *(f"p.{c}" for c in PRESENCE)])


class Row(NamedTuple):
    """A device of a page, with its row of `presence`."""

    key: Key
    device: Device
    presence: dict[str, Any]


class Page(NamedTuple):
    """Devices, and the cursors behind and before which to go on."""

    rows: Sequence[Row]
    next: str | None
    prev: str | None
    counted: tuple[int, bool] | None = None  # how many there are, and whether there may be more


_FIRST = {"d": "device d CROSS JOIN presence p", "p": "presence p CROSS JOIN device d"}


def find(
    conn: Connection, wanted: Wanted, limit: int, *, sort: str = "imei", down: bool = False,
    after: str | None = None, before: str | None = None, counted: bool = False,
) -> Page:  # fmt: skip
    """At most `limit` devices in that order; `down`: the last first. They come behind the cursor
    `after`, or in front of `before`. `counted`: all are counted, up to MOST.

    Raises CallerError (400) for a cursor of another order.
    """
    back = after is None and before is not None
    start = place(sort, before if back else after, "before" if back else "after")
    look = _Look(conn, wanted, sort, down != back)
    rows, seen = look.rows(start, limit + 1)
    ahead = cursor(seen) if seen is not None else None
    if len(rows) > limit:
        rows = rows[:limit]
        ahead = cursor(rows[-1].key)
    count = look.count() if counted else None
    if back:
        rows.reverse()
        return Page(rows, cursor(rows[-1].key) if rows else None, ahead, count)
    behind = cursor(rows[0].key) if rows and start is not None else None
    return Page(rows, ahead, behind, count)


class _Look:
    """One search in one direction. `down`: from the last to the first."""

    def __init__(self, conn: Connection, wanted: Wanted, sort: str, down: bool) -> None:
        self._conn = conn
        self._wanted = wanted
        self._sort, self._down = sort, down
        self._on_sqlite = conn.dialect.name == "sqlite"
        self._set: Sequence[str] | None = None
        self._asked = 0  # up to how many the set may have that was looked for

    def rows(self, start: Key | None, limit: int) -> tuple[list[Row], Key | None]:
        """At most `limit` rows behind `start`; and how far was looked, if that was not to the
        end and there are fewer."""
        if self._sort == "state":
            return self._by_state(start, limit)
        if self._sort == "since":
            return self._by_since(start, limit, self._wanted, (NEVER, SEEN, THERE))
        return self._walked(walk_of(self._sort, self._wanted), start, limit)

    def count(self) -> tuple[int, bool]:
        """How many, at most MOST, and whether there may be more."""
        total, more = self._counted()
        return min(total, MOST), more or total > MOST

    def _counted(self) -> tuple[int, bool]:
        if not self._wanted.filters:
            query = "SELECT count(*) FROM (SELECT 1 FROM device LIMIT :limit) AS found"
            return int(self._conn.scalar(text(query), {"limit": MOST + 1}) or 0), False
        if (some := self._few(self._wanted, MOST)) is not None:
            return int(self._whole(some, self._wanted, "count(*)")[0][0]), False
        if alone(self._wanted):
            return MOST + 1, True  # the index had more
        walk = walk_of("imei", self._wanted)
        bound = self._bound(walk, None, NEAR + FAR)
        where, values = conditions(self._wanted, self._on_sqlite)
        between, more = self._between(walk, None, bound)
        query = (
            f"SELECT count(*) FROM (SELECT 1 FROM {self._from('d', self._wanted)}{where}{between} "
            "LIMIT :limit) AS found"
        )
        values |= {**more, "limit": MOST + 1}
        return int(self._conn.scalar(text(query), values) or 0), bound is not None

    # Orders of several indexes

    def _by_state(self, start: Key | None, limit: int) -> tuple[list[Row], Key | None]:
        """Those that run, then the idle, the offline, the never seen and the disabled ones; each
        by the time since when."""
        found: list[Row] = []
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
        self, start: Key | None, limit: int, wanted: Wanted, walks: Sequence[Walk]
    ) -> tuple[list[Row], Key | None]:
        """The never seen ones have no time, and come as the oldest."""
        walks = of_time(wanted, walks)
        if (some := self._few(wanted, SMALL)) is not None:
            return self._sorted(some, wanted, "since", start, limit), None
        near, horizon = self._merged(walks, start, limit, wanted, NEAR)
        if len(near) >= limit or horizon is None:
            return near[:limit], None
        if (some := self._few(wanted, MOST)) is not None:
            return self._sorted(some, wanted, "since", start, limit), None
        rows, end = self._merged(walks, horizon, limit - len(near), wanted, FAR)
        return near + rows, None if len(near) + len(rows) >= limit else end

    def _merged(
        self, walks: Sequence[Walk], start: Key | None, limit: int, wanted: Wanted, size: int
    ) -> tuple[list[Row], Key | None]:
        """From all of them in order; and up to where that is whole, if it is not to the end."""
        found: list[Row] = []
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

    def _walked(self, walk: Walk, start: Key | None, limit: int) -> tuple[list[Row], Key | None]:
        wanted = self._wanted
        if not wanted.filters:
            return self._select(walk, start, None, limit, wanted), None
        if not walk.where and (some := self._few(wanted, SMALL)) is not None:
            return self._sorted(some, wanted, self._sort, start, limit), None
        near, seen = self._step(walk, start, limit, wanted, NEAR)
        if len(near) >= limit or seen is None:
            return near, None
        if (some := self._few(wanted, MOST)) is not None:
            return self._sorted(some, wanted, self._sort, start, limit), None
        rows, end = self._step(walk, seen, limit - len(near), wanted, FAR)
        return near + rows, None if len(near) + len(rows) >= limit else end

    def _step(
        self, walk: Walk, start: Key | None, limit: int, wanted: Wanted, size: int
    ) -> tuple[list[Row], Key | None]:
        """Those among the next `size`; and where these end, unless that is the end of all."""
        bound = self._bound(walk, start, size)
        rows = self._select(walk, start, bound, limit, wanted)
        if len(rows) >= limit:
            return rows, rows[-1].key
        return rows, bound

    def _bound(self, walk: Walk, start: Key | None, size: int) -> Key | None:
        between, values = self._between(walk, start, None)
        table = "device d" if walk.table == "d" else "presence p"
        query = (
            f"SELECT {', '.join(walk.columns)} FROM {table} WHERE true{between} "
            f"ORDER BY {self._order(walk.columns)} LIMIT 1 OFFSET :size"
        )
        row = self._conn.execute(text(query), {**values, "size": size}).first()
        return None if row is None else tuple(row)

    def _select(
        self, walk: Walk, start: Key | None, bound: Key | None, limit: int, wanted: Wanted
    ) -> list[Row]:
        where, values = conditions(wanted, self._on_sqlite)
        between, more = self._between(walk, start, bound)
        query = (
            f"SELECT {', '.join(walk.columns)}, {_SHOWN} FROM {self._from(walk.table, wanted)}"
            f"{where}{between} ORDER BY {self._order(walk.columns)} LIMIT :limit"
        )
        found = self._conn.execute(text(query), {**values, **more, "limit": limit})
        return [_row(tuple(row), len(walk.columns)) for row in found]

    def _between(
        self, walk: Walk, start: Key | None, bound: Key | None
    ) -> tuple[str, dict[str, Any]]:
        beyond, upto = ("<", ">=") if self._down else (">", "<=")
        parts = f" AND {walk.where}" if walk.where else ""
        values: dict[str, Any] = {}
        if ":site" in walk.where:
            values["site"] = self._wanted.site
        for sign, key, name in ((beyond, start, "start"), (upto, bound, "bound")):
            if key is not None:
                names = [f"{name}{n}" for n in range(len(key))]
                values |= dict(zip(names, key, strict=True))
                marks = ", ".join(f":{one}" for one in names)
                parts += f" AND ({', '.join(walk.columns)}) {sign} ({marks})"
        return parts, values

    def _order(self, columns: Sequence[str]) -> str:
        return ", ".join(f"{column} DESC" if self._down else column for column in columns)

    def _from(self, table: str, wanted: Wanted) -> str:
        """In the order of the tables: SQLite keeps to it."""
        joined = f"{_FIRST[table]}"
        on = " WHERE p.imei = d.imei"
        if wanted.idle_since is not None or wanted.failing is not None:
            return f"{joined} CROSS JOIN device_starts u{on} AND u.imei = d.imei"
        return joined + on

    # A set as a whole

    def _few(self, wanted: Wanted, most: int) -> Sequence[str] | None:
        if wanted is not self._wanted:
            return few(self._conn, wanted, most)
        if self._set is None and self._asked < most:
            self._set, self._asked = few(self._conn, wanted, most), most
        return self._set

    def _sorted(
        self, imeis: Sequence[str], wanted: Wanted, sort: str, start: Key | None, limit: int
    ) -> list[Row]:
        keys, values, behind = KEYS[sort], {}, ""
        if start is not None:
            names = [f"start{n}" for n in range(len(start))]
            values = dict(zip(names, start, strict=True))
            marks = ", ".join(f":{one}" for one in names)
            behind = f" AND ({', '.join(keys)}) {'<' if self._down else '>'} ({marks})"
        end = f"{behind} ORDER BY {self._order(keys)} LIMIT :limit"
        what = f"{', '.join(keys)}, {_SHOWN}"
        found = self._whole(imeis, wanted, what, end, {**values, "limit": limit})
        return [_row(row, len(keys)) for row in found]

    def _whole(
        self, imeis: Sequence[str], wanted: Wanted, what: str, end: str = "",
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        table, value = as_list(imeis, self._on_sqlite)
        where, values = conditions(wanted, self._on_sqlite)
        if not self._on_sqlite:
            # Each by its key: it would read a million rows rather than look up ten thousand.
            for way in ("hashjoin", "mergejoin", "seqscan"):
                self._conn.execute(text(f"SET LOCAL enable_{way} = off"))
        joined = self._from("d", wanted).replace(" WHERE ", " WHERE d.imei = j.value AND ", 1)
        query = f"SELECT {what} FROM {table} CROSS JOIN {joined}{where}{end}"
        found = self._conn.execute(text(query), {**values, **more, "imeis": value})
        return [tuple(row) for row in found]


def _row(values: tuple[Any, ...], keys: int) -> Row:
    end = keys + len(COLUMNS)
    enabled = bool(values[end - 1])
    device = Device(*values[keys : end - 1])._replace(enabled=enabled)
    presence = dict(zip(PRESENCE, values[end:], strict=True))
    return Row(tuple(values[:keys]), device, {**presence, "online": bool(presence["online"])})
