"""The inbox of unknown outcomes, for reading: 408s that nobody has resolved, or that are
contradicted.

Commands of a group stand together, at the place of its newest one. What is older than the inbox
itself (`owner.inbox_at`), and stops, are there but left out unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection, TextClause, bindparam, text

from devgate.store import statistics
from devgate.store.history import Record
from devgate.store.unresolved import CONTRADICTED, INBOX, INBOX_ORDER, RESOLVED

MOST = 10_000  # that are counted
GROUP = 1000  # commands of one group that are found

State = Literal["unresolved", "contradicted", "resolved"]

# The first condition of `old` keeps what is older than the inbox out of the scan of the index.
# What an index of an expression is compared with must have no affinity in SQLite.
_CONDITIONS = {
    "stops": "type = 'start'",
    "old": f"{INBOX_ORDER} >= coalesce((SELECT inbox_id FROM owner), '') "
    "AND ended_at >= (SELECT inbox_at FROM owner)",
    "imei": "imei = :imei",
    "site": "EXISTS (SELECT 1 FROM device d WHERE d.imei = command.imei AND d.site = :site)",
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
class Looked:
    """Which of them are looked for. Times are wall clock, of the 408."""

    state: State = "unresolved"
    stops: bool = False  # with stops
    old: bool = False  # with what is older than the inbox
    imei: str | None = None
    site: str | None = None
    before: float | None = None
    since: float | None = None
    # Who asked for the command, or resolved it: the whole name, or what is behind its last colon.
    person: str | None = None

    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions that hold."""
        left_out = [name for name in ("stops", "old") if not getattr(self, name)]
        given = ("imei", "site", "before", "since", "person")
        return (*left_out, *(name for name in given if getattr(self, name) is not None))

    def values(self) -> dict[str, Any]:
        """The values of the conditions' parameters."""
        given = ("imei", "site", "before", "since", "person")
        found = {name: value for name in given if (value := getattr(self, name)) is not None}
        if self.person is not None:
            found["ends"] = "%:" + "".join(f"!{c}" if c in "!%_" else c for c in self.person)
        return found


def page(
    conn: Connection, looked: Looked, *, after: str | None, limit: int
) -> Sequence[dict[str, Any]]:
    """Commands with the name and site of their device, the newest first, behind the one with the
    id `after`; resolved ones in the order in which they were resolved."""
    conditions = looked.conditions() + (("after",) if after is not None else ())
    values = {**looked.values(), "limit": limit}
    if after is not None:
        values["after"] = after
    rows = [dict(row._mapping) for row in conn.execute(_page(looked.state, conditions), values)]
    known = statistics.names(conn, {row["imei"] for row in rows})
    for row in rows:
        row["name"], row["site"] = known.get(row["imei"], ("", ""))
    return rows


def count(conn: Connection, looked: Looked) -> int:
    """How many there are, up to MOST + 1."""
    statement = _count(looked.state, looked.conditions())
    return int(conn.scalar(statement, {**looked.values(), "most": MOST + 1}) or 0)


def group_of(conn: Connection, ids: Sequence[str]) -> Sequence[str]:
    """Those of these commands' groups that are in the inbox, with these themselves."""
    found = conn.scalars(_GROUPS, {"ids": list(ids), "most": GROUP}).all()
    return [*dict.fromkeys((*ids, *found))]


def by_ids(conn: Connection, ids: Sequence[str]) -> dict[str, Record]:
    """The commands with these ids."""
    return {row.id: row._asdict() for row in conn.execute(_BY_IDS, {"ids": list(ids)})}


_BY_IDS = text("SELECT * FROM command WHERE id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_GROUPS = text(
    f"SELECT id FROM command WHERE {INBOX} AND {INBOX_ORDER} IN "
    "(SELECT coalesce(group_id, id) FROM command WHERE id IN :ids) LIMIT :most"
).bindparams(bindparam("ids", expanding=True))


@cache
def _page(state: State, conditions: tuple[str, ...]) -> TextClause:
    order = "resolved_at" if state == "resolved" else INBOX_ORDER
    where = _where(state, conditions)
    return text(f"SELECT * {where} ORDER BY {order} DESC, id DESC LIMIT :limit")


@cache
def _count(state: State, conditions: tuple[str, ...]) -> TextClause:
    return text(
        f"SELECT count(*) FROM (SELECT 1 {_where(state, conditions)} LIMIT :most) AS found"
    )


def _where(state: State, conditions: tuple[str, ...]) -> str:
    """From which rows: written as the partial indexes have it, else SQLite does not use them."""
    resolved = state == "resolved"
    found = [RESOLVED, f"NOT {CONTRADICTED}"] if resolved else [INBOX]
    if state == "contradicted":
        found.append(CONTRADICTED)
    for name in conditions:
        if name == "after":
            found.append(_AFTER_RESOLVED if resolved else _AFTER)
        elif not (resolved and name == "old"):  # whatever was resolved belongs there
            found.append(_CONDITIONS[name])
    return "FROM command WHERE " + " AND ".join(found)
