"""Statements that go to PostgreSQL together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from devgate.store.engine import Database
from devgate.store.node_statements import array
from devgate.store.opening import open_database
from devgate.store.outage import outage
from devgate.store.trips import Trips
from tests.store.plain import run
from tests.stores import with_tables


@pytest.fixture
def trips(postgres_url: str) -> Iterator[Trips]:
    database: Database = open_database(with_tables(postgres_url))
    conn = database.connected()
    made = Trips(conn)
    made.rows("CREATE TEMPORARY TABLE t (n bigint PRIMARY KEY, text text)")
    yield made
    made.close()
    conn.invalidate()
    database.close()


def test_one_trip_carries_many_statements_and_all_their_results(trips: Trips) -> None:
    trips.ask("BEGIN")
    written = trips.ask("INSERT INTO t VALUES ($1, $2), ($3, NULL) RETURNING n", 1, "\u00e9", 2)
    found = trips.ask("SELECT n, text, n > 1, 0.5::float8 FROM t ORDER BY n")
    trips.ask("COMMIT")
    trips.go()
    assert written.rows == [(1,), (2,)]
    assert found.rows == [(1, "\u00e9", False, 0.5), (2, None, True, 0.5)]
    # The same statements again are prepared by now.
    assert trips.rows("SELECT n, text, n > 1, 0.5::float8 FROM t ORDER BY n") == found.rows


def test_more_than_the_sockets_take(trips: Trips) -> None:
    """Results come while there is still something to be sent."""
    long = "x" * 3_000_000
    answers = [trips.ask("SELECT $1::text", long) for _ in range(8)]
    trips.go()
    assert all(answer.rows == [(long,)] for answer in answers)


def test_what_the_server_refuses_ends_the_trip_there(trips: Trips) -> None:
    trips.ask("BEGIN")
    trips.ask("INSERT INTO t VALUES (1, 'one')")
    trips.ask("INSERT INTO t VALUES (1, 'again')")
    trips.ask("COMMIT")
    with pytest.raises(IntegrityError) as caught:
        trips.go()
    assert trips.skipped
    assert getattr(caught.value.orig, "sqlstate", None) == "23505"
    assert not caught.value.connection_invalidated


def test_a_commit_that_was_refused_itself_is_not_skipped(trips: Trips) -> None:
    trips.rows("CREATE TEMPORARY TABLE u (n bigint REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    trips.ask("BEGIN")
    trips.ask("INSERT INTO u VALUES (7)")
    trips.ask("COMMIT")
    with pytest.raises(IntegrityError):
        trips.go()
    assert not trips.skipped


def test_a_session_that_was_ended_is_an_outage(trips: Trips, postgres_url: str) -> None:
    [(pid,)] = trips.rows("SELECT pg_backend_pid()")
    run(postgres_url, f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(DBAPIError) as caught:
        trips.rows("SELECT 1")
    assert isinstance(caught.value, OperationalError)
    assert caught.value.connection_invalidated
    assert outage(caught.value) is not None


def test_values_are_taken_as_they_are(trips: Trips) -> None:
    texts = ['a"b', "c\\d", "{e,f}", "", "NULL", "\u00e9 g"]
    assert trips.rows("SELECT unnest($1::text[])", array(texts)) == [(text,) for text in texts]
    assert trips.rows("SELECT $1::bool, $2::float8, $3::text", True, 0.1, None) == [
        (True, 0.1, None)
    ]
    with pytest.raises(ValueError, match="NUL"):
        trips.ask("SELECT $1::text", "a\0b")
