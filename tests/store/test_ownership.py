"""Taking a database over, and what becomes of the gateway that had it. SQLite and PostgreSQL."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from devgate.errors import Fenced, SetupError, StoreError
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.opening import claim_database
from devgate.store.ownership import CLAIMING
from tests.postgres import Postgres
from tests.store.commands import command_row, event
from tests.store.plain import connect, run
from tests.stores import with_tables

NOBODY = 65534


@pytest.fixture
def owned(database_url: str) -> Iterator[Database]:
    database = claim_database(with_tables(database_url))
    yield database
    database.close()


def take_over(url: str, holder: str = "process 1 on elsewhere") -> None:
    """What a second gateway's takeover does, over a connection of its own."""
    run(url, f"UPDATE owner SET epoch = epoch + 1, holder = '{holder}', taken_at = 0")


def test_each_takeover_raises_the_epoch_and_names_its_holder(database_url: str) -> None:
    epochs, names = [], set()
    for _ in range(3):
        database = claim_database(database_url)
        assert database.owner is not None
        epochs.append(database.owner.epoch)
        names.add(database.owner.database)
        with database.read() as conn:
            assert f"process {os.getpid()} on " in conn.scalar(text("SELECT holder FROM owner"))
        database.close()
    assert epochs == [1, 2, 3]
    [name] = names
    assert len(name) == 32


def test_f1_a_commit_of_the_former_owner_fails_and_writes_nothing(
    owned: Database, database_url: str
) -> None:
    """F1, F3: whatever became of the lock, one of two gateways commits."""
    journal = Journal(owned)
    journal.commit([event(), command_row("1")])
    take_over(database_url)
    for _ in range(2):
        with pytest.raises(Fenced, match=r"process 1 on elsewhere .*epoch 2\), .*epoch is 1"):
            journal.commit([event(), command_row("2")])
    with owned.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM command")) == 1
        assert conn.scalar(text("SELECT count(*) FROM event")) == 1
    journal.close()


def test_f1_an_owner_row_that_is_gone_fences_too(owned: Database, database_url: str) -> None:
    journal = Journal(owned)
    run(database_url, "DELETE FROM owner")
    with pytest.raises(Fenced, match="the row of its owner is gone"):
        journal.commit([event()])
    journal.close()


