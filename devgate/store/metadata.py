"""The SQLAlchemy metadata of all tables, and what their definitions have in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, Integer, MetaData, TextClause, text

metadata = MetaData()

# In SQLite only INTEGER makes a key the row's own number, without a second index.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def partial_index(name: str, *columns: Any, where: str | TextClause, unique: bool = False) -> None:
    """An index of those rows alone for which the condition holds, in both databases."""
    rows = text(where) if isinstance(where, str) else where
    Index(name, *columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
