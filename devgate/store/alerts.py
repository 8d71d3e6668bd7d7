"""Alerts on disk: rules and receivers, what fires, and what was sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from devgate.store.alert_tables import alert_firing, alert_log, alert_receiver, alert_rule

MAX_MESSAGES = 10_000  # messages of the record
TRIM_MESSAGES = 100  # ... and this many more, until the oldest are deleted

Row = dict[str, Any]
Key = tuple[float, str, str]  # fired_at, rule, subject: a place in the list of what fires


def _rows(conn: Connection, query: Any) -> list[Row]:
    return [dict(row._mapping) for row in conn.execute(query)]


# Rules and receivers


def rules(conn: Connection) -> list[Row]:
    """All rules, by name."""
    return _rows(conn, select(alert_rule).order_by(alert_rule.c.name))


def add_rule(conn: Connection, row: Mapping[str, Any]) -> None:
    """Add a rule. What one of its name had found is forgotten."""
    forget(conn, row["name"])
    conn.execute(insert(alert_rule).values(row))


def change_rule(
    conn: Connection, name: str, values: Mapping[str, Any], *, anew: bool = False
) -> bool:
    """Change these columns. `anew`: what it had found is forgotten. False: there is none."""
    if anew:
        forget(conn, name)
    changed = conn.execute(update(alert_rule).where(alert_rule.c.name == name).values(values))
    return changed.rowcount > 0


def remove_rule(conn: Connection, name: str) -> bool:
    """Remove a rule and what it has found. False: there is none."""
    forget(conn, name)
    return conn.execute(delete(alert_rule).where(alert_rule.c.name == name)).rowcount > 0


def receivers(conn: Connection) -> list[Row]:
    """All receivers, by name, with their secrets as they are stored."""
    return _rows(conn, select(alert_receiver).order_by(alert_receiver.c.name))


def add_receiver(conn: Connection, row: Mapping[str, Any]) -> None:
    """Add a receiver."""
    conn.execute(insert(alert_receiver).values(row))


def change_receiver(conn: Connection, name: str, values: Mapping[str, Any]) -> bool:
    """Change these columns. False: there is none."""
    query = update(alert_receiver).where(alert_receiver.c.name == name).values(values)
    return conn.execute(query).rowcount > 0


def remove_receiver(conn: Connection, name: str) -> bool:
    """Remove a receiver. False: there is none."""
    query = delete(alert_receiver).where(alert_receiver.c.name == name)
    return conn.execute(query).rowcount > 0


# What fires


def forget(conn: Connection, rule: str) -> None:
    """Forget what a rule has found."""
    conn.execute(delete(alert_firing).where(alert_firing.c.rule == rule))


def firing(conn: Connection) -> list[Row]:
    """All that fires, also what is over and was not told yet."""
    return _rows(conn, select(alert_firing).order_by(alert_firing.c.rule))


def firing_page(
    conn: Connection, after: Key | None, limit: int, rules: Collection[str] | None = None
) -> list[Row]:
    """What fires now, the newest first, behind that place; of these rules (None: of all)."""
    f = alert_firing.c
    query = select(alert_firing).where(f.cleared_at.is_(None))
    if rules is not None:
        query = query.where(f.rule.in_(rules))
    if after is not None:
        at, rule, subject = after
        query = query.where(
            or_(
                f.fired_at < at,
                and_(f.fired_at == at, f.rule < rule),
                and_(f.fired_at == at, f.rule == rule, f.subject < subject),
            )
        )
    order = (f.fired_at.desc(), f.rule.desc(), f.subject.desc())
    return _rows(conn, query.order_by(*order).limit(limit))


def firing_count(conn: Connection, rules: Collection[str] | None = None) -> int:
    """How many fire now; of these rules (None: of all)."""
    query = select(func.count()).select_from(alert_firing)
    if rules is not None:
        query = query.where(alert_firing.c.rule.in_(rules))
    return conn.scalar(query.where(alert_firing.c.cleared_at.is_(None))) or 0


_KEYED = delete(alert_firing).where(
    alert_firing.c.rule == bindparam("its_rule"),
    alert_firing.c.subject == bindparam("its_subject"),
)


def save_firing(conn: Connection, rows: Sequence[Row], gone: Iterable[tuple[str, str]]) -> None:
    """Write these rows in the place of what was there, and delete others by rule and subject."""
    if rows:
        _put(conn, alert_firing, rows, ("rule", "subject"))
    if keys := [{"its_rule": rule, "its_subject": subject} for rule, subject in gone]:
        conn.execute(_KEYED, keys)


def _put(conn: Connection, table: Any, rows: Sequence[Row], key: Collection[str]) -> None:
    """Insert, or overwrite what has that key."""
    dialect = sqlite if conn.dialect.name == "sqlite" else postgresql
    query = dialect.insert(table)
    values = {c.name: query.excluded[c.name] for c in table.columns if c.name not in key}
    conn.execute(query.on_conflict_do_update(index_elements=list(key), set_=values), rows)


# What was sent


def log_put(conn: Connection, rows: Sequence[Row]) -> None:
    """Write messages and what became of them. The oldest are deleted when there are too many."""
    _put(conn, alert_log, rows, ("id",))
    c = alert_log.c
    past = select(c.id).order_by(c.id.desc()).offset(MAX_MESSAGES + TRIM_MESSAGES).limit(1)
    if conn.scalar(past) is None:
        return
    oldest = conn.scalar(select(c.id).order_by(c.id.desc()).offset(MAX_MESSAGES - 1).limit(1))
    conn.execute(delete(alert_log).where(c.id < oldest))


def log_page(
    conn: Connection, *, receiver: str | None, after: str | None, limit: int,
    since: Mapping[str, float] | None = None,
) -> list[Row]:  # fmt: skip
    """Messages, the newest first, behind the one with the id `after`; with `since` only those to
    these receivers, each since that time (wall clock)."""
    c = alert_log.c
    query = select(alert_log).order_by(c.id.desc()).limit(limit)
    if receiver is not None:
        query = query.where(c.receiver == receiver)
    if since is not None:
        of_receivers = [and_(c.receiver == name, c.at >= at) for name, at in since.items()]
        query = query.where(or_(false(), *of_receivers))
    if after is not None:
        query = query.where(c.id < after)
    return _rows(conn, query)
