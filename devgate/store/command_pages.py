"""Pages of commands: filtered, newest first, forward and back, and how many there are.

An index finds a page, so that it costs about as much as it shows. For a condition without an index
(a site, who asked, start or stop) each request looks at the next FIRST_COMMANDS + MORE_COMMANDS
commands only. The page may then be shorter than was asked for, and `next` continues behind the
last one that was looked at. So the cost of a page is bounded, however many commands there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from devgate.store.command_looks import (
    ENDED,
    LAST_ID,
    CommandSearch,
    CommandStream,
    WantedCommands,
    prepared,
)
from devgate.store.history import Record, page
from devgate.store.numbering import floor_id
from devgate.store.site_devices import some
from devgate.store.statistics import names

FIRST_COMMANDS, MORE_COMMANDS = (
    2000,
    6000,
)  # commands that are looked at for what no index knows, in two steps
MAX_COUNT = 10_000  # up to which commands are counted
FEW_DEVICES = 200  # of a site whose commands are looked up device by device


class CommandPage(NamedTuple):
    """Commands, newest first. `next` and `prev`: the ids behind and before which to go on."""

    rows: Sequence[Record]
    next: str | None
    prev: str | None


def find(
    conn: Connection, wanted: WantedCommands, limit: int, after: str | None = None,
    before: str | None = None,
) -> CommandPage:  # fmt: skip
    """At most `limit` commands that are older than the id `after`, or newer than `before`."""
    if wanted.key is not None:
        return _of_key(conn, wanted, limit, after)
    back = after is None and before is not None
    start = (before if back else after) or LAST_ID
    look = prepared(conn, wanted)
    rows, ahead = _rows(conn, look, wanted, start, limit, back)
    if len(rows) > limit:
        rows, ahead = rows[:limit], rows[limit - 1]["id"]
    if back:
        rows.reverse()
        return CommandPage(rows, rows[-1]["id"] if rows else None, ahead)
    return CommandPage(rows, ahead, rows[0]["id"] if rows and after is not None else None)


def _rows(
    conn: Connection,
    look: CommandSearch,
    wanted: WantedCommands,
    start: str,
    limit: int,
    back: bool,
) -> tuple[list[dict[str, Any]], str | None]:
    """At most `limit` + 1 rows; and the id of the last command that was looked at, if there may be
    more."""
    if not look.filters:
        return _select(conn, look, start, None, limit + 1, back), None
    rows: list[dict[str, Any]] = []
    for size in (FIRST_COMMANDS, MORE_COMMANDS):
        bound = _bound(conn, look, start, size, back)
        rows += _select(conn, look, start, bound, limit + 1 - len(rows), back)
        if len(rows) > limit or bound is None:
            return rows, None
        start = bound
        if not back and size == FIRST_COMMANDS and (few := _devices(conn, wanted)):
            return rows + _device_by_device(conn, look, few, start, limit + 1 - len(rows)), None
    return rows, start


def _select(
    conn: Connection, look: CommandSearch, start: str, bound: str | None, limit: int, back: bool
) -> list[dict[str, Any]]:
    """The rows behind `start`, up to `bound`, in the order that was asked for."""
    order = "ASC" if back else "DESC"
    values: dict[str, Any] = {**look.values, "limit": limit}
    each = []
    for one in look.streams:
        where, ends = _between(one.id, look, start, bound, back)
        values |= ends
        each.append(
            f"SELECT c.* FROM {_table(conn, one)} WHERE {where}"
            f"{one.condition}{look.filters} ORDER BY {one.id} {order} LIMIT :limit"
        )
    query = each[0]
    if len(each) > 1:
        both = " UNION ALL ".join(f"SELECT * FROM ({one}) AS s{n}" for n, one in enumerate(each))
        query = f"SELECT * FROM ({both}) AS found ORDER BY id {order} LIMIT :limit"
    return [dict(row._mapping) for row in _run(conn, query, values)]


def _table(conn: Connection, one: CommandStream) -> str:
    by = f" INDEXED BY {one.by}" if one.by and conn.dialect.name == "sqlite" else ""
    return f"command c{by}"


def _between(
    id: str, look: CommandSearch, start: str, bound: str | None, back: bool
) -> tuple[str, dict[str, str]]:
    """The condition: behind `start`, up to `bound`, and within the time that was asked for.

    One limit at each end: of two limits SQLite uses one for the index, and reads whole rows for
    the other.
    """
    first, last = look.values["first"], look.values["last"]
    if back:
        above, low = (">", start) if start >= first else (">=", first)
        below, high = ("<", last) if bound is None or bound >= last else ("<=", bound)
    else:
        above, low = ">=", first if bound is None else max(first, bound)
        below, high = "<", min(start, last)
    return f"{id} {above} :low AND {id} {below} :high", {"low": low, "high": high}


def _bound(conn: Connection, look: CommandSearch, start: str, size: int, back: bool) -> str | None:
    """The id up to which about `size` commands are looked at; None: to the end."""
    found: list[str] = []
    for one in look.streams:
        where, ends = _between(one.id, look, start, None, back)
        query = (
            f"SELECT c.id FROM {_table(conn, one)} WHERE {where}"
            f"{one.condition} ORDER BY {one.id} {'ASC' if back else 'DESC'} LIMIT 1 OFFSET :size"
        )
        values = {**look.values, **ends, "size": size // len(look.streams)}
        found += [str(row[0]) for row in _run(conn, query, values)]
    return (min(found) if back else max(found)) if found else None


def _devices(conn: Connection, wanted: WantedCommands) -> Sequence[str]:
    """The devices of small sites, if the site is the only condition without an index."""
    sites = wanted.sites if wanted.site is None else {wanted.site}
    alone = WantedCommands(since=wanted.since, until=wanted.until)
    if sites is None or wanted not in (
        alone._replace(site=wanted.site), alone._replace(sites=wanted.sites)
    ):  # fmt: skip
        return []
    found = some(conn, sites, FEW_DEVICES + 1)
    return found if len(found) <= FEW_DEVICES else []


_OF_DEVICE = text(
    "SELECT c.id FROM command c WHERE c.imei = :imei AND c.id < :start AND c.id >= :first "
    "AND c.id < :last ORDER BY c.id DESC LIMIT :limit"
)


def _device_by_device(
    conn: Connection, look: CommandSearch, imeis: Sequence[str], start: str, limit: int
) -> list[dict[str, Any]]:
    bounds = {"first": look.values["first"], "last": look.values["last"]}
    ids: list[str] = []
    for imei in imeis:
        values = {"imei": imei, "start": start, "limit": limit, **bounds}
        ids += conn.scalars(_OF_DEVICE, values)
    newest = sorted(ids, reverse=True)[:limit]
    return [dict(row._mapping) for id in newest for row in conn.execute(_BY_ID, {"id": id})]


_BY_ID = text("SELECT * FROM command WHERE id = :id")


def _run(conn: Connection, query: str, values: dict[str, Any]) -> Iterator[Any]:
    named = {name: value for name, value in values.items() if f":{name}" in query}
    return iter(conn.execute(text(query), named))


def _of_key(
    conn: Connection, wanted: WantedCommands, limit: int, after: str | None
) -> CommandPage:
    """The commands of one key: they are few, so all other conditions are checked in each."""
    first = "" if wanted.since is None else floor_id(wanted.since)
    last = LAST_ID if wanted.until is None else floor_id(wanted.until)
    statuses = {s for name in wanted.outcomes for s in ENDED.get(name, ())}
    found = page(
        conn, imei=wanted.imei, state=wanted.state, key=wanted.key, after=after, limit=limit + 1
    )
    known = names(conn, {row["imei"] for row in found})

    def fits(row: Record) -> bool:
        ended = row["state"] == "ended"
        outcome = row["status"] in statuses if ended else "pending" in wanted.outcomes
        return (
            (outcome or not wanted.outcomes)
            and first <= row["id"] < last
            and wanted.kind in (None, row["type"])
            and wanted.source in (None, row["source"])
            and wanted.site in (None, known.get(row["imei"], ("", ""))[1])
            and (wanted.sites is None or known.get(row["imei"], ("", ""))[1] in wanted.sites)
        )

    rows = [row for row in found[:limit] if fits(row)]
    return CommandPage(rows, found[limit - 1]["id"] if len(found) > limit else None, None)


def count(conn: Connection, wanted: WantedCommands) -> tuple[int, bool]:
    """How many there are, and whether there may be more: at most MAX_COUNT are counted, and with a
    condition without an index only among the newest."""
    if wanted.key is not None:
        return len(_of_key(conn, wanted, MAX_COUNT, None).rows), False
    look, total, bound = prepared(conn, wanted), 0, None
    if look.filters:
        bound = _bound(conn, look, LAST_ID, FIRST_COMMANDS + MORE_COMMANDS, back=False)
    for one in look.streams:
        where, ends = _between(one.id, look, LAST_ID, bound, back=False)
        query = (
            f"SELECT count(*) FROM (SELECT 1 FROM {_table(conn, one)} WHERE {where}{one.condition}"
            f"{look.filters} LIMIT :limit) AS found"
        )
        limit = MAX_COUNT + 1 - total
        values = {**look.values, **ends, "limit": limit}
        total += next(_run(conn, query, values))[0]
        if total > MAX_COUNT:
            return MAX_COUNT, True
    return total, bound is not None
