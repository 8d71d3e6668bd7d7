"""What is in maintenance: machines, and whole sites."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table. No row that is there is touched."""
    op.create_table(
        "maintenance",
        sa.Column("kind", sa.String(4), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("source", sa.String(160), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("maintenance_revision", "maintenance", ["revision", "kind", "name"])
