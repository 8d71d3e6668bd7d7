"""What plain SQL of other programs does to devices is seen: all of it, once, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import psycopg
import pytest

from devgate.store import devices
from devgate.store.engine import Database
from devgate.store.opening import open_database
from tests.store.plain import A, B, C, Other, connect, run
from tests.stores import with_tables


@pytest.fixture
def other(database_url: str, database: Database) -> Iterator[Other]:
    connection = connect(database_url)
    yield connection
    connection.close()


def changes(database: Database, since: int = 0, limit: int = 1000) -> devices.DeviceChanges:
    with database.read() as conn:
        return devices.changed(conn, since, limit)


def seen(database: Database, since: int) -> tuple[list[str], list[str]]:
    found = changes(database, since)
    return sorted(d.imei for d in found.changed), sorted(found.removed)


def test_an_empty_store_has_no_changes(database: Database) -> None:
    assert changes(database) == devices.DeviceChanges(0, [], frozenset(), [], more=False)


def test_every_kind_of_change_is_counted(database: Database, database_url: str) -> None:
    run(database_url, f"INSERT INTO device (imei, id) VALUES ('{A}', 1), ('{B}', 2)")
    first = changes(database)
    assert sorted(d.imei for d in first.changed) == [A, B]
    run(database_url, f"UPDATE device SET name = 'x' WHERE imei = '{B}'")
    second = changes(database, first.revision)
    assert [(d.imei, d.name) for d in second.changed] == [(B, "x")]
    run(database_url, f"DELETE FROM device WHERE imei = '{A}'")
    third = changes(database, second.revision)
    assert (third.changed, third.removed) == ([], [A])
    assert first.revision < second.revision < third.revision
    assert seen(database, third.revision) == ([], [])


def test_an_upsert_counts(database: Database, database_url: str) -> None:
    run(database_url, f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
    since = changes(database).revision
    run(
        database_url,
        f"INSERT INTO device (imei, id, name) VALUES ('{A}', 1, 'new'), ('{B}', 2, 'b') "
        "ON CONFLICT (imei) DO UPDATE SET name = excluded.name",
    )
    assert seen(database, since) == ([A, B], [])


def test_a_renamed_device_is_one_removed_and_one_changed(
    database: Database, database_url: str
) -> None:
    run(database_url, f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
    since = changes(database).revision
    run(database_url, f"UPDATE device SET imei = '{B}' WHERE imei = '{A}'")
    assert seen(database, since) == ([B], [A])


def test_a_device_that_comes_back_is_not_removed(database: Database, database_url: str) -> None:
    run(
        database_url,
        f"INSERT INTO device (imei, id) VALUES ('{A}', 1)",
        f"DELETE FROM device WHERE imei = '{A}'",
        f"INSERT INTO device (imei, id) VALUES ('{A}', 1)",
    )
    assert seen(database, 0) == ([A], [])
    since = changes(database).revision
    run(database_url, f"DELETE FROM device WHERE imei = '{A}'")
    assert seen(database, since) == ([], [A])


def test_deleting_all_counts(database: Database, database_url: str) -> None:
    run(database_url, f"INSERT INTO device (imei, id) VALUES ('{A}', 1), ('{B}', 2)")
    since = changes(database).revision
    run(database_url, "DELETE FROM device")
    assert seen(database, since) == ([], [A, B])


def test_what_is_rolled_back_leaves_nothing(database: Database, other: Other) -> None:
    if isinstance(other, sqlite3.Connection):
        other.execute("BEGIN")
    other.execute(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
    other.rollback()
    assert changes(database) == devices.DeviceChanges(0, [], frozenset(), [], more=False)


def test_a_savepoint_that_is_undone_takes_its_number_along(
    database: Database, other: Other
) -> None:
    for statement in (
        "BEGIN",
        "SAVEPOINT s",
        f"INSERT INTO device (imei, id) VALUES ('{A}', 1)",
        "ROLLBACK TO SAVEPOINT s",
        f"INSERT INTO device (imei, id) VALUES ('{B}', 2)",
        "COMMIT",
    ):
        if statement != "BEGIN" or isinstance(other, sqlite3.Connection):
            other.execute(statement)
    assert seen(database, 0) == ([B], [])


def test_what_no_device_can_be_is_refused_to_everybody(database_url: str) -> None:
    with_tables(database_url)
    for values in ("'1', 1, 'seconds'", f"'{A}', 1, 'hours'", f"'{A}', NULL, 'times'"):
        with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
            run(database_url, f"INSERT INTO device (imei, id, unit) VALUES ({values})")


def test_many_changes_come_in_pieces(database: Database, database_url: str) -> None:
    imeis = [f"2{n:014}" for n in range(10)]
    for number, imei in enumerate(imeis):
        run(database_url, f"INSERT INTO device (imei, id) VALUES ('{imei}', {number})")
    run(database_url, f"DELETE FROM device WHERE imei = '{imeis[0]}'")
    got: list[str] = []
    since, more = 0, True
    while more:
        piece = changes(database, since, limit=3)
        assert len(piece.changed) <= 4
        assert piece.revision > since
        got += [d.imei for d in piece.changed] + list(piece.removed)
        since, more = piece.revision, piece.more
    assert sorted(got) == imeis


def test_replacing_a_row_in_sqlite_removes_the_one_with_its_number(sqlite_url: str) -> None:
    database = open_database(with_tables(sqlite_url))
    run(sqlite_url, f"INSERT INTO device (imei, id) VALUES ('{A}', 1), ('{B}', 2)")
    since = changes(database).revision
    run(sqlite_url, f"REPLACE INTO device (imei, id) VALUES ('{C}', 1), ('{B}', 2)")
    assert seen(database, since) == ([B, C], [A])
    database.close()


class TestPostgreSQL:
    """Numbers become visible in the order in which they were handed out."""

    @pytest.fixture
    def pair(self, postgres_url: str) -> Iterator[tuple[Database, Other, Other]]:
        database = open_database(with_tables(postgres_url))
        one, two = connect(postgres_url), connect(postgres_url)
        two.execute("SET lock_timeout = '50ms'")
        two.commit()
        yield database, one, two
        one.close()
        two.close()
        database.close()

    def test_a_second_writer_waits_for_the_first(
        self, pair: tuple[Database, Other, Other]
    ) -> None:
        database, one, two = pair
        one.execute(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.execute(f"INSERT INTO device (imei, id) VALUES ('{B}', 2)")
        two.rollback()
        assert changes(database).revision == 0, "nothing can be seen, and no number either"
        one.commit()
        two.execute(f"INSERT INTO device (imei, id) VALUES ('{B}', 2)")
        two.commit()
        assert seen(database, 0) == ([A, B], [])
        assert seen(database, 1) == ([B], [])

    def test_a_transaction_counts_once_whatever_it_changes(
        self, pair: tuple[Database, Other, Other]
    ) -> None:
        database, one, _ = pair
        for number in range(20):
            one.execute(f"INSERT INTO device (imei, id) VALUES ('3{number:014}', {number})")
        one.execute("UPDATE device SET site = 'north'")
        one.commit()
        assert changes(database).revision == 1
        assert len(changes(database, 0, limit=3).changed) == 20, "a revision is never cut"

    def test_truncate_counts(self, pair: tuple[Database, Other, Other]) -> None:
        database, one, _ = pair
        one.execute(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
        one.commit()
        one.execute("TRUNCATE device")
        one.commit()
        assert seen(database, 1) == ([], [A])

    def test_another_search_path_does_no_harm(self, pair: tuple[Database, Other, Other]) -> None:
        database, one, _ = pair
        schema = next(iter(one.execute("SELECT current_schema()")))[0]
        one.execute("SET search_path = pg_catalog")
        one.execute(f"INSERT INTO {schema}.device (imei, id) VALUES ('{A}', 1)")
        one.execute(f"DELETE FROM {schema}.device")
        one.commit()
        assert seen(database, 0) == ([], [A])
