"""Why a start was refused for now, and whether an answer came from a new address."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add why a start was refused, and whether its answer came from a new address."""
    op.add_column("command", sa.Column("why", sa.String(12)))
    op.add_column(
        "command", sa.Column("new_address", sa.Boolean, nullable=False, server_default=sa.false())
    )
