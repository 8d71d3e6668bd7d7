"""How far each webhook has come. They are written with the journal, as rows of kind `target`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from devgate.store.schema import webhook_target

COLUMNS = tuple(column.name for column in webhook_target.columns)


def all_targets(conn: Connection) -> list[tuple[Any, ...]]:
    """All of them in the columns of the table, those that are not configured any more, too."""
    return [tuple(row) for row in conn.execute(select(webhook_target))]
