"""Rows of devices with their presence: in the order of an index, or of a set as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from devgate.store.device import MEMORY_COLUMNS, Device
from devgate.store.device_filters import WantedDevices, as_list, conditions, few
from devgate.store.device_orders import KEYS, Key, Walk

PRESENCE = ("online", "since", "heard", "address", "running_until", "incarnation")
_SHOWN = ", ".join([*(f"d.{c}" for c in MEMORY_COLUMNS), *(f"p.{c}" for c in PRESENCE)])

_BY_KEY = text(
    "SELECT set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)"
)
_ABOUT = text("SELECT reltuples FROM pg_class WHERE oid = CAST('device' AS regclass)")


class DeviceRow(NamedTuple):
    """A device of a page, with its row of `presence`."""

    key: Key
    device: Device
    presence: dict[str, Any]


_FIRST = {"d": "device d CROSS JOIN presence p", "p": "presence p CROSS JOIN device d"}


class Rows:
    """What a search reads, in one direction. `down`: from the last to the first."""

    def __init__(self, conn: Connection, wanted: WantedDevices, down: bool) -> None:
        self._conn = conn
        self._wanted = wanted
        self._down = down
        self.on_sqlite = conn.dialect.name == "sqlite"
        self._set: Sequence[str] | None = None
        self._asked = 0  # up to how many the set may have that was looked for

    def about(self) -> float:
        """The number of devices by PostgreSQL's estimate; negative if it has none."""
        return float(self._conn.scalar(_ABOUT) or 0)

    def bound(self, walk: Walk, start: Key | None, size: int) -> Key | None:
        """The key of the last of the next `size` devices; None: there are not more than these."""
        between, values = self._between(walk, start, None)
        table = "device d" if walk.table == "d" else "presence p"
        query = (
            f"SELECT {', '.join(walk.columns)} FROM {table} WHERE true{between} "
            f"ORDER BY {self._order(walk.columns)} LIMIT 1 OFFSET :size"
        )
        row = self._conn.execute(text(query), {**values, "size": size}).first()
        return None if row is None else tuple(row)

    def select(
        self, walk: Walk, start: Key | None, bound: Key | None, limit: int, wanted: WantedDevices
    ) -> list[DeviceRow]:
        """The matching devices between two keys, in the order of the index."""
        where, values = conditions(wanted, self.on_sqlite)
        between, more = self._between(walk, start, bound)
        self._by_key()
        query = (
            f"SELECT {', '.join(walk.columns)}, {_SHOWN} FROM {self._source(walk.table, wanted)}"
            f"{where}{between} ORDER BY {self._order(walk.columns)} LIMIT :limit"
        )
        found = self._conn.execute(text(query), {**values, **more, "limit": limit})
        return [_row(tuple(row), len(walk.columns)) for row in found]

    def count(self, walk: Walk, bound: Key | None, limit: int) -> int:
        """The number of matching devices up to that key, at most `limit`."""
        where, values = conditions(self._wanted, self.on_sqlite)
        between, more = self._between(walk, None, bound)
        query = (
            f"SELECT count(*) FROM (SELECT 1 FROM {self._source('d', self._wanted)}{where}"
            f"{between} LIMIT :limit) AS found"
        )
        values |= {**more, "limit": limit}
        return int(self._conn.scalar(text(query), values) or 0)

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

    def _source(self, table: str, wanted: WantedDevices) -> str:
        """The tables, in the order in which SQLite must read them."""
        joined = f"{_FIRST[table]}"
        on = " WHERE p.imei = d.imei"
        if wanted.idle_since is not None or wanted.failing is not None:
            return f"{joined} CROSS JOIN device_starts u{on} AND u.imei = d.imei"
        return joined + on

    # A set as a whole

    def few(self, wanted: WantedDevices, limit: int) -> Sequence[str] | None:
        """The IMEIs of a set that an index gives; None if it has more than `limit`."""
        if wanted is not self._wanted:
            return few(self._conn, wanted, limit)
        if self._set is None and self._asked < limit:
            self._set, self._asked = few(self._conn, wanted, limit), limit
        return self._set

    def sorted(
        self, imeis: Sequence[str], wanted: WantedDevices, sort: str, start: Key | None, limit: int
    ) -> list[DeviceRow]:
        """Those of a set that fit, behind a key of that order."""
        keys, values, behind = KEYS[sort], {}, ""
        if start is not None:
            names = [f"start{n}" for n in range(len(start))]
            values = dict(zip(names, start, strict=True))
            marks = ", ".join(f":{one}" for one in names)
            behind = f" AND ({', '.join(keys)}) {'<' if self._down else '>'} ({marks})"
        end = f"{behind} ORDER BY {self._order(keys)} LIMIT :limit"
        what = f"{', '.join(keys)}, {_SHOWN}"
        found = self.whole(imeis, wanted, what, end, {**values, "limit": limit})
        return [_row(row, len(keys)) for row in found]

    def whole(
        self, imeis: Sequence[str], wanted: WantedDevices, what: str, end: str = "",
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """What is asked of those of a set that fit."""
        table, value = as_list(imeis, self.on_sqlite)
        where, values = conditions(wanted, self.on_sqlite)
        self._by_key()
        joined = self._source("d", wanted).replace(" WHERE ", " WHERE d.imei = j.value AND ", 1)
        query = f"SELECT {what} FROM {table} CROSS JOIN {joined}{where}{end}"
        found = self._conn.execute(text(query), {**values, **more, "imeis": value})
        return [tuple(row) for row in found]

    def _by_key(self) -> None:
        """Make PostgreSQL look up the rows of the second table by key in this transaction:
        otherwise it reads a million rows instead of looking up ten thousand."""
        if not self.on_sqlite:
            self._conn.execute(_BY_KEY)


def _row(values: tuple[Any, ...], keys: int) -> DeviceRow:
    end = keys + len(MEMORY_COLUMNS)
    enabled = bool(values[end - 1])
    device = Device(*values[keys : end - 1])._replace(enabled=enabled)
    presence = dict(zip(PRESENCE, values[end:], strict=True))
    return DeviceRow(
        tuple(values[:keys]), device, {**presence, "online": bool(presence["online"])}
    )
