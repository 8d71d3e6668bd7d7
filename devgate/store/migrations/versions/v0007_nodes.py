"""Nodes of a cluster: who they are, and which of them has a device or works on a command."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the nodes of a cluster, and which of them has a device."""
    op.create_table(
        "node",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("incarnation", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("alive", sa.Boolean, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("devices", sa.Integer, nullable=False, server_default="0"),
        sa.Column("running", sa.Integer, nullable=False, server_default="0"),
        sa.Column("in_flight", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pid", sa.Integer),
    )
    cluster = op.create_table(
        "cluster",
        sa.Column("incarnation", sa.BigInteger, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("files", sa.Text, nullable=False, server_default="{}"),
    )
    op.bulk_insert(cluster, [{"incarnation": 0, "secret": "", "n": 0, "at": 0.0}])
    if op.get_bind().dialect.name == "postgresql":
        # Each commit changes these rows: room for their next versions on the same page.
        op.execute("ALTER TABLE node SET (fillfactor = 50)")
        op.execute("ALTER TABLE cluster SET (fillfactor = 10)")
    op.add_column("presence", sa.Column("node", sa.String(64)))
    op.add_column("presence", sa.Column("incarnation", sa.BigInteger))
    op.add_column("command", sa.Column("incarnation", sa.BigInteger))
    _partial_index(
        "presence_node", "presence", "incarnation", "online and incarnation is not null"
    )
    # Open commands are looked for by device where a device registers at a node.
    op.drop_index("command_open", "command")
    _partial_index("command_open", "command", "imei", "state <> 'ended'")


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
