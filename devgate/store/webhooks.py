"""Receivers of events: those that were added by command, and how far each of all has come.

How far they have come is written with the journal, as rows of kind `target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from devgate.store.webhook_tables import webhook, webhook_target


def all_targets(conn: Connection) -> list[tuple[Any, ...]]:
    """All of them in the columns of the table, those that are not configured any more, too."""
    return [tuple(row) for row in conn.execute(select(webhook_target))]


def added(conn: Connection) -> list[dict[str, Any]]:
    """Those that were added by command, by name, with their secrets."""
    rows = conn.execute(select(webhook).order_by(webhook.c.name))
    return [dict(row._mapping) for row in rows]


def add(conn: Connection, row: Mapping[str, Any], shown: str, position: int) -> None:
    """Add one, to get what comes behind that event, wherever one of its name has been."""
    remove(conn, row["name"])  # it was unusable, or it would have been in the caller's way
    forget(conn, row["name"])
    conn.execute(insert(webhook).values(row))
    place = {"name": row["name"], "url": shown, "position": position}
    conn.execute(insert(webhook_target).values(place))


def change(conn: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Change these columns of the webhook with that name, if there is one."""
    conn.execute(update(webhook).where(webhook.c.name == name).values(values))


def remove(conn: Connection, name: str) -> bool:
    """False: there is none that was added."""
    return conn.execute(delete(webhook).where(webhook.c.name == name)).rowcount > 0


def forget(conn: Connection, name: str) -> None:
    """Forget how far one has come."""
    conn.execute(delete(webhook_target).where(webhook_target.c.name == name))
