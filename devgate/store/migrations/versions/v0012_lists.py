"""What lists are found and sorted by: indexes, words, and how starts of each device went.

Every device has a row in `presence` and in `device_starts` from now on: triggers see to that, for
other programs add devices, too.
"""

import logging

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

log = logging.getLogger("devgate.store")

MANY = 100_000  # commands from which on it takes long enough for a line in the log
COUNTED = "('200', '201', '202', '408')"  # outcomes of what was sent


def upgrade() -> None:
    """Add the indexes, the words of devices and the table of their starts."""
    conn = op.get_bind()
    if conn.scalar(sa.text(f"SELECT 1 FROM command LIMIT 1 OFFSET {MANY}")):
        log.warning("schema of the database is being upgraded step=%s", revision)
    on_sqlite = conn.dialect.name == "sqlite"
    _partial_index("command_failed", "command", ["status", "id"],
                   "state = 'ended' and status <> '200'")  # fmt: skip
    _partial_index("command_person", "command", ["source", "id"], "substr(source, 1, 4) = 'web:'")
    _partial_index("device_disabled", "device", ["imei"], "not enabled")
    op.create_index("device_name", "device", ["name", "imei"])
    op.create_table(
        "device_starts",
        sa.Column("imei", sa.String(15), primary_key=True),
        sa.Column("asked", sa.Double, nullable=False, server_default="0"),
        sa.Column("failed", sa.Double, nullable=False, server_default="0"),
        sa.Column("rate", sa.Double, nullable=False, server_default="0"),
        sa.Column("started_hour", sa.Integer, nullable=False, server_default="0"),
        sqlite_with_rowid=False,
    )
    _fill(on_sqlite)
    op.create_index("device_idle", "device_starts", ["started_hour", "imei"])
    _partial_index("device_failing", "device_starts", ["rate", "imei"], "rate > 0.01")
    op.create_index("presence_list", "presence", ["online", "since", "imei"])
    for statement in SQLITE if on_sqlite else POSTGRESQL:
        conn.exec_driver_sql(statement)


def _fill(on_sqlite: bool) -> None:
    """What is known of the past: all starts weigh the same in it, as if they were fifty."""
    op.execute(
        "INSERT INTO presence (imei) SELECT imei FROM device WHERE NOT EXISTS "
        "(SELECT 1 FROM presence WHERE presence.imei = device.imei)"
    )
    # In SQLite not by the index of devices: it would look up each command by its key.
    imei = "+c.imei" if on_sqlite else "c.imei"
    failed = "sum(CASE WHEN c.status = '200' THEN 0.0 ELSE 1.0 END)"
    hour = "max(CASE WHEN c.status = '200' THEN coalesce(c.late_at, c.ended_at) / 3600 END)"
    op.execute(
        "INSERT INTO device_starts (imei, asked, failed, rate, started_hour) "
        "SELECT imei, asked * part, failed * part, "
        "CAST(failed * 1000 / asked AS INTEGER) / 1000.0, "
        "coalesce(hour, 0) FROM (SELECT imei, asked, failed, hour, "
        "CASE WHEN asked > 50 THEN 50 / asked ELSE 1.0 END AS part FROM ("
        f"SELECT {imei} AS imei, count(*) * 1.0 AS asked, {failed} AS failed, "
        f"CAST({hour} AS INTEGER) AS hour FROM command c WHERE c.type = 'start' "
        f"AND c.state = 'ended' AND c.status IN {COUNTED} GROUP BY {imei}) AS counted) AS s "
        "WHERE EXISTS (SELECT 1 FROM device d WHERE d.imei = s.imei)"
    )
    op.execute(
        "INSERT INTO device_starts (imei) SELECT imei FROM device WHERE NOT EXISTS "
        "(SELECT 1 FROM device_starts s WHERE s.imei = device.imei)"
    )


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


# The words of a device: name, site and IMEI on lines, and two ends of lines more, so that the
# last two letters begin a group of three, too. The table holds no texts, and nothing is deleted
# from it: an entry that is out of date names a device that is looked at in vain.
WORDS = (
    "CAST(NEW.imei AS INTEGER), NEW.name || char(10) || NEW.site || char(10) || NEW.imei"
    " || char(10) || char(10)"
)
# "WHERE NOT EXISTS" and not OR IGNORE: an INSERT OR REPLACE of a device would make it a REPLACE.
ROWS = """
    INSERT INTO presence (imei) SELECT NEW.imei
        WHERE NOT EXISTS (SELECT 1 FROM presence WHERE imei = NEW.imei);
    INSERT INTO device_starts (imei) SELECT NEW.imei
        WHERE NOT EXISTS (SELECT 1 FROM device_starts WHERE imei = NEW.imei);"""
SQLITE = (
    "CREATE VIRTUAL TABLE device_words USING "
    "fts5(words, content='', columnsize=0, detail='none', tokenize='trigram')",
    "CREATE VIRTUAL TABLE device_terms USING fts5vocab('device_words', 'row')",
    "INSERT INTO device_words (rowid, words) SELECT "
    + WORDS.replace("NEW.", "")
    + " FROM device ORDER BY imei",
    f"""
CREATE TRIGGER device_listed AFTER INSERT ON device
BEGIN
    INSERT INTO device_words (rowid, words) VALUES ({WORDS});{ROWS}
END""",
    f"""
CREATE TRIGGER device_listed_anew AFTER UPDATE OF imei, name, site ON device
WHEN OLD.name <> NEW.name OR OLD.site <> NEW.site OR OLD.imei <> NEW.imei
BEGIN
    INSERT INTO device_words (rowid, words) VALUES ({WORDS});{ROWS}
END""",
)


POSTGRESQL = (
    # Groups of two and of three letters, in any script: no extension has to be there.
    """
CREATE FUNCTION device_grams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(DISTINCT substr(lower($1), n, size))
    FROM generate_series(1, length($1)) AS n, (VALUES (2), (3)) AS sizes(size)
$$""",
    """
CREATE INDEX device_words ON device USING gin (
    device_grams(name || chr(10) || site || chr(10) || imei))""",
    "ALTER TABLE device_starts SET (fillfactor = 80)",
    """
CREATE FUNCTION device_rows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO presence (imei) SELECT imei FROM added ORDER BY imei ON CONFLICT DO NOTHING;
    INSERT INTO device_starts (imei) SELECT imei FROM added ORDER BY imei ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$""",
    """
CREATE TRIGGER device_4_listed AFTER INSERT ON device REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION device_rows()""",
    """
CREATE FUNCTION device_row() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO presence (imei) VALUES (NEW.imei) ON CONFLICT DO NOTHING;
    INSERT INTO device_starts (imei) VALUES (NEW.imei) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$""",
    """
CREATE TRIGGER device_4_renamed AFTER UPDATE ON device
FOR EACH ROW WHEN (OLD.imei <> NEW.imei) EXECUTE FUNCTION device_row()""",
)
