"""Receivers of events that are added by command; what was delivered ahead of a position; and an
index for the devices of a site."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add webhooks that were added by command, gaps in positions, and an index by site."""
    op.create_table(
        "webhook",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False, server_default=""),
        sa.Column("added_at", sa.Double, nullable=False),
    )
    # Nothing is ahead of the positions that are there.
    op.add_column(
        "webhook_target",
        sa.Column("reached", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.add_column("webhook_target", sa.Column("gaps", sa.Text, nullable=False, server_default=""))
    op.create_index("device_site", "device", ["site", "imei"])
