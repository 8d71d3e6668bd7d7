"""Sums of what machines did, by site and day: so that a report over a million needs no pass over
their days. Triggers keep them, whatever version of the gateway writes the days."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
beside = True  # a gateway of the version before goes on working: triggers count for it

COUNTS = ("starts", "done", "failed", "unknown", "refused", "open", "seconds", "times",
          "online", "span")  # fmt: skip


def upgrade() -> None:
    """Two tables and triggers. Days that are there already the gateway sums up while it runs."""
    op.create_table(
        "usage_site",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("site", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            for name in ("machines", *COUNTS)
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_summing",
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("imei", sa.String(15), nullable=False),
    )
    op.execute(
        "INSERT INTO usage_summing (day, imei) SELECT -1, '' "
        "WHERE EXISTS (SELECT 1 FROM usage_day)"
    )
    bind = op.get_bind()
    for statement in SQLITE if bind.dialect.name == "sqlite" else POSTGRESQL:
        bind.exec_driver_sql(statement)


COLUMNS = ", ".join(("day", "site", "machines", *COUNTS))
ADDED = "ON CONFLICT (day, site) DO UPDATE SET " + ", ".join(
    f"{name} = usage_site.{name} + excluded.{name}" for name in ("machines", *COUNTS)
)


def _values(row: str, sign: str) -> str:
    counts = ", ".join(f"{sign}coalesce({row}.{name}, 0)" for name in COUNTS)
    return f"{row}.day, {row}.site, {sign}1, {counts}"


def _summed(row: str) -> str:
    """Whether a row is among those that are summed up: behind that place none is."""
    return (
        f"NOT EXISTS (SELECT 1 FROM usage_summing s WHERE {row}.day > s.day "
        f"OR ({row}.day = s.day AND {row}.imei > s.imei))"
    )


def _put(row: str, sign: str) -> str:
    return f"INSERT INTO usage_site ({COLUMNS}) VALUES ({_values(row, sign)}) {ADDED};"


CHANGED = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in ("site", *COUNTS))
SQLITE = (
    f"""
CREATE TRIGGER usage_day_added AFTER INSERT ON usage_day WHEN {_summed("NEW")}
BEGIN
    {_put("NEW", "")}
END""",
    f"""
CREATE TRIGGER usage_day_changed AFTER UPDATE ON usage_day
WHEN ({CHANGED}) AND {_summed("NEW")}
BEGIN
    {_put("OLD", "-")}
    {_put("NEW", "")}
END""",
    f"""
CREATE TRIGGER usage_day_deleted AFTER DELETE ON usage_day WHEN {_summed("OLD")}
BEGIN
    {_put("OLD", "-")}
END""",
)


def _function(name: str, *parts: str) -> str:
    sums = ", ".join(f"sum({one})" for one in ("machines", *COUNTS))
    return f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO usage_site ({COLUMNS})
    SELECT day, site, {sums} FROM ({" UNION ALL ".join(parts)}) AS found
    GROUP BY day, site ORDER BY day, site
    {ADDED};
    RETURN NULL;
END $$"""


def _rows(table: str, sign: str) -> str:
    counts = ", ".join(f"{sign}coalesce({table}.{name}, 0) AS {name}" for name in COUNTS)
    return (
        f"SELECT {table}.day, {table}.site, {sign}1 AS machines, {counts} FROM {table} "
        f"WHERE {_summed(table)}"
    )


def _trigger(name: str, what: str, tables: str) -> str:
    return (
        f"CREATE TRIGGER {name} AFTER {what} ON usage_day REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


POSTGRESQL = (
    _function("usage_day_added", _rows("added", "")),
    _function("usage_day_changed", _rows("gone", "-"), _rows("added", "")),
    _function("usage_day_deleted", _rows("gone", "-")),
    _trigger("usage_day_added", "INSERT", "NEW TABLE AS added"),
    _trigger("usage_day_changed", "UPDATE", "NEW TABLE AS added OLD TABLE AS gone"),
    _trigger("usage_day_deleted", "DELETE", "OLD TABLE AS gone"),
)
