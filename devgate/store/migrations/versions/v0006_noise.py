"""Events by their numbers, without those that devices cause as often as they like."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# As they are now: types that come later need a migration of their own.
NOISE = (
    "device.online", "device.offline", "device.taken_over", "device.flapping", "device.unknown",
    "device.mismatch", "device.echoing", "device.slow", "result.unsolicited",
)  # fmt: skip


def upgrade() -> None:
    """Add the index of events without those that any peer can cause."""
    condition = sa.text(" AND ".join(f"type <> '{name}'" for name in NOISE))
    op.create_index(
        "event_without_noise",
        "event",
        [sa.text("(n + 0)")],
        sqlite_where=condition,
        postgresql_where=condition,
    )
