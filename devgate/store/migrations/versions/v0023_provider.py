"""Users who log in through a provider of OpenID Connect: whether, and as whom."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
beside = True


def upgrade() -> None:
    """Add the columns; no row is written for that."""
    op.add_column(
        "account", sa.Column("provider", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("account", sa.Column("subject", sa.Text))
