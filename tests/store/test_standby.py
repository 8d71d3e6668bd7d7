"""What a standby sees of a database, and when it takes it over. PostgreSQL only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from devgate.errors import Fenced, SetupError, StoreAway
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.journal import Journal
from devgate.store.migrations.run import upgrade
from devgate.store.opening import claim_database, open_database
from devgate.store.schema import SCHEMA, VERSION_TABLE
from devgate.store.standby import CHECK_SECONDS, RETURN_SECONDS, Standby
from tests.e2e.caller import eventually
from tests.postgres import Postgres
from tests.store.commands import command_row, event
from tests.store.plain import run
from tests.stores import with_tables

END = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first(postgres_url: str) -> Iterator[Database]:
    """The other gateway's database."""
    database = claim_database(with_tables(postgres_url))
    yield database
    database.close()


@pytest.fixture
def make(postgres_url: str, clock: Clock) -> Iterator[Callable[..., Standby]]:
    made: list[Standby] = []

    def standby(*, resume: bool = False) -> Standby:
        made.append(Standby(postgres_url, resume=resume, clock=clock))
        return made[-1]

    yield standby
    for one in made:
        one.close()


def taken(standby: Standby) -> Database:
    """The server may need a moment to end the session of the former owner."""
    database = eventually(standby.look, lambda database: database is not None)
    assert database is not None
    return database


def test_a_database_that_nobody_has_is_taken_at_once(make: Callable[..., Standby]) -> None:
    database = taken(make())
    assert database.owner is not None
    assert database.owner.epoch == 1
    database.close()


def test_the_lock_is_looked_at_until_it_is_free(
    first: Database, make: Callable[..., Standby]
) -> None:
    standby = make()
    for _ in range(3):
        assert standby.look() is None
        assert "PostgreSQL's process" in standby.holder
    first.close()
    database = taken(standby)
    assert database.owner is not None
    assert database.owner.epoch == 2
    database.close()


def test_the_former_gateway_is_fenced(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    """Its session ended without its knowledge; its next commit finds the new owner."""
    journal = Journal(first)
    journal.commit([event()])
    standby = make()
    assert standby.look() is None
    run(postgres_url, END)
    database = taken(standby)
    with pytest.raises(Fenced, match="has another owner"):
        journal.commit([event(), command_row("1")])
    assert standby.look() is None, "and it waits for itself, if one asks it once more"
    database.close()
    journal.close()


def test_after_a_restart_of_the_server_the_other_gateway_goes_first(
    postgres: Postgres, first: Database, make: Callable[..., Standby], clock: Clock
) -> None:
    journal = Journal(first)
    journal.commit([event()])
    standby = make()
    assert standby.look() is None
    postgres.stop()
    for _ in range(2):
        with pytest.raises(StoreAway):
            standby.look()
    postgres.start()
    clock.now += 3600  # the time counts from the first look at the server that is back
    assert standby.look() is None
    assert "10 s to come back" in standby.holder
    clock.now += RETURN_SECONDS - 0.1
    assert standby.look() is None
    journal.commit([event()])
    clock.now += 1
    assert standby.look() is None
    assert "PostgreSQL's process" in standby.holder
    journal.close()
    first.close()
    taken(standby).close()  # its session has lasted since: at once


def test_one_that_does_not_come_back_is_replaced(
    postgres: Postgres, first: Database, make: Callable[..., Standby], clock: Clock
) -> None:
    standby = make()
    assert standby.look() is None
    postgres.stop()
    first.close()
    postgres.start()
    with pytest.raises(StoreAway):
        standby.look()
    assert standby.look() is None
    clock.now += RETURN_SECONDS
    taken(standby).close()


def test_a_database_that_lost_events_accepts_no_start(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    """A replica took over that was behind: the first gateway is gone, and cannot say so."""
    journal = Journal(first)
    journal.commit([event(), command_row("1"), event()])
    standby = make()
    assert standby.look() is None
    journal.close()
    first.close()
    run(postgres_url, "DELETE FROM event WHERE n = 2")
    run(postgres_url, "UPDATE owner SET epoch = 0")
    database = taken(standby)
    assert database.loss is not None
    assert "lost the events 2 to 2," in database.loss
    assert database.owner is not None
    assert database.owner.lost == database.loss
    assert database.owner.epoch == 2, "above the one that was seen, whatever the row says"
    database.close()
    again = claim_database(postgres_url)
    assert again.loss == database.loss, "it is in the database until somebody confirms it"
    again.close()


def test_another_event_of_that_number_is_a_loss_too(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    journal = Journal(first)
    journal.commit([event(), event()])
    standby = make()
    assert standby.look() is None
    journal.commit([event()])
    journal.close()
    first.close()
    run(postgres_url, "UPDATE event SET detail = '{}', at = at + 1 WHERE n = 2")
    database = taken(standby)
    assert database.loss is not None
    assert "lost the event 2," in database.loss
    database.close()


def test_events_that_were_deleted_by_age_are_no_loss(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    journal = Journal(first)
    journal.commit([event(), event()])
    standby = make()
    assert standby.look() is None
    journal.commit([event()])
    journal.close()
    first.close()
    run(postgres_url, "DELETE FROM event WHERE n <= 2")
    database = taken(standby)
    assert database.loss is None
    database.close()


def test_with_after_loss_resume_starts_go_on(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    journal = Journal(first)
    journal.commit([event()])
    standby = make(resume=True)
    assert standby.look() is None
    journal.close()
    first.close()
    run(postgres_url, "DELETE FROM event")
    database = taken(standby)
    assert database.loss is None
    database.close()


def test_a_newer_schema_is_refused_at_once(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    run(postgres_url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(SetupError, match="schema 9999") as refused:
        make().look()
    assert not isinstance(refused.value, StoreAway)


def test_an_older_schema_is_migrated_at_the_takeover_and_not_before(
    make: Callable[..., Standby], postgres_url: str
) -> None:
    older = Database(make_engine(postgres_url))
    with older.write() as conn:
        upgrade(conn, "0001")
    older.lock()
    standby = make()
    assert standby.look() is None
    with older.read() as conn:
        assert conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "0001"
    older.close()
    database = taken(standby)
    with database.read() as conn:
        assert conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == SCHEMA
    database.close()


def test_what_would_be_in_the_way_is_looked_for_now_and_then(
    first: Database, postgres_url: str, clock: Clock
) -> None:
    looked: list[Database] = []
    standby = Standby(postgres_url, resume=False, check=looked.append, clock=clock)
    for _ in range(3):
        standby.look()
    assert len(looked) == 1
    clock.now += CHECK_SECONDS
    for _ in range(3):
        standby.look()
    assert len(looked) == 2
    standby.close()
    standby.look()
    assert len(looked) == 3, "on a new session"
    standby.close()


def test_two_standbys_take_one_database_one_after_the_other(
    first: Database, make: Callable[..., Standby], postgres_url: str
) -> None:
    one, other = make(), make()
    assert one.look() is None
    assert other.look() is None
    first.close()
    database = taken(one)
    assert other.look() is None
    database.close()
    taken(other).close()
    with closing(open_database(postgres_url)) as last, last.read() as conn:
        assert conn.scalar(text("SELECT epoch FROM owner")) == 3
