"""How a database is, on both kinds: what `devgate doctor` reads of it."""

from __future__ import annotations

import time

from sqlalchemy import insert, text

from devgate.store.engine import Database, open_database
from devgate.store.event_tables import event
from devgate.store.health import look
from devgate.store.schema import SCHEMA, device


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
    """The statement that is told makes it."""
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
