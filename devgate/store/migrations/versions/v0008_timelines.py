"""Which promotion of the database the nodes of a cluster have seen: see store.timelines."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Columns of two small tables."""
    op.add_column("node", sa.Column("timeline", sa.String(8), nullable=False, server_default=""))
    op.add_column(
        "node", sa.Column("synchronous", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("node", sa.Column("seen", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column(
        "cluster", sa.Column("timeline", sa.String(8), nullable=False, server_default="")
    )
