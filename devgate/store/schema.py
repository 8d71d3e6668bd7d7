"""The tables, the same in SQLite and PostgreSQL. Times are seconds since 1970, UTC.

They are in the form that the statements see. `migrations` makes them, and the triggers that count
changes of devices. The tables of accounts, nodes, webhooks, alerts, maintenance and events have
files of their own.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    literal_column,
    true,
)

from devgate.store import (  # noqa: F401 (they belong to `metadata`)
    account_tables,
    alert_tables,
    event_tables,
    maintenance_tables,
    node_tables,
    quarantine_tables,
    usage_tables,
    webhook_tables,
)
from devgate.store.device import RECORD
from devgate.store.metadata import metadata as metadata  # with all tables
from devgate.store.metadata import partial_index
from devgate.store.unresolved import INBOX, INBOX_ORDER, RESOLVED

SCHEMA = "0024"  # the newest migration: what this version of devgate works with
VERSION_TABLE = "devgate_version"  # not Alembic's own name: the database may be shared

device = Table(
    "device",
    metadata,
    Column("imei", String(15), primary_key=True),
    Column("id", Integer, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("site", Text, nullable=False, server_default=""),
    Column("phone", Text),
    Column("qr", Text),
    Column("unit", String(7), nullable=False, server_default="seconds"),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("ack_timeout", Double),  # seconds; NULL: [command] ack_timeout
    Column("revision", BigInteger, nullable=False, server_default="0", index=True),
    Column("added", BigInteger, nullable=False, server_default="0"),  # its first revision
    # The record of the machine (`machine_record`): read where it is shown, and never in memory.
    *(Column(name, Double if name in ("latitude", "longitude") else Text) for name in RECORD),
    # Other programs write here, too: what they cannot mean is refused to them at once.
    CheckConstraint("length(imei) = 15", name="device_imei"),
    CheckConstraint("unit in ('seconds', 'times')", name="device_unit"),
    CheckConstraint("length(phone) <= 976", name="device_phone"),
    CheckConstraint("length(qr) <= 976", name="device_qr"),
)
Index("device_site", device.c.site, device.c.imei)  # pages of one site, and the list of sites
Index("device_name", device.c.name, device.c.imei)
for _name in ("serial", "iccid", "model"):  # by these machines are looked for
    _given = f"{_name} is not null"
    partial_index(f"device_{_name}", device.c[_name], device.c.imei, where=_given)
partial_index(
    "device_placed",
    device.c.site,
    device.c.latitude,
    device.c.longitude,
    where="latitude is not null",
)
partial_index("device_disabled", device.c.imei, where="not enabled")

# IMEIs that were removed. One that was added again stays here: then the row of `device` counts.
device_removed = Table(
    "device_removed",
    metadata,
    Column("imei", String(15), primary_key=True),
    Column("revision", BigInteger, nullable=False, index=True),
)

# One row: the number of the latest change of `device`. Whoever has seen n in a
# transaction will never miss a row whose revision is n or less.
revision = Table("revision", metadata, Column("n", BigInteger, nullable=False))

presence = Table(
    "presence",
    metadata,
    Column("imei", String(15), primary_key=True),
    Column("online", Boolean, nullable=False, server_default=false()),
    Column("since", Double),
    Column("heard", Double),
    Column("address", Text),
    Column("running_until", Double),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    # In a cluster: which node's which incarnation has the device. One gateway alone: NULL.
    Column("node", String(64)),
    Column("incarnation", BigInteger),
)
partial_index("presence_node", presence.c.incarnation, where="online and incarnation is not null")
# Every device has a row here, and in `device_starts`, by triggers: lists read both.
Index("presence_list", presence.c.online, presence.c.since, presence.c.imei)
# No index on `running_until`: each start would change it, and only a gateway that starts asks.

# How the latest starts of each device went: see `store.starts`.
device_starts = Table(
    "device_starts",
    metadata,
    Column("imei", String(15), primary_key=True),
    # Starts that were sent, and those that did not succeed; each weighs 2 % less than the next.
    Column("asked", Double, nullable=False, server_default="0"),
    Column("failed", Double, nullable=False, server_default="0"),
    Column("rate", Double, nullable=False, server_default="0"),  # failed / asked, to the 1/1000
    # The last confirmed one, in hours since 1970: an index that is not written at each start.
    Column("started_hour", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
Index("device_idle", device_starts.c.started_hour, device_starts.c.imei)
partial_index("device_failing", device_starts.c.rate, device_starts.c.imei, where="rate > 0.01")
# Beside these there are the words of devices: `device_words`, in SQLite a table of FTS5, in
# PostgreSQL an index.

command = Table(
    "command",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("imei", String(15), nullable=False),
    Column("type", String(5), nullable=False),
    Column("long", Integer),
    Column("key", String(128)),
    # The key again, once something may have been sent under it: what makes it unique.
    Column("spent", String(128)),
    Column("status", String(3), nullable=False),
    Column("state", String(7), nullable=False),
    Column("message", Text, nullable=False),
    Column("late", Boolean, nullable=False, server_default=false()),
    Column("source", String(160), nullable=False),  # as `maintenance.source`
    Column("accepted_at", Double, nullable=False),
    Column("sent_at", Double),
    Column("ended_at", Double),
    Column("late_at", Double),
    Column("expires_at", Double),
    Column("timeout", Double),
    Column("running", Boolean, nullable=False, server_default=false()),
    # In which order commands were sent: a counter that no clock changes. NULL: never sent.
    Column("sequence", BigInteger),
    # A 408 of which nobody knows whether one of the answers that came was its own.
    Column("ambiguous", Boolean, nullable=False, server_default=false()),
    # Why a 423 was refused; and whether the answer came from another address than the one before.
    Column("why", String(12)),
    Column("new_address", Boolean, nullable=False, server_default=false()),
    # Of an ambiguous 408, also later: the newest command of its group.
    Column("group_id", String(26)),
    # In a cluster: the incarnation of the node that works on it.
    Column("incarnation", BigInteger),
    # What a person said of a 408, and the status that it had then. No other statement than that
    # of `verdicts` writes these.
    Column("verdict", String(11)),
    Column("note", Text),
    Column("resolved_by", String(160)),
    Column("resolved_at", Double),
    Column("resolved_status", String(3)),
    CheckConstraint("state in ('waiting', 'sent', 'ended')", name="command_state"),
    sqlite_with_rowid=False,  # its key is its order: a second tree would only cost
)
Index("command_device", command.c.imei, command.c.id)
# A command with a key is in one of the two, so that a search by key reads both.
partial_index("command_spent", command.c.spent, unique=True, where="spent is not null")
partial_index(
    "command_refused", command.c.key, command.c.id, where="key is not null and spent is null"
)
# What recovery reads after a start, and a node when a device registers: a handful among millions.
partial_index("command_open", command.c.imei, where="state <> 'ended'")
partial_index("command_unknown", command.c.ended_at, where="status = '408'")

# With all that the inbox is searched by, so that no row of a million is read to find fifty.
SOUGHT = (
    command.c.type, command.c.imei, command.c.ended_at, command.c.source, command.c.resolved_by,
    command.c.group_id, command.c.status, command.c.verdict, command.c.resolved_status,
)  # fmt: skip
partial_index("command_inbox", literal_column(INBOX_ORDER), command.c.id, *SOUGHT, where=INBOX)
partial_index("command_resolved", command.c.resolved_at, command.c.id, *SOUGHT, where=RESOLVED)
# Lists of what went wrong, and of what a person at the dashboard asked: few among millions, and
# nothing that a start which succeeds, asked by a program, has to write.
partial_index(
    "command_failed", command.c.status, command.c.id, where="state = 'ended' and status <> '200'"
)
partial_index(
    "command_person", command.c.source, command.c.id, where="substr(source, 1, 4) = 'web:'"
)

# What a result may settle, for each device and kind (its key is "IMEI:QD" or "IMEI:ST") where more
# than one command is open or results are held: protocol.md section 4. A restart takes it up.
open_results = Table(
    "open_results",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("detail", Text, nullable=False),  # JSON
)

# IMEIs that were refused when they tried to register: at most `unknown.MAX_ROWS` (1,000) of them.
unknown_device = Table(
    "unknown_device",
    metadata,
    Column("imei", String(15), primary_key=True),
    Column("reason", String(8), nullable=False),  # of the newest attempt: see `unknown.REASONS`
    Column("address", Text, nullable=False),  # that it came from
    Column("network", Text, nullable=False),  # of that address: who floods has one, or few
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("count", BigInteger, nullable=False),  # attempts
    Column("connected_as", String(15)),  # of reason "wrong": the IMEI of that connection
    Column("dismissed", Boolean, nullable=False, server_default=false()),
)
