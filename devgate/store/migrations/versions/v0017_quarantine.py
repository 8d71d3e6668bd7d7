"""What a restored database refuses to start, until an operator lifts that."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add two empty tables."""
    op.create_table(
        "quarantine",
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("copied_at", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "untried_key",
        sa.Column("key", sa.String(128), primary_key=True),
        sqlite_with_rowid=False,
    )
