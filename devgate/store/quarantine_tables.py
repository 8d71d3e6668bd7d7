"""The tables of a quarantine: whether there is one, and keys whose starts are accepted in it."""

from __future__ import annotations

from sqlalchemy import Column, Double, String, Table, Text

from devgate.store.metadata import metadata

# One row while starts are refused, else none.
quarantine = Table(
    "quarantine",
    metadata,
    Column("since", Double, nullable=False),
    Column("copied_at", Double),  # when the copy that was restored was made, if that is known
    Column("reason", Text, nullable=False),
)

# Keys of orders that the shop has never tried: at most `quarantine.MAX_KEYS` (100,000) of them.
untried_key = Table(
    "untried_key",
    metadata,
    Column("key", String(128), primary_key=True),
    sqlite_with_rowid=False,
)
