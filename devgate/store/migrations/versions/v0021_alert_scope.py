"""Rules of alerts may be for a tag; rules and receivers may be of who sees some sites alone."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
beside = True  # a gateway of the version before goes on working


def upgrade() -> None:
    """Add columns to two small tables. What is there is of those who see all sites."""
    op.add_column("alert_rule", sa.Column("tag", sa.Text, nullable=False, server_default=""))
    for table in ("alert_rule", "alert_receiver"):
        op.add_column(table, sa.Column("sites", sa.Text))
        op.add_column(table, sa.Column("owner", sa.Text, nullable=False, server_default=""))
