"""IMEIs that were refused when they tried to register."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table of unknown devices. No row that is there is touched."""
    op.create_table(
        "unknown_device",
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("reason", sa.String(8), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("connected_as", sa.String(15)),
        sa.Column("dismissed", sa.Boolean, nullable=False, server_default=sa.false()),
    )
