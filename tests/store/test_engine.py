"""Opening, migrating, locking, and databases that go away."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import String, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from devgate.errors import SetupError, StoreError
from devgate.store import engines, migrating
from devgate.store.engine import Database
from devgate.store.metadata import metadata
from devgate.store.opening import open_database
from devgate.store.outage import busy, in_words, outage
from devgate.store.schema import SCHEMA, VERSION_TABLE
from tests.postgres import Postgres
from tests.store.plain import A, Other, connect, run

NOBODY = 65534


def same_text(*about: object) -> bool | None:
    """SQLite looks at no lengths, and its column keeps the one that it was made with."""
    *_, found, wanted = about
    return False if isinstance(found, String) and isinstance(wanted, String) else None


@pytest.mark.filterwarnings(
    # SQLAlchemy does not see indexes of expressions in SQLite; test_plans sees that it is used.
    "ignore:Skipped unsupported reflection of expression-based index",
    "ignore:autogenerate skipping metadata-specified expression-based index",
)
def test_the_migrations_make_the_tables_that_the_statements_use(database_url: str) -> None:
    with closing(open_database(database_url)) as database, database.read() as conn:
        # SQLite gives defaults back in its own spelling.
        defaults = database.dialect == "postgresql"
        options = {
            "version_table": VERSION_TABLE,
            "compare_server_default": defaults,
            "compare_type": same_text if database.dialect == "sqlite" else True,
            # The words of devices are no table of ours: in SQLite FTS5 has some, in PostgreSQL
            # there is an index of an expression. test_device_pages finds by them.
            "include_object": lambda *about: not about[1].startswith(("device_words", "device_t")),
        }
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, metadata) == []
        assert conn.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == SCHEMA


def test_an_open_database_is_migrated_once(database: Database, database_url: str) -> None:
    with database.write() as conn:
        conn.execute(text(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)"))
    again = open_database(database_url)
    with again.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM device")) == 1
    again.close()


def test_several_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for opened in list(pool.map(open_database, [database_url] * 4)):
            with opened.read() as conn:
                assert conn.scalar(text("SELECT n FROM revision")) == 0
            opened.close()


def test_a_process_that_makes_the_tables_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine that takes longer than anything else that one waits for."""
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(migrating, "OPENING_SECONDS", 0.0)
    url = f"sqlite:///{tmp_path}/devgate.db"
    looks = []

    def looked(err: DBAPIError) -> bool:
        looks.append(err)
        if len(looks) == 3:
            maker.rollback()
        return busy(err)

    monkeypatch.setattr(migrating, "busy", looked)
    with closing(sqlite3.connect(tmp_path / "devgate.db")) as maker:
        maker.execute("PRAGMA journal_mode=WAL")
        maker.execute("BEGIN IMMEDIATE")
        open_database(url).close()
    assert len(looks) == 3


