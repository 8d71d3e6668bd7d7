"""The indexes of unknown outcomes have all that these are searched by."""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

log = logging.getLogger("devgate.store")

MANY = 100_000  # commands from which on it takes long enough for a line in the log
INBOX = (
    "((status = '408' AND verdict IS NULL) OR "
    "(status <> '408' AND resolved_status = '408' AND "
    "(verdict = 'other' OR (verdict = 'ran') <> (status = '200'))))"
)
SOUGHT = [
    "type", "imei", "ended_at", "source", "resolved_by", "group_id", "status", "verdict",
    "resolved_status",
]  # fmt: skip


def upgrade() -> None:
    """Make both indexes anew. They have few of the commands; all are read once for each."""
    if op.get_bind().scalar(sa.text(f"SELECT 1 FROM command LIMIT 1 OFFSET {MANY}")):
        log.warning("schema of the database is being upgraded step=%s", revision)
    for name, first, where in (
        ("command_inbox", [sa.text("coalesce(group_id, id)"), "id"], INBOX),
        ("command_resolved", ["resolved_at", "id"], "resolved_at IS NOT NULL"),
    ):
        condition = sa.text(where)
        op.drop_index(name, "command")
        op.create_index(
            name, "command", [*first, *SOUGHT], sqlite_where=condition, postgresql_where=condition
        )
