"""Reports: sums over the days of devices, by device, site or day.

By site and day, and the totals, they are sums of `usage_site`, which has a row for each site and
day. By device they are sums of `usage_day`: in one pass over the days asked for where these are
few, else only of the devices of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.store.usage_tables import SUMMED, usage_day, usage_site

COUNTS = SUMMED
BY = {"machine": "imei", "site": "site", "day": "day"}  # what a line is about: the column
MAX_LOOKS = 200_000  # into `usage_day`, for a page of devices


class AskedReport(NamedTuple):
    """Which days, of whom, by what."""

    by: str  # a key of BY
    first: int  # days since 1970, both included
    last: int
    site: str | None = None
    imei: str | None = None
    sites: frozenset[str] | None = None  # only of these


class Sums(NamedTuple):
    """One line. `key` is an IMEI, a site or a day; of the totals it is None."""

    key: str | int | None
    lines: int  # of the totals: how many there are; else 1
    starts: int
    done: int
    failed: int
    unknown: int
    refused: int
    open: int
    seconds: int
    times: int
    online: int
    span: int


assert Sums._fields[2:] == COUNTS
_COLUMNS = ", ".join(f"CAST(coalesce({name}, 0) AS BIGINT)" for name in COUNTS)
_TOTALS = ", ".join(f"CAST(coalesce(sum({name}), 0) AS BIGINT)" for name in COUNTS)


def lines(
    conn: Connection,
    asked: AskedReport,
    sort: str | None,
    limit: int,
    offset: int,
    *,
    summed: bool,
) -> tuple[Sums, list[Sums]]:
    """The totals, and a page of lines: by their key, or with the largest of a column of COUNTS
    first ("availability": the smallest first). `summed`: the sums of sites are whole, and what
    they can tell is read there."""
    table = "usage_day"
    if summed and asked.imei is None and asked.by != "machine":
        table = "usage_site"
    where, values = _where(asked)
    if table == "usage_site":
        where += " AND u.machines > 0"
    sums = ", ".join(f"sum(u.{name}) AS {name}" for name in COUNTS)
    column = BY[asked.by]
    key = "CAST(key AS TEXT)"
    statement = text(f"""
        WITH found AS MATERIALIZED (
            SELECT u.{column} AS key, {sums} FROM {table} u WHERE {where} GROUP BY u.{column}
        )
        SELECT 0 AS place, NULL AS key, count(*), {_TOTALS} FROM found
        UNION ALL
        SELECT * FROM (
            SELECT row_number() OVER (ORDER BY {_order(sort)}) AS place, {key}, 1, {_COLUMNS}
            FROM found ORDER BY place LIMIT :limit OFFSET :offset
        ) AS page
    """)
    rows = conn.execute(statement, {**values, "limit": limit, "offset": offset})
    total, *found = sorted(rows, key=lambda row: row[0])
    return _sums(total[1:], asked.by), [_sums(row[1:], asked.by) for row in found]


def total(conn: Connection, asked: AskedReport) -> tuple[Sums, int]:
    """The totals by the sums of sites (as of one line), and how many days of devices these are."""
    where, values = _where(asked)
    query = text(
        f"SELECT CAST(coalesce(sum(u.machines), 0) AS BIGINT), {_TOTALS} FROM usage_site u "
        f"WHERE {where}"
    )
    number, *counts = conn.execute(query, values).one()
    return Sums(None, 1, *counts), number


def known(conn: Connection, asked: AskedReport) -> int:
    """How many devices there are at these sites now: that many lines are by `machines`."""
    where, values = _at_sites(asked)
    return conn.scalar(text(f"SELECT count(*) FROM device d WHERE {where}"), values) or 0


def machines(
    conn: Connection, asked: AskedReport, limit: int, *, offset: int = 0, after: str = ""
) -> list[Sums]:
    """Lines of the devices that are known now, by IMEI, behind that one; also of devices that did
    nothing. At most `limit`, and fewer for many days."""
    listed = {f"day{n}": asked.first + n for n in range(asked.last - asked.first + 1)}
    where, values = _at_sites(asked)
    values |= {
        "after": after,
        "offset": offset,
        "limit": min(limit, MAX_LOOKS // len(listed) + 1),
    }
    page = text(
        f"SELECT d.imei FROM device d WHERE {where} AND d.imei > :after "
        "ORDER BY d.imei LIMIT :limit OFFSET :offset"
    )
    imeis: Sequence[str] = conn.scalars(page, values).all()
    if not imeis:
        return []
    sums = ", ".join(f"CAST(coalesce(sum(u.{name}), 0) AS BIGINT)" for name in COUNTS)
    some = {f"imei{n}": imei for n, imei in enumerate(imeis)}
    within, site_values = _within(asked)
    # Both columns of the key as lists: a look for each, where a range of days is a pass over all.
    query = text(
        f"SELECT u.imei, {sums} FROM usage_day u "
        f"WHERE u.day IN ({', '.join(f':{name}' for name in listed)}) "
        f"AND u.imei IN ({', '.join(f':{name}' for name in some)}){within} GROUP BY u.imei"
    )
    found = {row[0]: row[1:] for row in conn.execute(query, {**listed, **some, **site_values})}
    nothing = (0,) * len(COUNTS)
    return [Sums(imei, 1, *found.get(imei, nothing)) for imei in imeis]


def _where(asked: AskedReport) -> tuple[str, dict[str, object]]:
    where = "u.day >= :first AND u.day <= :last"
    values: dict[str, object] = {"first": asked.first, "last": asked.last}
    if asked.imei is not None:
        # Each day by its key: a year of one device is 365 looks, not a pass over all.
        listed = [f":day{number}" for number in range(asked.last - asked.first + 1)]
        values = {f"day{number}": asked.first + number for number in range(len(listed))}
        where = f"u.day IN ({', '.join(listed)}) AND u.imei = :imei"
        values["imei"] = asked.imei
    within, site_values = _within(asked)
    return where + within, values | site_values


def _within(asked: AskedReport, table: str = "u") -> tuple[str, dict[str, object]]:
    where, values = "", dict[str, object]()
    if asked.site is not None:
        where += f" AND {table}.site = :site"
        values["site"] = asked.site
    if asked.sites is not None:
        listed = sorted(asked.sites)
        values |= {f"site{number}": name for number, name in enumerate(listed)}
        names = ", ".join(f":site{number}" for number in range(len(listed)))
        where += f" AND {table}.site IN ({names})"
    return where, values


def _at_sites(asked: AskedReport) -> tuple[str, dict[str, object]]:
    within, values = _within(asked, "d")
    return f"1 = 1{within}", values


def _order(sort: str | None) -> str:
    if sort is None:
        return "key"
    if sort == "availability":  # the worst first; who has none comes last
        return "CASE WHEN span > 0 THEN online * 1.0 / span ELSE 2 END, key"
    assert sort in COUNTS
    return f"coalesce({sort}, 0) DESC, key"


def _sums(row: Sequence[object], by: str) -> Sums:
    key, *counts = row
    if key is not None and by == "day":
        key = int(str(key))
    return Sums(key, *counts)  # type: ignore[arg-type]


assert all(name in usage_day.c and name in usage_site.c for name in COUNTS)
