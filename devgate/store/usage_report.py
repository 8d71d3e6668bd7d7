"""Reports: sums over `usage_day`, by device, site or day, in one pass over the days asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from devgate.store.usage_tables import usage_day

COUNTS = (
    "starts", "done", "failed", "unknown", "refused", "open", "seconds", "times",
    "online", "span",
)  # fmt: skip
BY = {"machine": "imei", "site": "site", "day": "day"}  # what a line is about: the column


class Asked(NamedTuple):
    """Which days, of whom, by what."""

    by: str  # a key of BY
    first: int  # days since 1970, both included
    last: int
    site: str | None = None
    imei: str | None = None
    sites: frozenset[str] | None = None  # of nobody else


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


def lines(
    conn: Connection, asked: Asked, sort: str | None, limit: int, offset: int
) -> tuple[Sums, list[Sums]]:
    """The totals, and a page of lines: by their key, or with the largest of a column of COUNTS
    first ("availability": the smallest first)."""
    where, values = _where(asked)
    sums = ", ".join(f"sum(u.{name}) AS {name}" for name in COUNTS)
    columns = ", ".join(f"CAST(coalesce({name}, 0) AS BIGINT)" for name in COUNTS)
    totals = ", ".join(f"CAST(coalesce(sum({name}), 0) AS BIGINT)" for name in COUNTS)
    column = BY[asked.by]
    key = "CAST(key AS TEXT)"
    statement = text(f"""
        WITH found AS MATERIALIZED (
            SELECT u.{column} AS key, {sums} FROM usage_day u WHERE {where} GROUP BY u.{column}
        )
        SELECT 0 AS place, NULL AS key, count(*), {totals} FROM found
        UNION ALL
        SELECT * FROM (
            SELECT row_number() OVER (ORDER BY {_order(sort)}) AS place, {key}, 1, {columns}
            FROM found ORDER BY place LIMIT :limit OFFSET :offset
        ) AS page
    """)
    rows = conn.execute(statement, {**values, "limit": limit, "offset": offset})
    total, *found = sorted(rows, key=lambda row: row[0])
    return _sums(total[1:], asked.by), [_sums(row[1:], asked.by) for row in found]


def days(conn: Connection, asked: Asked) -> list[Sums]:
    """All lines by day, oldest first."""
    return lines(conn, asked._replace(by="day"), None, asked.last - asked.first + 1, 0)[1]


def _where(asked: Asked) -> tuple[str, dict[str, object]]:
    where = "u.day >= :first AND u.day <= :last"
    values: dict[str, object] = {"first": asked.first, "last": asked.last}
    if asked.imei is not None:
        # Each day by its key: a year of one device is 365 looks, not a pass over all.
        listed = [f":day{number}" for number in range(asked.last - asked.first + 1)]
        values = {f"day{number}": asked.first + number for number in range(len(listed))}
        where = f"u.day IN ({', '.join(listed)}) AND u.imei = :imei"
        values["imei"] = asked.imei
    if asked.site is not None:
        where += " AND u.site = :site"
        values["site"] = asked.site
    if asked.sites is not None:
        listed = sorted(asked.sites)
        values |= {f"site{number}": name for number, name in enumerate(listed)}
        where += f" AND u.site IN ({', '.join(f':site{number}' for number in range(len(listed)))})"
    return where, values


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


def oldest(conn: Connection) -> int | None:
    """The first day that was counted; None if there is none."""
    day: int | None = conn.scalar(text("SELECT min(day) FROM usage_day"))
    return day


assert all(name in usage_day.c for name in COUNTS)
