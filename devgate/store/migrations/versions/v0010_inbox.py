"""What people say of unknown outcomes, and which of them belong together."""

from time import time

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

# As they are now: columns that come later need a migration of their own.
INBOX = (
    "((status = '408' AND verdict IS NULL) OR "
    "(status <> '408' AND resolved_status = '408' AND "
    "(verdict = 'other' OR (verdict = 'ran') <> (status = '200'))))"
)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of a ULID


def upgrade() -> None:
    """Add verdicts, groups, and since when there is an inbox."""
    for column in (
        sa.Column("group_id", sa.String(26)),
        sa.Column("verdict", sa.String(11)),
        sa.Column("note", sa.Text),
        sa.Column("resolved_by", sa.String(160)),
        sa.Column("resolved_at", sa.Double),
        sa.Column("resolved_status", sa.String(3)),
    ):
        op.add_column("command", column)
    op.add_column("owner", sa.Column("inbox_at", sa.Double, nullable=False, server_default="0"))
    op.add_column("owner", sa.Column("inbox_id", sa.String(26), nullable=False, server_default=""))
    _partial_index("command_inbox", ["coalesce(group_id, id)", "id", "type"], INBOX)
    _partial_index("command_resolved", ["resolved_at", "id"], "resolved_at IS NOT NULL")
    conn = op.get_bind()
    if conn.execute(sa.text("SELECT 1 FROM command LIMIT 1")).first() is not None:
        # What is open now may still become unknown. Ids are made in order.
        oldest = conn.scalar(sa.text("SELECT min(id) FROM command WHERE state <> 'ended'"))
        now = time()
        conn.execute(
            sa.text("UPDATE owner SET inbox_at = :at, inbox_id = :id"),
            {"at": now, "id": oldest or _first_id(now)},
        )


def _partial_index(name: str, parts: list[str], where: str) -> None:
    condition = sa.text(where)
    columns = [sa.text(part) if "(" in part else part for part in parts]
    op.create_index(name, "command", columns, sqlite_where=condition, postgresql_where=condition)


def _first_id(at: float) -> str:
    """Ids that are made at that time, or later, are not below this one."""
    ms = int(at * 1000)
    return "".join(_ALPHABET[ms >> shift & 31] for shift in range(45, -1, -5)) + "0" * 16