def test_a_newer_database_is_refused_and_both_versions_are_named(database_url: str) -> None:
    open_database(database_url).close()
    run(database_url, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(SetupError, match=f"schema 0999, .*up to {SCHEMA}"):
        open_database(database_url)


def test_a_migration_that_fails_leaves_nothing(database_url: str) -> None:
    run(database_url, "CREATE TABLE event (theirs integer)")
    with pytest.raises(SetupError, match="already exists"):
        open_database(database_url)
    run(database_url, "DROP TABLE event")
    open_database(database_url).close()


def test_the_folder_is_made(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/a/b/devgate.db").close()
    assert (tmp_path / "a/b/devgate.db").exists()


@pytest.mark.parametrize(
    "url", ["", "devgate.db", "sqlite://", "sqlite:///:memory:", "mysql://a:secret@h/d", "http://"]
)
def test_a_bad_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(
        SetupError, match=r"^\[store\] url: sqlite:///.* expected; several servers are .*name$"
    ) as err:
        open_database(url)
    assert err.value.status == "400"


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(SetupError, match=f"folder {tmp_path}/a"):
        open_database(f"sqlite:///{tmp_path}/a/devgate.db")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "devgate.db").write_text("imei,id\n" * 1000)
    with pytest.raises(SetupError, match=r"devgate\.db cannot be opened: file is not a database"):
        open_database(f"sqlite:///{tmp_path}/devgate.db")


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that everybody may read and its owner alone may write. We are not its owner."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        open_database(f"sqlite:///{folder}/there.db").close()
        if os.geteuid() == 0:  # root may write everywhere
            folder.chmod(0o755)
            os.seteuid(NOBODY)
            yield folder
            os.seteuid(0)
        else:
            folder.chmod(0o555)
            yield folder
            folder.chmod(0o755)


@pytest.mark.parametrize("file", ["there.db", "new.db", "new/new.db"])
def test_a_read_only_folder_is_named(theirs: Path, file: str) -> None:
    with pytest.raises(SetupError, match=f"folder {(theirs / file).parent} ") as err:
        open_database(f"sqlite:///{theirs}/{file}")
    assert err.value.status == "500"


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as err:
        open_database(f"postgresql://me:secret@/d?host={tmp_path}&password=secret")
    assert "secret" not in str(err.value)
    assert f"{tmp_path}".replace("/", "%2F") in str(err.value)
    assert "the database server cannot be reached" in str(err.value)


def test_a_reader_sees_one_state_and_blocks_no_writer(database: Database) -> None:
    count = text("SELECT count(*) FROM event")
    with database.read() as reader:
        assert reader.scalar(count) == 0
        with database.write() as writer:
            writer.execute(text("INSERT INTO event (n, at, type) VALUES (1, 0, 'x')"))
        assert reader.scalar(count) == 0
    with database.read() as reader:
        assert reader.scalar(count) == 1


def test_an_error_takes_the_whole_transaction_back(database: Database) -> None:
    insert = text("INSERT INTO event (n, at, type) VALUES (:n, 0, 'x')")
    with pytest.raises(IntegrityError) as err, database.write() as conn:
        conn.execute(insert, [{"n": n} for n in (1, 2, 1)])
    assert outage(err.value) is None, "trying again does not help"
    with database.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM event")) == 0


def _lock(url: str) -> Other:
    other = connect(url)
    if isinstance(other, sqlite3.Connection):
        other.execute("BEGIN IMMEDIATE")
    else:
        other.execute("LOCK TABLE device IN EXCLUSIVE MODE")
    return other


def test_a_locked_database_is_an_outage_that_passes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.05)
    database = open_database(database_url)
    insert = text(f"INSERT INTO device (imei, id) VALUES ('{A}', 1)")
    other = _lock(database_url)
    with pytest.raises(DBAPIError) as err, database.write() as conn:
        conn.execute(insert)
    assert outage(err.value) == "the database is locked by another program"
    with (
        pytest.raises(StoreError, match="locked by another"),
        in_words(),
        database.write() as conn,
    ):
        conn.execute(insert)
    with database.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM device")) == 0, "readers do not mind"
    other.rollback()
    other.close()
    with database.write() as conn:
        conn.execute(insert)
    database.close()


def test_a_full_disk_is_an_outage_that_passes(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    fill = text("INSERT INTO event (n, at, type, detail) VALUES (1, 0, 'x', :detail)")

    def overfill() -> None:
        with database.write() as conn:
            pages = conn.scalar(text("PRAGMA page_count"))
            conn.execute(text(f"PRAGMA max_page_count = {pages}"))
            conn.execute(fill, {"detail": "x" * 100_000})

    with pytest.raises(DBAPIError) as err:
        overfill()
    assert outage(err.value) == "the disk is full"
    database.close()


def test_a_database_that_cuts_texts_by_bytes_is_refused(postgres: Postgres) -> None:
    """What `initdb` makes where the locale is C, as on a machine without any."""
    with psycopg.connect(postgres.url(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(SetupError, match="SQL_ASCII; UTF8 expected: make it by `createdb") as err:
        open_database(postgres.url().replace("/postgres?", "/bytes?"))
    assert err.value.status == "400"


def test_a_password_that_is_missing_is_no_server_that_is_away() -> None:
    said = "connection to server at 127.0.0.1 failed: fe_sendauth: no password supplied"
    err = OperationalError("", None, psycopg.OperationalError(said))
    assert str(outage(err)).startswith(
        "the database server asks for a password, and there is none"
    )


def test_postgresql_may_be_restarted(postgres: Postgres, postgres_url: str) -> None:
    database = open_database(postgres_url)
    one = text("SELECT 1")
    with database.read() as conn:
        assert conn.scalar(one) == 1
    postgres.stop()
    with pytest.raises(DBAPIError) as err, database.write() as conn:
        conn.execute(one)
    assert outage(err.value) == "the database server cannot be reached"
    postgres.start()
    with database.write() as conn:
        assert conn.scalar(one) == 1

    def broken_in_the_middle() -> None:
        with database.write() as conn:
            conn.execute(one)
            postgres.stop()
            conn.execute(one)

    with pytest.raises(DBAPIError) as err:
        broken_in_the_middle()
    assert outage(err.value)
    postgres.start()
    with database.read() as conn:
        assert conn.scalar(one) == 1
    database.close()


def test_what_was_committed_is_on_disk(database: Database) -> None:
    with database.read() as conn:
        if database.dialect == "sqlite":
            settings = [
                conn.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            assert settings == ["wal", 2, 1, 5000]
        else:
            assert conn.scalar(text("SHOW synchronous_commit")) == "on"
            assert conn.scalar(text("SHOW lock_timeout")) == "5s"
