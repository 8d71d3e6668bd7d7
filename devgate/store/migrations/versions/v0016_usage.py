"""What reports are made of: each device's days, what is still to be counted, zones of sites."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

COUNTED = ("starts", "done", "failed", "unknown", "refused", "open")


def upgrade() -> None:
    """Add the tables, empty: the gateway fills them while it runs."""
    op.create_table(
        "usage_day",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("site", sa.Text, nullable=False, server_default=""),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in COUNTED),
        sa.Column("seconds", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("times", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("online", sa.Integer),
        sa.Column("span", sa.Integer),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_work",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("imei", sa.String(15), nullable=False, server_default=""),
    )
    op.create_table(
        "usage_state",
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
    )
    op.create_table(
        "site_zone",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, nullable=False),
    )
