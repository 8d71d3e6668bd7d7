"""A second factor of users: what its codes are made from, and codes for when it is lost."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; no row is written for that."""
    op.add_column("account", sa.Column("totp", sa.Text))
    op.add_column("account", sa.Column("totp_step", sa.BigInteger))
    op.add_column("account", sa.Column("recovery", sa.Text))
