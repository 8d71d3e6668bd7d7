"""The record of machines (SIM, make, place), and indexes by which they are looked for."""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

log = logging.getLogger("devgate.store")

MANY = 100_000  # devices from which on it takes long enough for a line in the log
TEXTS = (
    "iccid", "sim_phone", "model", "firmware", "serial", "installed_on", "note", "tags",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns, for which no row is written, and the indexes, which are empty: each takes
    one look at all devices."""
    conn = op.get_bind()
    if conn.scalar(sa.text(f"SELECT 1 FROM device LIMIT 1 OFFSET {MANY}")):
        log.warning("schema of the database is being upgraded step=%s", revision)
    for name in TEXTS:
        op.add_column("device", sa.Column(name, sa.Text))
    for name in ("latitude", "longitude"):
        op.add_column("device", sa.Column(name, sa.Double))
    for name in ("serial", "iccid", "model"):
        _partial_index(f"device_{name}", [name, "imei"], f"{name} is not null")
    _partial_index("device_placed", ["site", "latitude", "longitude"], "latitude is not null")


def _partial_index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "device", columns, sqlite_where=condition, postgresql_where=condition)
