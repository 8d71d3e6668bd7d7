"""The tables that are moved, and how their rows differ between the databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Boolean, Integer, Table

from devgate.store import schema  # noqa: F401 (it makes the tables known)
from devgate.store.metadata import metadata
from devgate.store.node_tables import cluster, node

T = TypeVar("T")

Values = tuple[Any, ...]
Key = tuple[Any, ...]

# Nodes of a cluster are PostgreSQL's alone, and the new database has none yet.
TABLES = tuple(one for one in metadata.sorted_tables if one not in (cluster, node))


class MovedTable:
    """A table that is moved."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.columns = ", ".join(f'"{column.name}"' for column in table.columns)
        self.key = tuple(f'"{column.name}"' for column in table.primary_key)  # one or two
        self.array_types = tuple(  # of PostgreSQL, for many keys at once
            "bigint[]" if isinstance(column.type, Integer) else "text[]"
            for column in table.primary_key
        )
        names = [column.name for column in table.columns]
        self._places = tuple(names.index(column.name) for column in table.primary_key)
        self._flags = tuple(isinstance(column.type, Boolean) for column in table.columns)
        self._has_flags = any(self._flags)

    def key_of(self, row: Sequence[Any]) -> Key:
        """The key of a row."""
        return tuple(row[place] for place in self._places)

    def made(self, rows: Iterable[Values]) -> Iterator[Values]:
        """Rows of SQLite, with booleans instead of its 0 and 1."""
        if not self._has_flags:
            return iter(rows)
        return (
            tuple(
                bool(value) if flag and value is not None else value
                for flag, value in zip(self._flags, row, strict=True)
            )
            for row in rows
        )


MOVED = tuple(MovedTable(table) for table in TABLES)
KEYED = tuple(one for one in MOVED if one.key)
SINGLE = tuple(one for one in MOVED if not one.key)  # of one row, which is copied each time
BY_NAME = {one.name: one for one in MOVED}
EVENTS = BY_NAME["event"]  # they are only added to, and their number is their key


def slices(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values, at most `size` at a time."""
    remaining = iter(values)
    while some := list(islice(remaining, size)):
        yield some
