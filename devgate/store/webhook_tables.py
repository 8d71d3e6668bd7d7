"""The tables of webhooks: what each is, and how far it has got."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, String, Table, Text

from devgate.store.metadata import metadata

# One row for each receiver of events that ever existed.
webhook_target = Table(
    "webhook_target",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    # Every event up to this number was delivered, or is none of those that it gets.
    Column("position", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("next_at", Double),  # when it is tried again, after a failure
    Column("disabled", Text),  # why it gets nothing any more
    Column("error", Text),  # what went wrong the last time
    Column("delivered_at", Double),
    # Events that were deleted before it could have them.
    Column("missed", BigInteger, nullable=False, server_default="0"),
    # The newest event that was delivered, where that is ahead of the position ...
    Column("reached", BigInteger, nullable=False, server_default="0"),
    # ... and which events up to there were not: how far each is behind the position, in decimal,
    # with blanks between.
    Column("gaps", Text, nullable=False, server_default=""),
)

# Receivers that were added by command; those of gateway.toml stand there alone.
webhook = Table(
    "webhook",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    # As it is: a hash signs nothing.
    Column("secret", Text, nullable=False),
    Column("events", Text, nullable=False, server_default=""),  # with commas; nothing: all
    Column("added_at", Double, nullable=False),
)
