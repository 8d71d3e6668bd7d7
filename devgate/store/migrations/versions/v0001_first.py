"""The first tables, and the triggers that count every change of a device."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and the triggers that count changes of devices."""
    _devices()
    _commands()
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE if on_sqlite else POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _devices() -> None:
    op.create_table(
        "device",
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("id", sa.Integer, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("site", sa.Text, nullable=False, server_default=""),
        sa.Column("phone", sa.Text),
        sa.Column("qr", sa.Text),
        sa.Column("unit", sa.String(7), nullable=False, server_default="seconds"),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint("length(imei) = 15", name="device_imei"),
        sa.CheckConstraint("unit in ('seconds', 'times')", name="device_unit"),
        sa.CheckConstraint("length(phone) <= 976", name="device_phone"),
        sa.CheckConstraint("length(qr) <= 976", name="device_qr"),
    )
    op.create_index("ix_device_revision", "device", ["revision"])
    op.create_table(
        "device_removed",
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_device_removed_revision", "device_removed", ["revision"])
    counter = op.create_table("revision", sa.Column("n", sa.BigInteger, nullable=False))
    op.bulk_insert(counter, [{"n": 0}])
    op.create_table(
        "presence",
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("online", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("since", sa.Double),
        sa.Column("heard", sa.Double),
        sa.Column("address", sa.Text),
        sa.Column("running_until", sa.Double),
        sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
    )
    _partial_index("presence_running", "presence", "running_until", "running_until IS NOT NULL")


def _commands() -> None:
    op.create_table(
        "command",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("imei", sa.String(15), nullable=False),
        sa.Column("type", sa.String(5), nullable=False),
        sa.Column("long", sa.Integer),
        sa.Column("key", sa.String(128)),
        sa.Column("spent", sa.String(128)),
        sa.Column("status", sa.String(3), nullable=False),
        sa.Column("state", sa.String(7), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("accepted_at", sa.Double, nullable=False),
        sa.Column("sent_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("late_at", sa.Double),
        sa.Column("expires_at", sa.Double),
        sa.Column("timeout", sa.Double),
        sa.Column("running", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.CheckConstraint("state in ('waiting', 'sent', 'ended')", name="command_state"),
        sqlite_with_rowid=False,
    )
    op.create_index("command_device", "command", ["imei", "id"])
    _partial_index("command_key", "command", "key", "key is not null")
    _partial_index("command_spent", "command", "spent", "spent is not null", unique=True)
    _partial_index("command_open", "command", "state", "state <> 'ended'")
    _partial_index("command_unknown", "command", "ended_at", "status = '408'")
    op.create_table(
        "event",
        sa.Column("n", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("imei", sa.String(15)),
        sa.Column("command", sa.String(26)),
        sa.Column("detail", sa.Text, nullable=False, server_default="{}"),
    )
    op.create_index("ix_event_at", "event", ["at"])
    op.create_index("event_device", "event", ["imei", "n"])


def _partial_index(
    name: str, table: str, column: str, where: str, *, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name,
        table,
        [column],
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


# SQLite has one writer, so a number handed out is visible in the order in which it was.
# The stamp itself sets no column of the UPDATE OF list, so it calls no trigger again.
# INSERT OR REPLACE deletes a row with the same id without calling a DELETE trigger
# (recursive_triggers is off by default): hence the BEFORE trigger. Where it notes too
# much (the insert was refused or ignored) `device` has the last word.
SQLITE = (
    """
CREATE TRIGGER device_displaced BEFORE INSERT ON device
WHEN EXISTS (SELECT 1 FROM device WHERE id = NEW.id AND imei <> NEW.imei)
BEGIN
    UPDATE revision SET n = n + 1;
    INSERT OR REPLACE INTO device_removed (imei, revision)
        SELECT imei, (SELECT n FROM revision) FROM device
        WHERE id = NEW.id AND imei <> NEW.imei;
END""",
    """
CREATE TRIGGER device_inserted AFTER INSERT ON device
BEGIN
    UPDATE revision SET n = n + 1;
    UPDATE device SET revision = (SELECT n FROM revision) WHERE imei = NEW.imei;
END""",
    """
CREATE TRIGGER device_updated
AFTER UPDATE OF imei, id, name, site, phone, qr, unit, enabled ON device
BEGIN
    UPDATE revision SET n = n + 1;
    UPDATE device SET revision = (SELECT n FROM revision) WHERE imei = NEW.imei;
    INSERT OR REPLACE INTO device_removed (imei, revision)
        SELECT OLD.imei, (SELECT n FROM revision) WHERE OLD.imei <> NEW.imei;
END""",
    """
CREATE TRIGGER device_deleted AFTER DELETE ON device
BEGIN
    UPDATE revision SET n = n + 1;
    INSERT OR REPLACE INTO device_removed (imei, revision)
        SELECT OLD.imei, n FROM revision;
END""",
)

# PostgreSQL: one number for a transaction. Whoever takes it holds the lock of the counter's
# row until he commits, so numbers become visible in the order in which they were handed out:
# a reader that has seen n never misses a row of n or less. The lock is taken before that of
# any device's row, so that two writers cannot wait for one another. The number is kept
# in a setting of the transaction (undone with it, or with a savepoint): a million rows
# cost one update of the counter, and a stamp reads no table.
# "SET search_path FROM CURRENT": other programs may call devices by a schema's name.
POSTGRESQL = (
    """
CREATE FUNCTION device_number() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    mine bigint;
BEGIN
    IF coalesce(current_setting('devgate.revision', true), '') = '' THEN
        UPDATE revision SET n = n + 1 RETURNING n INTO mine;
        PERFORM set_config('devgate.revision', mine::text, true);
    END IF;
    RETURN NULL;
END $$""",
    """
CREATE FUNCTION device_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := current_setting('devgate.revision')::bigint;
    RETURN NEW;
END $$""",
    """
CREATE FUNCTION device_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO device_removed (imei, revision)
        VALUES (OLD.imei, current_setting('devgate.revision')::bigint)
        ON CONFLICT (imei) DO UPDATE SET revision = excluded.revision;
    RETURN NULL;
END $$""",
    """
CREATE FUNCTION device_all_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
$$
BEGIN
    INSERT INTO device_removed (imei, revision)
        SELECT imei, current_setting('devgate.revision')::bigint FROM device
        ON CONFLICT (imei) DO UPDATE SET revision = excluded.revision;
    RETURN NULL;
END $$""",
    """
CREATE TRIGGER device_1_number BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON device
FOR EACH STATEMENT EXECUTE FUNCTION device_number()""",
    """
CREATE TRIGGER device_2_stamp BEFORE INSERT OR UPDATE ON device
FOR EACH ROW EXECUTE FUNCTION device_stamp()""",
    """
CREATE TRIGGER device_3_gone AFTER DELETE ON device
FOR EACH ROW EXECUTE FUNCTION device_gone()""",
    """
CREATE TRIGGER device_3_renamed AFTER UPDATE ON device
FOR EACH ROW WHEN (OLD.imei <> NEW.imei) EXECUTE FUNCTION device_gone()""",
    """
CREATE TRIGGER device_3_all_gone BEFORE TRUNCATE ON device
FOR EACH STATEMENT EXECUTE FUNCTION device_all_gone()""",
)
