"""A database of an earlier devgate is brought up to date, with all that is in it."""

from __future__ import annotations

import logging
from time import time

import pytest
from sqlalchemy import inspect, text

from devgate.errors import SetupError
from devgate.model import Imei
from devgate.store import devices, engines, history, inbox, webhooks
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.metadata import metadata
from devgate.store.migrations.run import upgrade
from devgate.store.opening import claim_database, open_database, upgrade_database
from devgate.store.schema import SCHEMA, VERSION_TABLE
from tests.store.commands import command_row
from tests.store.plain import A, B


def first(url: str) -> None:
    """A database as the first devgate left it, with a device and two events in it."""
    database = Database(engines.make_engine(url))
    with database.write() as conn:
        upgrade(conn, "0001")
        conn.execute(text(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)"))
        insert = text("INSERT INTO event (n, at, type) VALUES (:n, 0, 'device.added')")
        conn.execute(insert, [{"n": 1}, {"n": 2}])
    database.close()


def test_a_database_of_the_first_schema_keeps_what_it_holds(database_url: str) -> None:
    first(database_url)
    database = open_database(database_url, upgrade=True)
    with database.read() as conn:
        assert conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == SCHEMA
        assert [device.imei for device in devices.all_devices(conn)] == [A]
        assert [row[-1] for row in history.events_after(conn, 0, 10)] == [1, 2]
        assert webhooks.all_targets(conn) == []
    database.close()


def test_d19_an_older_database_is_left_alone(database_url: str) -> None:
    """D19: a command of the newer program beside a gateway of the older one."""
    first(database_url)
    with pytest.raises(SetupError, match=f"has schema 0001, and this .* {SCHEMA}; it was left"):
        open_database(database_url)
    plain = Database(engines.make_engine(database_url))
    with plain.read() as conn:
        assert conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "0001"
    plain.close()


def test_d19_a_gateway_and_db_upgrade_migrate_it_with_a_line(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first(database_url)
    with caplog.at_level(logging.WARNING, logger="devgate.store"):
        upgrade_database(database_url)
        upgrade_database(database_url)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"schema of the database upgraded from=0001 to={SCHEMA}"]
    claim_database(database_url).close()


def test_d19_nothing_is_migrated_beside_a_gateway_that_runs(database_url: str) -> None:
    """D19: the lock is taken before the schema is touched."""
    running = claim_database(database_url)
    with running.write() as conn:
        conn.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0003'"))
    for migrate in (upgrade_database, claim_database):
        with pytest.raises(SetupError, match="another gateway works"):
            migrate(database_url)
    running.close()


def test_positions_of_the_second_schema_stay(database_url: str) -> None:
    database = Database(engines.make_engine(database_url))
    with database.write() as conn:
        upgrade(conn, "0002")
        columns = "name, url, position, failures, missed"
        conn.execute(
            text(f"INSERT INTO webhook_target ({columns}) VALUES ('shop', 'u', 4711, 2, 3)")
        )
    database.close()
    database = open_database(database_url, upgrade=True)
    with database.read() as conn:
        [row] = webhooks.all_targets(conn)
        assert row == ("shop", "u", 4711, 2, None, None, None, None, 3, 0, "")
        assert webhooks.added(conn) == []
    database.close()


def test_times_that_went_back_no_longer_do(database_url: str) -> None:
    """Times are found by the numbers: where a clock was set back, the time before it holds."""
    database = Database(engines.make_engine(database_url))
    with database.write() as conn:
        upgrade(conn, "0003")
        insert = text("INSERT INTO event (n, at, type, imei) VALUES (:n, :at, 'x', :imei)")
        times = enumerate((5, 7, 6, 7, 3, 8), 1)
        conn.execute(insert, [{"n": n, "at": at, "imei": A} for n, at in times])
    database.close()
    database = open_database(database_url, upgrade=True)
    with database.read() as conn:
        found = history.events_after(conn, 0, 10, A)
        assert [(row[-1], row[0]) for row in found] == [
            (1, 5), (2, 7), (3, 7), (4, 7), (5, 7), (6, 8),
        ]  # fmt: skip
    database.close()


def test_a_device_that_was_there_was_not_added_since(database_url: str) -> None:
    first(database_url)
    database = open_database(database_url, upgrade=True)
    with database.write() as conn:
        before = devices.revision(conn)
        devices.edit(conn, Imei(A), {"name": "hall"})
        devices.add(conn, Device(Imei(B), 2))
    with database.write() as conn:
        devices.edit(conn, Imei(B), {"name": "yard"})
    with database.read() as conn:
        changes = devices.changed(conn, before)
        assert {device.imei for device in changes.changed} == {A, B}
        assert changes.added == {B}
        later = devices.changed(conn, devices.revision(conn) - 1)
        assert (len(later.changed), later.added) == (1, frozenset())
    database.close()


# SQLAlchemy does not see indexes of expressions in SQLite.
INDEXES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :table",
    "postgresql": "SELECT indexname FROM pg_indexes WHERE tablename = :table",
}


def test_the_migrations_make_what_the_statements_see(database: Database) -> None:
    """Tables, columns and indexes of `schema` are those of a new database."""
    with database.read() as conn:
        there = inspect(conn)
        for table in metadata.sorted_tables:
            columns = {column["name"] for column in there.get_columns(table.name)}
            assert columns == set(table.columns.keys()), table.name
            indexes = set(conn.scalars(text(INDEXES[database.dialect]), {"table": table.name}))
            assert indexes >= {index.name for index in table.indexes}, table.name


def test_what_ended_before_there_was_an_inbox_is_left_out_of_it(database_url: str) -> None:
    database = Database(engines.make_engine(database_url))
    with database.write() as conn:
        upgrade(conn, "0009")
        insert = text(
            "INSERT INTO command (id, imei, type, status, state, message, source, accepted_at, "
            "ended_at) VALUES (:id, :imei, 'start', :status, :state, '', 'socket', 1, :ended_at)"
        )
        conn.execute(insert, [
            {"id": id, "imei": A, "status": status, "state": state, "ended_at": ended_at}
            for id, status, state, ended_at in (
                ("1", "408", "ended", 2), ("2", "000", "waiting", None), ("3", "408", "ended", 2),
            )
        ])  # fmt: skip
    database.close()
    database = open_database(database_url, upgrade=True)
    journal = Journal(database)
    journal.commit([command_row("2", status="408", ended_at=time() + 1)])
    journal.close()
    for old, ids in ((False, ["2"]), (True, ["3", "2", "1"])):
        with database.read() as conn:
            looked = inbox.InboxFilter(old=old)
            assert [row["id"] for row in inbox.page(conn, looked, after=None, limit=9).rows] == ids
    database.close()
