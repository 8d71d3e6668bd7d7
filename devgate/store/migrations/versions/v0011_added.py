"""At which revision each device was added: a node that did not know it tells an addition from a
change."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

SQLITE = (
    "DROP TRIGGER device_inserted",
    """
CREATE TRIGGER device_inserted AFTER INSERT ON device
BEGIN
    UPDATE revision SET n = n + 1;
    UPDATE device SET revision = (SELECT n FROM revision), added = (SELECT n FROM revision)
        WHERE imei = NEW.imei;
END""",
)
# Of INSERT ... ON CONFLICT DO UPDATE the row that is there keeps what it has.
POSTGRESQL = (
    """
CREATE OR REPLACE FUNCTION device_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := current_setting('devgate.revision')::bigint;
    IF TG_OP = 'INSERT' THEN
        NEW.added := NEW.revision;
    END IF;
    RETURN NEW;
END $$""",
)


def upgrade() -> None:
    """Add the column; no row is written for that. Devices that are there were added long ago."""
    op.add_column("device", sa.Column("added", sa.BigInteger, nullable=False, server_default="0"))
    conn = op.get_bind()
    for statement in SQLITE if conn.dialect.name == "sqlite" else POSTGRESQL:
        conn.exec_driver_sql(statement)
