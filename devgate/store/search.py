"""Devices as people look for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, literal_column, or_, select

from devgate.store.device import Device
from devgate.store.devices import ALL, in_chunks
from devgate.store.schema import device as t

MAX_BY_KEY = 20_000  # IMEIs up to which they are looked up by their key
NEAR = 5000  # devices among which SQLite looks for a text before it looks at all of them
MAX_READ = 5000  # rows that are read at once where some are left out afterwards


def search(
    conn: Connection,
    after: str | None,
    limit: int,
    *,
    text: str | None = None,
    site: str | None = None,
    enabled: bool | None = None,
    imeis: Collection[str] | None = None,
    without: Collection[str] = (),
) -> list[Device]:
    """At most `limit` devices behind the IMEI `after`, ordered by IMEI.

    `text` is looked for in IMEI, name and site, whatever the case of its letters (in SQLite:
    of those from a to z). `imeis` restricts them to those, `without` leaves out those (sets, if
    they are many).
    """
    query = ALL.order_by(t.c.imei)
    on_sqlite = conn.dialect.name == "sqlite"
    for condition in _conditions(text, site, enabled, on_sqlite):
        query = query.where(condition)
    if text is not None and site is None and imeis is None and not without and on_sqlite:
        return _anywhere(conn, query, after or "", limit)
    if imeis is not None and len(imeis) <= MAX_BY_KEY:
        return _among(conn, query, after, limit, [i for i in imeis if i not in without])
    found: list[Device] = []
    size = MAX_READ if without or imeis is not None else limit
    while len(found) < limit:
        some = query if after is None else query.where(t.c.imei > after)
        rows = conn.execute(some.limit(size)).all()
        found += (
            Device._make(row)
            for row in rows
            if row.imei not in without and (imeis is None or row.imei in imeis)
        )
        if len(rows) < size:
            break
        after = rows[-1].imei
    return found[:limit]


def _anywhere(conn: Connection, query: Select[Any], after: str, limit: int) -> list[Device]:
    """What is found often is found near. Else all rows are looked at as they lie, and sorted then:
    SQLite would look up each by its key, for seconds where a million came in another order."""
    later = select(t.c.imei).where(t.c.imei > after).order_by(t.c.imei)
    bound = conn.scalar(later.offset(NEAR).limit(1))
    near = query.where(t.c.imei > after)
    if bound is not None:
        near = near.where(t.c.imei <= bound)
    rows = list(conn.execute(near.limit(limit)))
    if bound is not None and len(rows) < limit:
        imei = literal_column("+device.imei", String)  # the plus keeps the key's index out of it
        far = query.where(imei > bound).order_by(None).order_by(imei)
        rows += conn.execute(far.limit(limit - len(rows)))
    return list(map(Device._make, rows))


def _among(
    conn: Connection, query: Select[Any], after: str | None, limit: int, imeis: Sequence[str]
) -> list[Device]:
    """Where few run or are online: by their key, not by looking at all devices."""
    found: list[Device] = []
    wanted = sorted(imei for imei in imeis if after is None or imei > after)
    for some in in_chunks(wanted):
        found += map(Device._make, conn.execute(query.where(t.c.imei.in_(some))))
        if len(found) >= limit:
            break
    return found[:limit]


def _conditions(
    text: str | None, site: str | None, enabled: bool | None, on_sqlite: bool
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if site is not None:
        conditions.append(t.c.site == site)
    if enabled is not None:
        conditions.append(t.c.enabled.is_(enabled))
    if text is not None:
        # SQLite's LIKE does not mind the case, and takes half as long without making it equal.
        found = [
            column.contains(text, autoescape=True)
            if on_sqlite
            else column.icontains(text, autoescape=True)
            for column in (t.c.name, t.c.site)
        ]
        if text.isascii() and text.isdigit():
            found.append(t.c.imei.contains(text))
        conditions.append(or_(*found))
    return conditions
