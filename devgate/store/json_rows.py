"""Rows for PostgreSQL, a statement for all rows of a kind.

They are one JSON text each time, so that one prepared statement serves any number of them: with a
parameter for each value every number of rows would be another statement, parsed and planned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from devgate.model import to_json
from devgate.store.batch import AFTER, KINDS, names, on_conflict
from devgate.store.numbering import Values

if TYPE_CHECKING:
    from devgate.store.trips import Trips


def as_json(columns: Sequence[str], rows: Iterable[Values]) -> str:
    """For json_populate_recordset()."""
    return to_json([dict(zip(columns, row, strict=True)) for row in rows])


@lru_cache(maxsize=8)
def _plain(kind: str) -> str:
    table, columns = KINDS[kind].table.name, names(KINDS[kind].columns)
    return (
        f"INSERT INTO {table} ({columns}) SELECT {columns} "
        f"FROM json_populate_recordset(NULL::{table}, $1::json){on_conflict(kind)}"
    )


def write_plain(trips: Trips, kind: str, rows: Iterable[Values]) -> None:
    """Write rows of a kind of `batch.KINDS`, whatever is there."""
    trips.ask(_plain(kind), as_json(KINDS[kind].columns, sorted(rows, key=itemgetter(0))))
    if kind in AFTER:
        trips.ask(AFTER[kind]("postgresql"))
