"""A command's source has room for the way it came and a whole name: `http:` and 64 characters.

PostgreSQL refused the row of a longer one, and with it took every other start for one that cannot
be written.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
beside = True


def upgrade() -> None:
    """Widen the column; no row is written for that. SQLite looks at no lengths."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("command", "source", type_=sa.String(160), existing_nullable=False)
