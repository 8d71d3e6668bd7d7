"""Users and tokens: until now they stood in files alone, which are taken over at the start. And an
index of the events that say who changed what."""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

log = logging.getLogger("devgate.store")

MANY = 1_000_000  # events from which on it takes long enough for a line in the log
# As they are now: types that come later need a migration of their own.
AUDIT = (
    "account.added", "account.changed", "account.removed", "session.began", "session.refused",
    "session.ended", "webhook.added", "webhook.changed", "webhook.removed", "operation.done",
    "device.added", "device.changed", "device.removed", "command.resolved",
)  # fmt: skip


def upgrade() -> None:
    """Add three tables and an index. No row that is there is touched, but all events are read."""
    conn = op.get_bind()
    if conn.scalar(sa.text(f"SELECT 1 FROM event WHERE n >= {MANY} LIMIT 1")):
        log.warning("schema of the database is being upgraded step=%s", revision)
    condition = sa.text("type IN (" + ", ".join(f"'{name}'" for name in AUDIT) + ")")
    op.create_index(
        "event_audit",
        "event",
        [sa.text("(n + 0)")],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_table(
        "account",
        sa.Column("kind", sa.String(5), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(7), nullable=False),
        sa.Column("sites", sa.Text),
        sa.Column("proof", sa.Text, nullable=False, server_default=""),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.Column("line", sa.String(64)),
        sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("invited", sa.String(64)),
        sa.Column("invited_until", sa.Double),
        sa.CheckConstraint("kind in ('user', 'token')", name="account_kind"),
        sa.CheckConstraint("role in ('read', 'command', 'admin')", name="account_role"),
    )
    op.create_table(
        "account_session",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(5), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False, index=True),
        sa.Column("address", sa.Text, nullable=False, server_default=""),
        sa.Column("agent", sa.Text, nullable=False, server_default=""),
        sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("account_session_name", "account_session", ["kind", "name"])
    op.create_table("account_revision", sa.Column("n", sa.BigInteger, nullable=False))
    op.execute("INSERT INTO account_revision (n) VALUES (0)")