def test_f1_a_commit_waits_for_a_takeover_and_then_fails(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1: the takeover has begun before the commit and is committed after it has read."""
    database = claim_database(with_tables(postgres_url))
    journal = Journal(database)
    journal.commit([event()])
    other = connect(postgres_url)
    other.execute("UPDATE owner SET epoch = epoch + 1")
    failed: list[BaseException] = []

    def commit() -> None:
        try:
            journal.commit([event(), command_row("1")])
        except Fenced as err:
            failed.append(err)

    thread = threading.Thread(target=commit)
    thread.start()
    watching = connect(postgres_url)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not watching.execute(waits).fetchone()[0]:  # type: ignore[index]
        assert thread.is_alive(), "it did not wait"
        watching.rollback()
    other.commit()
    thread.join()
    assert len(failed) == 1
    for conn in (other, watching):
        conn.close()
    journal.close()
    database.close()


def test_f1_a_takeover_waits_for_the_commit_that_is_under_way(postgres_url: str) -> None:
    database = claim_database(with_tables(postgres_url))
    assert database.fence is not None
    with database.write() as conn:
        database.fence.check(conn, first=False)
        other = connect(postgres_url)
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("UPDATE owner SET epoch = epoch + 1")
        other.close()
    database.close()


def test_a_second_gateway_is_refused_and_the_first_is_named(database_url: str) -> None:
    """F11: the message says which one has the database."""
    first = claim_database(with_tables(database_url))
    with pytest.raises(SetupError, match="another gateway works with the database") as refused:
        claim_database(database_url)
    if first.dialect == "sqlite":
        assert f"process {os.getpid()} on " in str(refused.value)
    else:
        with first.read() as conn:
            pids = conn.scalars(text("SELECT pid FROM pg_locks WHERE locktype = 'advisory'"))
            assert any(
                f"PostgreSQL's process {pid}, since 20" in str(refused.value) for pid in pids
            )
        assert "a local socket" in str(refused.value)
    assert first.owner is not None
    first.close()
    second = claim_database(database_url)
    assert second.owner is not None
    assert second.owner.epoch == first.owner.epoch + 1, "the refused one took nothing over"
    second.close()


def test_f1_the_lock_is_taken_anew_on_each_writing_connection(
    postgres: Postgres, postgres_url: str
) -> None:
    """F1: after a restart of the server the second gateway is refused as before."""
    database = claim_database(with_tables(postgres_url))
    journal = Journal(database)
    journal.commit([event()])
    postgres.stop()
    postgres.start()
    journal.commit([event()])
    with pytest.raises(SetupError, match="another gateway works"):
        claim_database(postgres_url)
    journal.close()
    database.close()


def test_f1_without_the_lock_nothing_is_committed_and_the_epoch_decides(
    postgres: Postgres, postgres_url: str
) -> None:
    first = claim_database(with_tables(postgres_url))
    journal = Journal(first)
    journal.commit([event()])
    postgres.stop()
    postgres.start()
    other = connect(postgres_url)
    other.execute(f"SELECT pg_advisory_lock(hashtext(current_schema()), {CLAIMING})")
    other.commit()
    with pytest.raises(StoreError, match="another gateway works with this database"):
        journal.commit([event()])
    take_over(postgres_url)
    with pytest.raises(Fenced):
        journal.commit([event()])
    other.close()
    journal.close()
    first.close()


def test_f11_the_server_looks_after_the_session_that_holds_the_lock(postgres_url: str) -> None:
    """F11. Over a Unix socket the server reads these as 0: what is looked at is that they are set
    by the session (their source), which TCP then uses."""
    database = claim_database(with_tables(postgres_url))
    conn = database.held()
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
    query = f"SELECT name, source FROM pg_settings WHERE name IN {(*names, 'tcp_user_timeout')}"
    assert {row.source for row in conn.exec_driver_sql(query)} == {"session"}
    conn.close()
    database.close()


def test_f16_a_connection_that_died_in_quiet_hours_is_replaced_at_once(
    postgres: Postgres, postgres_url: str
) -> None:
    """F16: the commit after a quiet restart is carried out, on a new connection."""
    database = claim_database(with_tables(postgres_url))
    journal = Journal(database)
    journal.commit([event()])
    for _ in range(2):
        postgres.stop()
        postgres.start()
        journal.commit([event()])
    run(postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert [row[-1] for row in journal.commit([event()])] == [4]
    journal.close()
    database.close()


def test_f3_one_file_has_one_lock_by_whatever_name(tmp_path: Path) -> None:
    """F3: a symbolic link leads to the same lock."""
    first = claim_database(f"sqlite:///{tmp_path}/devgate.db")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.db").symlink_to(tmp_path / "devgate.db")
    with pytest.raises(SetupError, match="another gateway works"):
        claim_database(f"sqlite:///{tmp_path}/elsewhere/b.db")
    first.close()


def test_f3_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    """F3: SQLite would keep two logs for it."""
    claim_database(f"sqlite:///{tmp_path}/devgate.db").close()
    (tmp_path / "b.db").hardlink_to(tmp_path / "devgate.db")
    for name in ("devgate.db", "b.db"):
        with pytest.raises(SetupError, match=rf"{name} has 2 names \(hard links\)"):
            claim_database(f"sqlite:///{tmp_path}/{name}")


def test_f3_without_its_lock_file_the_first_gateway_is_fenced(tmp_path: Path) -> None:
    """F3: somebody tidied `devgate.db.lock` away."""
    first = claim_database(f"sqlite:///{tmp_path}/devgate.db")
    journal = Journal(first)
    (tmp_path / "devgate.db.lock").unlink()
    second = claim_database(f"sqlite:///{tmp_path}/devgate.db")
    with pytest.raises(Fenced):
        journal.commit([event()])
    journal.close()
    for database in (first, second):
        database.close()


def test_d16_a_file_of_another_user_is_not_claimed(sqlite_url: str, tmp_path: Path) -> None:
    """D16: the folder is the service's, the file was made by root; "ready" needs a written row."""
    if os.geteuid() != 0:
        pytest.skip("needs root, which may make files of two users")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        url = f"sqlite:///{name}/devgate.db"
        claim_database(url).close()
        Path(name, "devgate.db.lock").unlink()
        Path(name, "devgate.db").chmod(0o644)
        os.chown(name, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(SetupError, match=r"cannot be opened: .* is read-only") as refused:
                claim_database(url)
        finally:
            os.seteuid(0)
    assert refused.value.status == "503"


def test_a_lock_that_is_a_link_leads_to_no_other_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    (tmp_path / "devgate.db.lock").symlink_to(other)
    with pytest.raises(SetupError, match=r"cannot be opened: Too many levels of symbolic links"):
        claim_database(f"sqlite:///{tmp_path}/devgate.db")
    assert other.read_text() == "of somebody else"
