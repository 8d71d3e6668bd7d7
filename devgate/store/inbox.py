"""Reads the inbox of unknown outcomes: 408s that nobody has resolved, or that are contradicted.

Commands of a group stand together, at the place of its newest one. Commands that are older than
the inbox itself (`owner.inbox_at`), and stops, are returned only if they are asked for.

All that a filter compares is in the index, and WINDOW_ENTRIES entries of it are looked at for a
page: so a page costs the same, however many are unresolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, TextClause, bindparam, text

from devgate.store import statistics
from devgate.store.history import Record
from devgate.store.unresolved import CONTRADICTED, INBOX, INBOX_ORDER, RESOLVED

MAX_COUNT = 10_000  # that are counted
WINDOW_ENTRIES = 20_000  # entries of the index that one page, or one count, looks at
# Sites with at most this many devices: their devices are found first. For larger sites the device
# of each entry is looked up, for at most LOOKUP_ENTRIES entries, because a look-up costs more than
# an entry. With a million devices, every fiftieth entry then belongs to such a site.
MAX_INDEXED_DEVICES = 20_000
LOOKUP_ENTRIES = 2_000
MAX_GROUP = 1000  # commands of one group that are found

State = Literal["unresolved", "contradicted", "resolved"]

# Conditions of the scan: ranges of its index, or columns in it. In SQLite the value that an
# indexed expression is compared with must have no affinity.
_SCANNED = {
    "old": f"{INBOX_ORDER} >= coalesce((SELECT inbox_id FROM owner), '')",
}
# Conditions that are checked for each entry that was found.
_CONDITIONS = {
    "stops": "type = 'start'",
    "old": "ended_at >= (SELECT inbox_at FROM owner)",
    "imei": "imei = :imei",
    "site": "imei IN (SELECT imei FROM device WHERE site = :site)",
    "sites": "imei IN (SELECT imei FROM device WHERE site IN :sites)",
    "large site": "(SELECT d.site FROM device d WHERE d.imei = entry.imei) = :site",
    "large sites": "(SELECT d.site FROM device d WHERE d.imei = entry.imei) IN :sites",
    "before": "ended_at < :before",
    "since": "ended_at >= :since",
    "person": "(source = :person OR source LIKE :ends ESCAPE '!' "
    "OR resolved_by = :person OR resolved_by LIKE :ends ESCAPE '!')",
}
_AFTER = (
    f"{INBOX_ORDER} <= (SELECT {INBOX_ORDER} FROM command WHERE id = :after) "
    f"AND ({INBOX_ORDER} < (SELECT {INBOX_ORDER} FROM command WHERE id = :after) OR id < :after)"
)
_AFTER_RESOLVED = (
    "(resolved_at, id) < ((SELECT resolved_at FROM command WHERE id = :after), :after)"
)


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """The conditions of a search. Times are wall clock, of the 408."""

    state: State = "unresolved"
    stops: bool = False  # with stops
    old: bool = False  # with what is older than the inbox
    imei: str | None = None
    site: str | None = None
    sites: frozenset[str] | None = None  # one of these
    before: float | None = None
    since: float | None = None
    # Who asked for the command, or resolved it: the whole name, or the part after its last colon.
    person: str | None = None

    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions that hold."""
        left_out = [name for name in ("stops", "old") if not getattr(self, name)]
        given = ("imei", "site", "sites", "before", "since", "person")
        return (*left_out, *(name for name in given if getattr(self, name) is not None))

    def values(self) -> dict[str, Any]:
        """The values of the conditions' parameters."""
        given = ("imei", "site", "before", "since", "person")
        found = {name: value for name in given if (value := getattr(self, name)) is not None}
        if self.sites is not None:
            found["sites"] = sorted(self.sites)
        if self.person is not None:
            found["ends"] = "%:" + "".join(f"!{c}" if c in "!%_" else c for c in self.person)
        return found


class InboxPage(NamedTuple):
    """Commands with the name and site of their device, and the id behind which the next page
    begins; None at the end."""

    rows: Sequence[Record]
    next: str | None


class InboxCount(NamedTuple):
    """How many there are. With `more` these are only those that were looked at."""

    n: int = 0
    more: bool = False


NONE = InboxCount()


def page(conn: Connection, looked: InboxFilter, *, after: str | None, limit: int) -> InboxPage:
    """At most `limit` commands, the newest first, behind the one with the id `after`; resolved
    ones in the order in which they were resolved. A page may be short if few of many match."""
    conditions, window = _way(conn, looked)
    conditions += ("after",) if after is not None else ()
    values = {**looked.values(), "limit": limit + 1, "window": window}
    if after is not None:
        values["after"] = after
    ids = list(conn.scalars(_page(conn.dialect.name, looked.state, conditions), values))
    following = ids[limit - 1] if len(ids) > limit else _edge(conn, looked, conditions, values)
    found = by_ids(conn, ids[:limit]) if ids else {}
    rows = [found[id] for id in ids[:limit]]
    return InboxPage(statistics.with_names(conn, rows), following)


