"""Who may write; in which order commands were sent, and which results are ambiguous; and how long
a device may take to answer."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the owner with its epoch, the order of sending, and results that are held."""
    op.add_column("command", sa.Column("sequence", sa.BigInteger))
    op.add_column(
        "command", sa.Column("ambiguous", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "open_results",
        sa.Column("id", sa.String(18), primary_key=True),
        sa.Column("detail", sa.Text, nullable=False),
    )
    owner = op.create_table(
        "owner",
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("database", sa.String(32), nullable=False),
        sa.Column("holder", sa.Text, nullable=False, server_default=""),
        sa.Column("taken_at", sa.Double, nullable=False),
        sa.Column("lost", sa.Text),
        sa.Column("trusted_at", sa.Double),
    )
    op.bulk_insert(owner, [{"epoch": 0, "database": uuid4().hex, "taken_at": 0.0}])
    op.add_column("device", sa.Column("ack_timeout", sa.Double))
    _indexes()
    if op.get_bind().dialect.name == "sqlite":
        # PostgreSQL's trigger sees every column.
        op.get_bind().exec_driver_sql("DROP TRIGGER device_updated")
        op.get_bind().exec_driver_sql(UPDATED)


def _indexes() -> None:
    """Fewer of them change with a start. What that takes is measured in docs/manual.md."""
    # A search by key reads the index of spent keys and that of refused commands.
    op.drop_index("command_key", "command")
    _partial_index(
        "command_refused", "command", ["key", "id"], "key is not null and spent is null"
    )
    # Each start changed it, and only a gateway that starts asked.
    op.drop_index("presence_running", "presence")
    # A time is found by the numbers: no event's time is before that of the event before it.
    op.get_bind().exec_driver_sql(FORWARD)
    op.drop_index("ix_event_at", "event")
    # Events that are there are found by their device, as before.
    op.add_column(
        "event", sa.Column("by_device", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.drop_index("event_device", "event")
    _partial_index("event_device", "event", ["imei", "n"], "by_device")
    _partial_index("event_command", "event", ["command"], "NOT by_device")


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


# Only where a clock was set back there are such events.
FORWARD = """
UPDATE event SET at = later.at
FROM (
    SELECT n, at AS was, max(at) OVER (ORDER BY n ROWS UNBOUNDED PRECEDING) AS at FROM event
) AS later
WHERE event.n = later.n AND later.was < later.at"""

UPDATED = """
CREATE TRIGGER device_updated
AFTER UPDATE OF imei, id, name, site, phone, qr, unit, enabled, ack_timeout ON device
BEGIN
    UPDATE revision SET n = n + 1;
    UPDATE device SET revision = (SELECT n FROM revision) WHERE imei = NEW.imei;
    INSERT OR REPLACE INTO device_removed (imei, revision)
        SELECT OLD.imei, (SELECT n FROM revision) WHERE OLD.imei <> NEW.imei;
END"""
