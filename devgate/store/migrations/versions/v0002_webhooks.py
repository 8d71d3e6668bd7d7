"""How far each receiver of events has come."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the positions of webhooks."""
    op.create_table(
        "webhook_target",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.Double),
        sa.Column("disabled", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("delivered_at", sa.Double),
        sa.Column("missed", sa.BigInteger, nullable=False, server_default="0"),
    )