def count(conn: Connection, looked: InboxFilter) -> InboxCount:
    """How many there are, up to MAX_COUNT."""
    conditions, window = _way(conn, looked)
    values = {**looked.values(), "limit": MAX_COUNT + 1, "window": window}
    n = int(conn.scalar(_count(looked.state, conditions), values) or 0)
    if n > MAX_COUNT:
        return InboxCount(MAX_COUNT, True)
    return InboxCount(n, _edge(conn, looked, conditions, values) is not None)


def _way(conn: Connection, looked: InboxFilter) -> tuple[tuple[str, ...], int]:
    """The conditions, and how many entries to look at with them."""
    window, conditions = WINDOW_ENTRIES, list[str]()
    for name in looked.conditions():
        if name in ("site", "sites") and _is_large(conn, name, looked):
            conditions.append(f"large {name}")
            window = min(WINDOW_ENTRIES, LOOKUP_ENTRIES)
        else:
            conditions.append(name)
    return tuple(conditions), window


def _is_large(conn: Connection, name: str, looked: InboxFilter) -> bool:
    values = {**looked.values(), "limit": MAX_INDEXED_DEVICES + 1}
    return int(conn.scalar(_DEVICES[name], values) or 0) > MAX_INDEXED_DEVICES


def _edge(
    conn: Connection, looked: InboxFilter, conditions: tuple[str, ...], values: dict[str, Any]
) -> str | None:
    """The id of the last one that was looked at, if there are others behind it."""
    two = conn.scalars(
        _behind(looked.state, conditions), {**values, "ahead": values["window"] - 1}
    ).all()
    return str(two[0]) if len(two) > 1 else None


def group_of(conn: Connection, ids: Sequence[str]) -> Sequence[str]:
    """The commands in the inbox that belong to the groups of these commands, including these."""
    found = conn.scalars(_GROUPS, {"ids": list(ids), "limit": MAX_GROUP}).all()
    return [*dict.fromkeys((*ids, *found))]


def by_ids(conn: Connection, ids: Sequence[str]) -> dict[str, Record]:
    """The commands with these ids."""
    return {row.id: row._asdict() for row in conn.execute(_BY_IDS, {"ids": list(ids)})}


_DEVICES = {
    name: text(f"SELECT count(*) FROM (SELECT 1 FROM device WHERE {which} LIMIT :limit) AS known")
    for name, which in (("site", "site = :site"), ("sites", "site IN :sites"))
}
_DEVICES["sites"] = _DEVICES["sites"].bindparams(bindparam("sites", expanding=True))
_BY_IDS = text("SELECT * FROM command WHERE id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_GROUPS = text(
    f"SELECT id FROM command WHERE {INBOX} AND {INBOX_ORDER} IN "
    "(SELECT coalesce(group_id, id) FROM command WHERE id IN :ids) LIMIT :limit"
).bindparams(bindparam("ids", expanding=True))


@cache
def _page(dialect: str, state: State, conditions: tuple[str, ...]) -> TextClause:
    # The scan has the right order already. With ORDER BY, SQLite would sort all rows again.
    order = " ORDER BY place DESC, id DESC" if dialect == "postgresql" else ""
    return _bound(f"SELECT id FROM {_found(state, conditions)}{order} LIMIT :limit")


@cache
def _count(state: State, conditions: tuple[str, ...]) -> TextClause:
    query = (
        f"SELECT count(*) FROM (SELECT 1 FROM {_found(state, conditions)} LIMIT :limit) AS fitting"
    )
    return _bound(query)


def _bound(query: str) -> TextClause:
    statement = text(query)
    if ":sites" in query:
        return statement.bindparams(bindparam("sites", expanding=True))
    return statement


@cache
def _behind(state: State, conditions: tuple[str, ...]) -> TextClause:
    return text(f"SELECT id {_scan(state, conditions)} LIMIT 2 OFFSET :ahead")


def _found(state: State, conditions: tuple[str, ...]) -> str:
    """The entries of the scan that match."""
    place = "resolved_at" if state == "resolved" else INBOX_ORDER
    columns = f"{place} AS place, id, type, imei, ended_at, source, resolved_by"
    fitting = [
        _CONDITIONS[name]
        for name in conditions
        if name in _CONDITIONS and not (state == "resolved" and name == "old")
    ]
    where = f" WHERE {' AND '.join(fitting)}" if fitting else ""
    return f"(SELECT {columns} {_scan(state, conditions)} LIMIT :window) AS entry{where}"


def _scan(state: State, conditions: tuple[str, ...]) -> str:
    """The rows of the scan, in the form of the partial indexes: otherwise SQLite does not use
    them."""
    resolved = state == "resolved"
    found = [RESOLVED, f"NOT {CONTRADICTED}"] if resolved else [INBOX]
    if state == "contradicted":
        found.append(CONTRADICTED)
    for name in conditions:
        if name == "after":
            found.append(_AFTER_RESOLVED if resolved else _AFTER)
        elif name in _SCANNED and not resolved:  # whatever was resolved belongs there
            found.append(_SCANNED[name])
    order = "resolved_at" if resolved else INBOX_ORDER
    return f"FROM command WHERE {' AND '.join(found)} ORDER BY {order} DESC, id DESC"
