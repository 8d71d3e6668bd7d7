"""How a database is, on both kinds: what `devgate doctor` reads of it."""

from __future__ import annotations

import time

import psycopg
from sqlalchemy import insert, text

from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.health import look
from devgate.store.opening import open_database
from devgate.store.schema import SCHEMA, device
from devgate.store.server_health import Archive
from tests.postgres import Postgres
from tests.stores import with_tables


def test_a_sound_database_lacks_nothing(database: Database, database_url: str) -> None:
    """Indexes of expressions and partial ones are seen, too."""
    now = time.time()
    with database.write() as conn:
        conn.execute(insert(device), [{"imei": f"86{n:013d}", "id": n} for n in (1, 2)])
        conn.execute(
            insert(event),
            [{"n": n, "at": now + n, "type": "gateway.started"} for n in range(1, 101)],
        )
    found = look(database_url)
    assert (found.schema, found.missing_indexes, found.damage) == (SCHEMA, {}, ())
    assert (found.devices, found.events, found.newest) == (2, 100, now + 100)
    assert found.events_a_day == 99 * 24  # within an hour at least
    assert found.size > 0


def test_an_index_that_was_dropped_is_missing(database: Database, database_url: str) -> None:
    """The statement in the message creates the index."""
    with database.write() as conn:
        conn.execute(text("DROP INDEX command_unknown"))
    found = look(database_url)
    assert list(found.missing_indexes) == ["command_unknown"]
    with database.write() as conn:
        conn.execute(text(found.missing_indexes["command_unknown"]))
    assert look(database_url).missing_indexes == {}


def test_a_new_database_is_new(database_url: str) -> None:
    """And it stays without a table."""
    assert look(database_url).schema is None
    assert look(database_url).schema is None
    open_database(database_url).close()
    assert look(database_url).schema == SCHEMA


def test_what_slowly_comes_to_an_end_on_a_server(postgres: Postgres) -> None:
    """Its clock, its vacuum, its connections, and an index that is not usable."""
    url = with_tables(postgres.create_database())
    server = look(url).postgresql
    assert server is not None
    assert abs(server.ahead) <= server.unsure + 0.1, "it is this machine's"
    assert (server.autovacuum, server.archive, list(server.slots)) == (False, None, [])
    assert 0 < server.age < 1_000_000
    used, most = server.connections
    assert 1 <= used < most == 197
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "to_regclass(current_schema() || '.device_site')"
        )
        (statement,) = look(url).missing_indexes.values()
        assert statement.startswith("DROP INDEX IF EXISTS device_site; CREATE INDEX device_site")
        conn.execute(statement.encode())
    assert look(url).missing_indexes == {}


def test_an_archive_that_failed_last_fails() -> None:
    assert not Archive(None, None, None).fails
    assert Archive(None, 5.0, "a").fails
    assert Archive(4.0, 5.0, "a").fails
    assert not Archive(5.0, 4.0, "a").fails
