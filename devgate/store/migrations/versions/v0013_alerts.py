"""Alerts: rules, receivers, what fires, and what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
beside = True  # a gateway of the version before goes on working


def upgrade() -> None:
    """Make the four tables. No table that is there is touched."""
    op.create_table(
        "alert_rule",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("site", sa.Text, nullable=False, server_default=""),
        sa.Column("minutes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("days", sa.Integer, nullable=False, server_default="0"),
        sa.Column("receivers", sa.Text, nullable=False),
        sa.Column("quiet", sa.String(11), nullable=False, server_default=""),
        sa.Column("zone", sa.String(64), nullable=False, server_default="UTC"),
        sa.Column("repeat", sa.Integer, nullable=False, server_default="0"),
        sa.Column("all_clear", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("added_at", sa.Double, nullable=False),
    )
    op.create_table(
        "alert_receiver",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False, server_default=""),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("language", sa.String(2), nullable=False, server_default="en"),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("added_at", sa.Double, nullable=False),
    )
    op.create_table(
        "alert_firing",
        sa.Column("rule", sa.String(64), primary_key=True),
        sa.Column("subject", sa.String(300), primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False, server_default=""),
        sa.Column("since", sa.Double),
        sa.Column("fired_at", sa.Double, nullable=False),
        sa.Column("told_at", sa.Double),
        sa.Column("cleared_at", sa.Double),
    )
    op.create_index("alert_newest", "alert_firing", ["fired_at", "rule", "subject"])
    op.create_table(
        "alert_log",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("receiver", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("state", sa.String(7), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )
