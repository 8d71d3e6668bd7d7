"""The table of events, and the conditions by which its indexes are used."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    String,
    Table,
    Text,
    literal_column,
    text,
    true,
)

from devgate.store.metadata import NUMBER, metadata, partial_index

event = Table(
    "event",
    metadata,
    Column("n", NUMBER, primary_key=True, autoincrement=False),
    # Never earlier than that of the event before: so a time is found by a search over the numbers.
    Column("at", Double, nullable=False),
    Column("type", String(32), nullable=False),
    Column("imei", String(15)),
    Column("command", String(26)),
    Column("detail", Text, nullable=False, server_default="{}"),
    # Whether it is found by its device, not by its command: see `numbering`.
    Column("by_device", Boolean, nullable=False, server_default=true()),
)
# In the form of the indexes: otherwise SQLite does not use them.
BY_DEVICE, BY_COMMAND = text("by_device"), text("NOT by_device")
partial_index("event_device", event.c.imei, event.c.n, where=BY_DEVICE)
partial_index("event_command", event.c.command, where=BY_COMMAND)

# Events that devices can cause any number of times. Readers of other types use an index without
# these. It grows at its end: one more page for each commit. An index by type would need one page
# for each type in a commit.
NOISE_TYPES = (
    "device.online", "device.offline", "device.taken_over", "device.flapping", "device.unknown",
    "device.mismatch", "device.echoing", "device.slow", "result.unsolicited",
)  # fmt: skip
# With NOT IN, SQLite takes five times as long for each event that is written.
NO_NOISE = " AND ".join(f"type <> '{name}'" for name in NOISE_TYPES)
# Not `n` alone: then both databases sometimes use the primary key, and read all the noise.
BY_NUMBER = "n + 0"
# Changes and logins (`events.kinds.AUDIT`).
AUDIT_TYPES = (
    "account.added", "account.changed", "account.removed", "session.began", "session.refused",
    "session.ended", "webhook.added", "webhook.changed", "webhook.removed", "operation.done",
    "device.added", "device.changed", "device.removed", "command.resolved",
)  # fmt: skip
IS_AUDIT = "type IN (" + ", ".join(f"'{name}'" for name in AUDIT_TYPES) + ")"
partial_index("event_audit", event.c.n + literal_column("0"), where=IS_AUDIT)
partial_index("event_without_noise", event.c.n + literal_column("0"), where=NO_NOISE)
